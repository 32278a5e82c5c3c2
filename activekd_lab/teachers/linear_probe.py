"""The control of CLAP: the same training without its pull to the text."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.io.arguments import checked
from activekd_lab.teachers.clap import CLAP
from activekd_lab.teachers.fitting import check_labels


class LinearProbe(CLAP):
    """The control: CLAP without its pull to the text ("ZS-LP" in arXiv:2312.12730), all else alike."""

    @checked(embeddings="(L, D) finite")
    def constraint(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return (C,) zeros."""
        check_labels(self.zero_shot, embeddings, labels)
        return torch.zeros(len(self.zero_shot.text), device=embeddings.device)
