import json
from dataclasses import replace

import pytest
import torch

from activekd_lab.errors import RunFolderError
from activekd_lab.students.towers import BUNDLED
from activekd_lab.teachers import pretrain
from activekd_lab.teachers.clip import load_teacher

TINY = replace(pretrain.SMOKE, images=64, epochs=2, batch=32)


def test_the_recipe_makes_a_model_directory_that_open_clip_loads(tmp_path):
    model, seconds = pretrain.train(TINY, torch.device("cpu"), tmp_path)
    pretrain.save(model, tmp_path)
    teacher = load_teacher(f"local-dir:{tmp_path}", device="cpu")
    assert teacher.encode_text(["a plain circle"]).shape == (1, 128)
    assert seconds > 0


def test_an_interrupted_training_continues_to_the_same_weights(tmp_path):
    def stop(epoch):
        raise KeyboardInterrupt

    whole, _ = pretrain.train(TINY, torch.device("cpu"), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        pretrain.train(TINY, torch.device("cpu"), tmp_path / "cut", on_epoch=stop)
    continued, _ = pretrain.train(TINY, torch.device("cpu"), tmp_path / "cut")
    for a, b in zip(whole.state_dict().values(), continued.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_folder_of_another_recipe_is_refused(tmp_path):
    short = replace(TINY, epochs=1)
    pretrain.train(short, torch.device("cpu"), tmp_path)
    for other in (replace(short, seed=1), TINY):  # more epochs change the learning rates of the first ones too
        with pytest.raises(RunFolderError, match=r"checkpoint\.pt is of .*'seed': 0.*choose a new folder"):
            pretrain.train(other, torch.device("cpu"), tmp_path)


def test_the_cached_crawl_belongs_to_the_whole_recipe():
    tokenizer = pretrain.open_clip.tokenizer.SimpleTokenizer(context_length=16)
    found = [pretrain.draw_crawl(replace(TINY, digit_share=share), tokenizer).tokens for share in (0.2, 0.8)]
    assert not torch.equal(*found)


def test_the_crawl_is_long_tailed_and_seeded():
    _, captions = pretrain._draw_chunk(TINY, 0, 50)
    _, again = pretrain._draw_chunk(TINY, 0, 50)
    assert captions == again
    assert captions != pretrain._draw_chunk(replace(TINY, seed=1), 0, 50)[1]


def test_the_card_names_the_command_seed_and_time_that_made_it():
    card = json.loads((BUNDLED / "card.json").read_text())
    assert card["command"].startswith("python -m activekd_lab.teachers.pretrain")
    assert card["recipe"]["seed"] == 0
    assert card["seconds"] > 60
    assert card["recipe"] == json.loads(json.dumps(vars(pretrain.Recipe())))
