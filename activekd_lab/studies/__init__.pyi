from . import grid as grid
from . import sweep as sweep
