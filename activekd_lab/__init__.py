"""activekd_lab: learn and reproduce active learning with distillation from vision-language models."""

from activekd_lab._version import __version__

__all__ = ["__version__"]
