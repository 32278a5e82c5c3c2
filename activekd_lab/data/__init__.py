"""What images there are: bundled tasks, folders, the papers' data sets, and what others hold."""

from activekd_lab.data import bundled as _bundled
from activekd_lab.data import coop as _coop  # and with it imagenet
from activekd_lab.data.adapters import task_from
from activekd_lab.data.folder import FolderTask
from activekd_lab.data.task import Split, Task, check_task, list_tasks, load_task

__all__ = ["FolderTask", "Split", "Task", "check_task", "list_tasks", "load_task", "task_from"]
del _bundled, _coop
