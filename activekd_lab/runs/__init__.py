"""What a run leaves: records, its folder, what it was made with, and how its student does on shifted images."""

from activekd_lab.errors import attach_names

__getattr__, __dir__, __all__ = attach_names(__name__, __file__)
