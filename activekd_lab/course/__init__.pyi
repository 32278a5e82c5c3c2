from . import checks as checks
from . import grading as grading
from . import notebooks as notebooks
from .checks import check as check
from .checks import solved as solved
