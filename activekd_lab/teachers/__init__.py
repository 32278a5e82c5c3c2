"""Who knows names: CLIP models, the zero-shot head, few-shot heads, and the shape of their mistakes."""

from activekd_lab.errors import attach_names

__getattr__, __dir__, __all__ = attach_names(__name__, __file__)
