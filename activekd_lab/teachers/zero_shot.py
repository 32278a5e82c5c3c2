"""From embeddings to opinions: the class weights that a CLIP model writes from the names alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked


class TeacherHead(Protocol):
    """What turns embeddings into a teacher's opinion: zero-shot or fitted on few labels (`fewshot`)."""

    def logits(self, embeddings: Tensor) -> Tensor:
        """Return (N, C) logits of (N, D) unit embeddings."""
        ...

    def probabilities(self, embeddings: Tensor) -> Tensor:
        """Return (N, C) probabilities of (N, D) unit embeddings."""
        ...


@checked(text="(C, D) finite", raw_text="(C, D) finite")
@dataclass(frozen=True, eq=False)
class ZeroShotHead:
    """Class weights from text: `logits = scale · embedding · text + bias`.

    Attributes:
        text: (C, D) unit rows, one a class.
        scale: the model's learned logit scale (100 for CLIP).
        bias: the model's logit bias (SigLIP), else 0.
        raw_text: (C, D) text embeddings averaged before any normalisation, where CLAP starts; None where `text` was
            not made from prompts.
    """

    text: Tensor
    scale: float
    bias: float = 0.0
    raw_text: Tensor | None = None

    @checked(embeddings="(N, D) floats")
    def logits(self, embeddings: Tensor) -> Tensor:
        """Return (N, C) logits of (N, D) unit embeddings."""
        if (width := embeddings.shape[1]) != self.text.shape[1]:
            raise SettingError(f"embeddings must be {self.text.shape[1]} wide, as the text, but are {width}.")
        return self.scale * (embeddings @ self.text.to(embeddings).T) + self.bias

    @checked()
    def probabilities(self, embeddings: Tensor) -> Tensor:
        """Return (N, C) probabilities of (N, D) unit embeddings."""
        return self.logits(embeddings).softmax(1)
