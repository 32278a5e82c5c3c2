"""Figures of runs: results → a small tuple → a Plotly figure. Nothing here imports torch; Plotly loads on first use."""

from activekd_lab.errors import attach_names

__getattr__, __dir__, __all__ = attach_names(__name__, __file__)
