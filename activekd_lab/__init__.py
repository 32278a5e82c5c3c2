"""activekd_lab: learn and reproduce active learning with distillation from vision-language models.

The front door. Each name is imported on first use, so `import activekd_lab` itself loads neither torch nor plotly. What
is not here is imported from its room: `akd.active.ActiveRun`, `akd.teachers.CLAP`, `akd.students.export_onnx`, ….
"""

from activekd_lab.errors import attach_names

__version__ = "0.2.0.dev0"

__getattr__, __dir__, __all__ = attach_names(__name__, __file__)
