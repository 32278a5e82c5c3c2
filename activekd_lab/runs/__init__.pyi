from . import shift as shift
from .folder import RunFolder as RunFolder
from .folder import find_runs as find_runs
from .folder import load_run as load_run
from .records import Label as Label
from .records import RoundRecord as RoundRecord
from .records import RunResult as RunResult
