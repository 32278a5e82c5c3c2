"""A run as a table of its images: paths, splits, labels, when they were bought, what the student says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import activekd_lab as akd
from activekd_lab.errors import RunFolderError, SettingError
from activekd_lab.runs.folder import load_run

COLUMNS = ["id", "split", "path", "label", "class", "round", "source"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A stored run on a folder of photos, and its folder."""
    root = tmp_path_factory.mktemp("photos")
    for i in range(24):
        place = root / ("red, dark", "grün")[i % 2]
        place.mkdir(exist_ok=True)
        color = (220 - i, i, 30) if i % 2 == 0 else (i, 220 - i, 30)
        Image.fromarray(np.full((20, 24, 3), color, np.uint8)).save(place / f"{i:02}.png")
    config = akd.RunConfig(
        task="folder",
        task_options={"path": str(root)},
        rounds=2,
        budget=3,
        steps=5,
        device="cpu",
        save_predictions=True,
    )
    return akd.run(config, store=tmp_path_factory.mktemp("runs")), root


def test_a_stored_run_tells_each_image_by_path_and_class(ran):
    result, root = ran
    frame = load_run(result.folder).to_frame()
    task = akd.FolderTask(root)
    assert list(frame.columns) == [*COLUMNS, "prediction", "confidence", "distance", "probabilities"]
    assert len(frame) == len(task.train) + len(task.test)
    for split in (task.train, task.test):
        rows = frame[frame.split == split.name]
        assert rows.id.tolist() == list(range(len(split)))
        assert [root / path for path in rows.path] == list(split.files)
        assert rows.label.tolist() == split.labels.tolist()
        assert rows["class"].tolist() == [task.class_names[y] for y in split.labels]
    pool, test = frame[frame.split == "train"], frame[frame.split == "test"]
    said = np.stack(test.probabilities)
    np.testing.assert_array_equal(said, result.probabilities(2, "test"))
    assert (said.argmax(1) == test.label.to_numpy(int)).mean() == pytest.approx(result.records[2].accuracy)
    assert test.prediction.tolist() == [task.class_names[c] for c in said.argmax(1)]
    assert test.confidence.tolist() == said.max(1).tolist()
    assert {i: (r, s) for i, r, s in zip(pool.id, pool["round"], pool.source, strict=True) if s} == {
        x.id: (x.round, x.source) for x in result.labels
    }
    assert pool["round"].isna().sum() == len(pool) - len(result.labels)
    probabilities = np.stack(pool.probabilities)
    np.testing.assert_array_equal(probabilities, result.probabilities(2))
    assert pool.prediction.tolist() == [task.class_names[c] for c in probabilities.argmax(1)]
    labeled = torch.from_numpy(probabilities[result.labeled_ids(2)])
    nearest = torch.cdist(torch.from_numpy(probabilities), labeled, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
    np.testing.assert_allclose(pool.distance, nearest, atol=1e-6)
    assert pool.distance.max() == pytest.approx(result.records[2].covering_radius, abs=2e-3)
    assert (test.distance.isna() & (test.source == "")).all()


def test_a_frame_is_of_a_round(ran):
    result, _ = ran
    first = result.to_frame(0)
    assert first["round"].dropna().tolist() == [0, 0]
    np.testing.assert_array_equal(np.stack(first.probabilities[first.split == "train"]), result.probabilities(0))
    assert first.distance.max() == pytest.approx(result.records[0].covering_radius, abs=2e-3)
    for wrong in (3, -1):
        with pytest.raises(SettingError, match=rf"round_index must lie in 0 … 2, but got {wrong}"):
            result.to_frame(wrong)


def test_without_files_the_task_says_the_labels_and_without_it_only_bought_ones_are_known(tiny):
    result = akd.run(akd.RunConfig(**tiny | {"rounds": 1}))
    task = akd.load_task("shapes", **tiny["task_options"])
    known = {x.id: task.class_names[x.label] for x in result.labels}
    frame = result.to_frame()
    assert frame.id.tolist() == [*range(80), *range(20)]
    assert frame.split.tolist() == ["train"] * 80 + ["test"] * 20
    assert {i: name for i, name in zip(frame.id, frame["class"], strict=True) if name} == known
    assert frame.label.isna().sum() == 100 - len(known)
    whole = result.to_frame(task=task)
    assert whole.label.tolist() == [*task.train.labels.tolist(), *task.test.labels.tolist()]
    for name in ("distance", "confidence"):
        pd.testing.assert_series_equal(whole[name], frame[name])
    earlier = replace(result, _kept_test={})  # a version that kept the pool's only
    assert earlier.to_frame().id.tolist() == list(range(80))
    assert earlier.to_frame(task=task).prediction.notna().sum() == 80
    without = replace(result, _kept={}, _kept_test={})
    assert list(without.to_frame().columns) == COLUMNS
    assert without.to_frame().id.tolist() == sorted(known)
    other = akd.load_task("shapes", **tiny["task_options"] | {"pool_size": 40})
    with pytest.raises(RunFolderError, match="has other images than these 40 of the pool"):
        result.to_frame(task=other)
    drawn_anew = akd.load_task("shapes", **tiny["task_options"] | {"seed": 1})
    with pytest.raises(RunFolderError, match="has other images than these 80 of the pool"):
        result.to_frame(task=drawn_anew)
    fewer = akd.load_task("shapes", **tiny["task_options"] | {"test_per_class": 4})
    with pytest.raises(RunFolderError, match="has other images than these 80 of the pool and 16 of test"):
        result.to_frame(task=fewer)


def test_a_damaged_table_is_one_sentence_and_the_run_does_not_need_it(ran, tmp_path):
    result, _ = ran
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("config.json", "rounds.jsonl", "labels.csv"):
        (folder / name).write_bytes((result.folder / name).read_bytes())
    for text in ("id,path\n", "id,split,path,label,class\n0,train\n", "id,split,path,label,class\nx,train,,,\n"):
        (folder / "images.csv").write_text(text)
        with pytest.raises(RunFolderError, match=r"images\.csv is damaged .*; delete that file; the run does not need"):
            load_run(folder).to_frame()
    whole = (result.folder / "images.csv").read_text().splitlines()
    first = whole[1].split(",")
    wrong = ",".join([*first[:4], f'"{result.class_names[int(first[3]) - 1]}"'])
    for rows in (whole[2:3] + whole[1:2] + whole[3:], [wrong, *whole[2:]], whole[2:]):
        (folder / "images.csv").write_text("\n".join([whole[0], *rows]) + "\n")
        with pytest.raises(RunFolderError, match=r"images\.csv is damaged .*(stands where|has the label)"):
            load_run(folder).to_frame()
    (folder / "images.csv").unlink()
    assert load_run(folder).to_frame().id.tolist() == sorted(x.id for x in result.labels)
