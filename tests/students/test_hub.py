"""A student goes to the Hub and back: huggingface_hub is the real one, the Hub a server of this machine."""

import sys

import hub as hubs
import pytest
import torch
from huggingface_hub import constants

from activekd_lab.errors import MissingExtraError, ModelFilesError, SettingError
from activekd_lab.students import DualHeadStudent, SavedStudent, from_hub, push_to_hub
from activekd_lab.students.hub import model_card


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hubs.running(tmp_path / "hub", monkeypatch) as hub:
        yield hub


def student(**more):
    made = DualHeadStudent("small_cnn", 3, image_size=16, generator=torch.Generator().manual_seed(0), **more)
    return SavedStudent(made, ("red", "a|b", "<b>grün</b>"), 0.3, 2.0, 24)


def test_a_student_goes_to_the_hub_and_comes_back_the_same(hub, tmp_path):
    saved, images = student(), torch.rand(4, 3, 24, 24)
    where = push_to_hub(saved, "mira/birds", facts={"accuracy on test": 0.8125, "labels": 60})
    assert where == f"{hub.url}/mira/birds/commit/{'1' * 40}"
    assert hub.private == {"mira/birds": True}
    assert set(hub.repos["mira/birds"]) == {"student.safetensors", "README.md"}
    again = from_hub("mira/birds")
    assert torch.equal(again.predict(images), saved.predict(images))
    assert (again.class_names, again.ce_weight, again.kd_temperature) == (saved.class_names, 0.3, 2.0)
    card = hub.repos["mira/birds"]["README.md"].decode()
    assert "| accuracy on test | 0.8125 |" in card
    assert "3 classes: red, a\\|b, &lt;b&gt;grün&lt;/b&gt;." in card
    assert 'from_hub("mira/birds")' in card
    push_to_hub(saved, "mira/birds", private=False)  # a second time: the repository stays as it is
    assert hub.private == {"mira/birds": True}
    kept = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert hub.token.encode() not in kept + b"".join(hub.repos["mira/birds"].values())


def test_a_token_that_the_hub_does_not_take_is_one_sentence_without_it(hub, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrong")
    with pytest.raises(ModelFilesError, match=r"'?mira/birds'? on the Hub cannot be written \(.*401.*whoami") as caught:
        push_to_hub(student(), "mira/birds")
    assert "wrongwrong" not in str(caught.value) + "".join(capsys.readouterr())
    assert hub.repos == {}


def test_what_the_hub_does_not_have_or_is_no_name_or_cannot_be_reached_is_one_sentence(hub, monkeypatch):
    for repo, revision, said in (("mira/none", None, "404"), ("no name!", None, "Repo id"), ("mira/none", "v1", "404")):
        with pytest.raises(ModelFilesError, match=rf"on the Hub cannot be read \(.*{said}"):
            from_hub(repo, revision=revision)
    push_to_hub(student(), "mira/birds")
    with pytest.raises(SettingError, match="knows 3 classes"):
        from_hub("mira/birds", class_names=["red", "blue"])
    hub.repos["mira/birds"]["student.safetensors"] = b"no student"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", constants.HF_HUB_CACHE + "2")
    with pytest.raises(ModelFilesError, match="is damaged"):
        from_hub("mira/birds")


def test_a_card_says_what_holds_of_the_student():
    two, one = (model_card(student(single_head=single), "birds", {}) for single in (False, True))
    assert "| image side | 24 px, seen at 16 px |" in two
    assert "| share of the label head | 0.3 |" in two
    assert "label head" not in one
    assert "pipeline_tag: image-classification" in two


def test_without_huggingface_hub_the_install_line_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r'pip install "activekd_lab\[hf\]"'):
        from_hub("mira/birds")
