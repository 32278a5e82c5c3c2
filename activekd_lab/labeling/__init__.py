"""A person answers: sessions, their files, and what other programs read and write."""

from activekd_lab.errors import attach_names

__getattr__, __dir__, __all__ = attach_names(__name__, __file__)
