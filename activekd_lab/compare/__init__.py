"""Runs side by side: variants, paired statistics, tables, published figures, claims."""

from activekd_lab.errors import attach_names

__getattr__, __dir__, __all__ = attach_names(__name__, __file__)
