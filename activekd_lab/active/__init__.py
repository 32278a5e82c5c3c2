"""ActiveKD itself (arXiv:2506.00910): the ledger, the round, the loop, and how labels cover a space."""

from activekd_lab.errors import attach_names

__getattr__, __dir__, __all__ = attach_names(__name__, __file__)
