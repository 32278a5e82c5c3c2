"""Grids of runs: named studies, their jobs, workers here or on a cluster, and the report at the end."""

from activekd_lab.errors import attach_names

__getattr__, __dir__, __all__ = attach_names(__name__, __file__)
