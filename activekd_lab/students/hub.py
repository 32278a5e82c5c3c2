"""Share a student on the Hugging Face Hub: its one safetensors file and a card. Extra `hf`."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from torch import nn

from activekd_lab.errors import MissingExtraError, ModelFilesError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import shown
from activekd_lab.students.checkpoint import SavedStudent, load_student

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_FILE = "student.safetensors"
_CARD = """---
library_name: activekd_lab
{task}tags:
- knowledge-distillation
- active-learning
---

# {name}

A dual-head student (DHO, arXiv:2505.07675) of {count} classes: {classes}.

| | |
|---|---|
{rows}

```python
from activekd_lab.students import from_hub

student = from_hub("{repo}")
probabilities = student.predict({given})  # (B, {count})
```
"""


@checked()
def push_to_hub(saved: SavedStudent, repo: str, *, private: bool = True, facts: Mapping[str, Any] | None = None) -> str:
    """Upload a student with a model card, making the repository if needed; return the commit's address.

    Who uploads is for huggingface_hub: `hf auth login` or the variable HF_TOKEN. Nothing here sees a token.

    Args:
        saved: of `active.saved_student()`, `session.saved_student()` or `load_student`.
        repo: "name" or "organisation/name" of a model repository; what it holds under the same two names is replaced.
        private: whether a new repository is seen by its owners only; an old one stays as it is.
        facts: further rows of the card, such as {"accuracy on test": result.final_accuracy}.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        ModelFilesError: no such repository, no right to write there, or no network; the message is the Hub's.
        SettingError: class names that do not match the heads.
    """
    api = _api()
    with TemporaryDirectory() as place:
        saved.save(place)
        Path(place, "README.md").write_text(model_card(saved, repo, facts or {}), "utf-8")
        _asked(repo, "written", lambda: api.create_repo(repo, private=private, exist_ok=True))
        said = "Upload a student of activekd_lab"
        found = _asked(repo, "written", lambda: api.upload_folder(repo_id=repo, folder_path=place, commit_message=said))
    return str(found.commit_url)


@checked()
def from_hub(
    repo: str,
    *,
    revision: str | None = None,
    class_names: Sequence[str] | None = None,
    backbone: nn.Module | None = None,
) -> SavedStudent:
    """Load a student that `push_to_hub` uploaded; it is downloaded once, into huggingface_hub's cache.

    Args:
        repo: "organisation/name".
        revision: branch, tag or commit; None takes the newest.
        class_names: as for `load_student`.
        backbone: as for `load_student`.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        ModelFilesError: no such repository or revision, no network, or a file that is no student.
        SettingError: `class_names` that differ from the student's.
    """
    api = _api()
    path = _asked(repo, "read", lambda: api.hf_hub_download(repo, _FILE, revision=revision))
    return load_student(path, class_names=class_names, backbone=backbone)


def model_card(saved: SavedStudent, repo: str, facts: Mapping[str, Any]) -> str:
    """Return the card's Markdown: what the student is, how it is used, and what the caller says of it."""
    settings, student = saved.student.settings, saved.student
    pictures = not str(settings["backbone"]).startswith("features/")
    rows: dict[str, Any] = {"backbone": settings["backbone"]}
    rows |= {"parameters": f"{sum(p.numel() for p in student.parameters()):,}"}
    rows |= {"image side": f"{saved.source_size} px, seen at {student.image_size} px"} if pictures else {}
    if not settings["single_head"]:
        rows |= {"share of the label head": saved.ce_weight, "temperature of the teacher head": saved.kd_temperature}
    cells = ((_cell(name), _cell(value)) for name, value in (rows | dict(facts)).items())
    return _CARD.format(
        task="pipeline_tag: image-classification\n" if pictures else "",
        name=_cell(repo.rpartition("/")[2]),
        repo=repo,
        count=len(saved.class_names),
        classes=", ".join(map(_cell, saved.class_names)),
        rows="\n".join(f"| {name} | {value} |" for name, value in cells),
        given="images" if pictures else "features",
    )


def _cell(value: object) -> str:
    said = f"{value:.4g}" if isinstance(value, float) else str(value)
    return html.escape(" ".join(said.split())).replace("|", "\\|")


def _api() -> HfApi:
    try:
        from huggingface_hub import HfApi  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hf") from error
    return HfApi(library_name="activekd_lab")


def _asked(repo: str, what: str, ask: Callable[[], Any]) -> Any:
    """Return what the Hub answers, or raise its complaint in one sentence."""
    try:
        return ask()
    except Exception as error:  # of huggingface_hub, of its HTTP library, of the disk
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = lines[0].rstrip(".") if lines else type(error).__name__
        raise ModelFilesError(
            f"{shown(repo)} on the Hub cannot be {what} ({said}); check its name, the network, and who you are there "
            "(`hf auth whoami`)."
        ) from error
