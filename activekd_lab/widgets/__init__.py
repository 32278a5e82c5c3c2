"""Interactive views for notebooks: each is a thin face over a state that also works without a front end."""

from activekd_lab.errors import attach_names

__getattr__, __dir__, __all__ = attach_names(__name__, __file__)
