from . import claims as claims
from . import comparison as comparison
from . import reference as reference
from . import tables as tables
from . import variants as variants
