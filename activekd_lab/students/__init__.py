"""Who learns: one backbone, a head for the labels, a head for the teacher, mixed at the end (DHO, arXiv:2505.07675)."""

from activekd_lab.errors import attach_names

__getattr__, __dir__, __all__ = attach_names(__name__, __file__)
