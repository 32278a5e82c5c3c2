"""Few-shot teachers: heads fitted on a few labelled embeddings, all with `fit(embeddings, labels) -> head`.

Every head starts from the zero-shot one and works on cached embeddings, so that a fit takes seconds. Each training step
takes a batch of at most `batch` embeddings; up to there a fit draws nothing at random.
"""

from __future__ import annotations

from collections.abc import Callable

from activekd_lab.errors import UnknownNameError
from activekd_lab.io.arguments import checked
from activekd_lab.teachers.clap import CLAP
from activekd_lab.teachers.fitting import FewShot
from activekd_lab.teachers.linear_probe import LinearProbe
from activekd_lab.teachers.tip_adapter import TipAdapter, TipAdapterF
from activekd_lab.teachers.zero_shot import ZeroShotHead

FEW_SHOT: dict[str, Callable[[ZeroShotHead], FewShot]] = {
    "clap": CLAP,
    "tip_adapter": TipAdapter,
    "tip_adapter_f": TipAdapterF,
    "linear_probe": LinearProbe,
}


@checked()
def few_shot(name: str, zero_shot: ZeroShotHead) -> FewShot:
    """Return the few-shot method of a name, with its default settings.

    Raises:
        UnknownNameError: the message lists the known ones, nearest first.
    """
    if name not in FEW_SHOT:
        raise UnknownNameError("few_shot", name, FEW_SHOT)
    return FEW_SHOT[name](zero_shot)
