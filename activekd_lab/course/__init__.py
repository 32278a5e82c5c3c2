"""The notebooks' machinery: parameters, exercises and their checks, grading, experiments over seeds."""

from activekd_lab.errors import attach_names

__getattr__, __dir__, __all__ = attach_names(__name__, __file__)
