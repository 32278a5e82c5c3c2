from .exchange import export_answers as export_answers
from .exchange import import_answers as import_answers
from .merge import merge_answers as merge_answers
from .photos import label_folder as label_folder
from .session import LabelSession as LabelSession
from .simulation import simulate as simulate
