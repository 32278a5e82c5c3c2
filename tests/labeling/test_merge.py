"""Several people's answers: agreement is measured, conflicts are listed, nothing is decided."""

import json

import pytest
from PIL import Image
from sklearn.metrics import cohen_kappa_score
from typer.testing import CliRunner

from activekd_lab.cli.app import app
from activekd_lab.errors import DataError, SettingError
from activekd_lab.labeling.formats import read_answers
from activekd_lab.labeling.merge import Conflict, merge_answers

pytestmark = pytest.mark.quick

ANNE = {"a/1.png": "cat", "a/2.png": "dog", "b/1.png": "cat", "b/2.png": "cat", "only.png": "dog"}
BERT = ANNE | {"a/2.png": "cat", "b/2.png": "(reject)"}


@pytest.fixture
def files(tmp_path):
    """Anne's table, Bert's session, and Label Studio's file of both, as it calls the images."""
    anne = tmp_path / "anne.csv"
    anne.write_text("path,label\n" + "".join(f"{name},{label}\n" for name, label in ANNE.items()))
    bert = tmp_path / "bert"
    bert.mkdir()
    rows = [f"0,{name},{label},1\n" for name, label in BERT.items() if name != "only.png"]
    undone = ["0,a/1.png,dog,1\n", "0,a/1.png,(undone),1\n", "0,only.png,(skip),1\n"]
    (bert / "answers.csv").write_text("id,path,answer,batch\n" + "".join(undone + rows))
    both = tmp_path / "both.json"
    tasks = [
        {
            "data": {"image": f"/data/local-files/?d=photos/{name}"},
            "annotations": [
                {"completed_by": who, "result": [{"type": "choices", "value": {"choices": [said[name]]}}]}
                for who, said in ((1, ANNE), ({"id": 2, "email": "bert@example.org"}, BERT))
            ],
        }
        for name in ANNE
    ]
    both.write_text(json.dumps(tasks))
    return anne, bert, both


def test_what_people_agree_on_is_merged_and_the_rest_is_listed(files):
    anne, bert, _ = files
    merged = merge_answers([anne, bert])
    assert merged.answers == {"a/1.png": "cat", "b/1.png": "cat", "only.png": "dog"}
    assert merged.conflicts == [
        Conflict("a/2.png", {str(anne): "dog", str(bert): "cat"}),
        Conflict("b/2.png", {str(anne): "cat", str(bert): "(reject)"}),
    ]
    (agreement,) = merged.agreements
    assert agreement[2:4] == (4, 2)
    expected = cohen_kappa_score(["cat", "dog", "cat", "cat"], ["cat", "cat", "cat", "(reject)"])
    assert agreement.kappa == pytest.approx(expected)
    assert f"the same class on 2, Cohen's kappa {expected:.2f}" in str(agreement)


def test_a_skip_in_a_plain_table_is_no_class(files):
    anne = files[0]
    anne.write_text(anne.read_text() + "b/3.png,(skip)\nb/4.png,(undone)\nb/5.png,(reject)\n")
    said = {given.image: given.label for given in read_answers(anne)[0]}
    assert (said.keys() - ANNE.keys(), said["b/5.png"]) == ({"b/5.png"}, "(reject)")


def test_two_people_in_one_file_and_a_third_beside_them_by_the_photos(files, tmp_path):
    anne, _, both = files
    for name in ANNE:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    merged = merge_answers([both, anne], images=tmp_path / "photos")
    people = [f"{both}: 1", f"{both}: bert@example.org", str(anne)]
    assert [(a.first, a.second, a.images, a.same) for a in merged.agreements] == [
        (people[0], people[1], 5, 3), (people[0], people[2], 5, 5), (people[1], people[2], 5, 3),
    ]  # fmt: skip
    assert merged.agreements[1].kappa == 1
    assert [c.image for c in merged.conflicts] == ["a/2.png", "b/2.png"]
    assert list(merged.conflicts[0].answers) == people
    (tmp_path / "photos" / "only.png").unlink()
    assert merge_answers([both, anne], images=tmp_path / "photos").left_out.counts == {"not in the folder of images": 3}


def test_kappa_of_one_class_is_not_defined_and_bad_sources_are_refused(files, tmp_path):
    anne, _, _ = files
    for name in ("x", "y"):
        (tmp_path / f"{name}.csv").write_text("path,label\n1.png,cat\n2.png,cat\n")
    (agreement,) = merge_answers([tmp_path / "x.csv", tmp_path / "y.csv"]).agreements
    assert agreement.kappa != agreement.kappa
    assert str(agreement).endswith("kappa not defined")
    with pytest.raises(SettingError, match=r"must be of two people or more, but got .*anne\.csv"):
        merge_answers([anne])
    with pytest.raises(SettingError, match="must differ"):
        merge_answers([anne, anne])
    (tmp_path / "link.csv").symlink_to(anne)
    (tmp_path / "x").mkdir()
    for again in (tmp_path / "link.csv", tmp_path / "x" / ".." / anne.name):
        with pytest.raises(SettingError, match="must differ"):
            merge_answers([anne, again])
    (tmp_path / "y.csv").write_text("path,label\n1.png,cat\n1.png,dog\n")
    with pytest.raises(DataError, match=r"line 3 of .*y\.csv gives 1\.png the class 'dog', but .* same person 'cat'"):
        merge_answers([anne, tmp_path / "y.csv"])


def test_a_session_is_one_person_by_whatever_folder_it_is_named_and_a_class_may_be_called_answer(tmp_path):
    (tmp_path / ".labels").mkdir()
    (tmp_path / ".labels" / "answers.csv").write_text("path,answer,batch\n1.png,answer,1\npath,answer,batch\n")
    with pytest.raises(SettingError, match="must differ"):
        merge_answers([tmp_path, tmp_path / ".labels"])
    (given,), _ = read_answers(tmp_path)
    assert given.label == "answer"


def test_the_command_prints_conflicts_and_writes_what_is_agreed(files, tmp_path):
    anne, bert, _ = files
    done = CliRunner().invoke(app, ["merge", str(anne), str(bert), "--out", str(tmp_path / "m.csv")])
    assert done.exit_code == 0, done.output
    assert "3 images merged, 2 in conflict and left out" in done.output
    assert "a/2.png" in done.output
    assert (tmp_path / "m.csv").read_text() == "path,label\na/1.png,cat\nb/1.png,cat\nonly.png,dog\n"
    found = json.loads(CliRunner().invoke(app, ["merge", str(anne), str(bert), "--json"]).output)
    assert [c["image"] for c in found["conflicts"]] == ["a/2.png", "b/2.png"]
    assert found["agreements"][0]["images"] == 4


def test_one_picture_under_two_ways_to_write_its_path_is_one(tmp_path):
    (tmp_path / "a.csv").write_text("path,label\ncat/1.jpg,cat\ncaf\u00e9.jpg,cat\nmice/2.jpg,cat\n", "utf-8")
    (tmp_path / "b.csv").write_text(
        "path,label\n.\\cat\\1.jpg,dog\ncafe\u0301.jpg,dog\nphotos/mice/2.jpg,dog\n", "utf-8"
    )
    merged = merge_answers([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert [conflict.image for conflict in merged.conflicts] == ["caf\u00e9.jpg", "cat/1.jpg"]
    assert "1 pairs of names may be one image" in str(merged.left_out)
    assert "mice/2.jpg and photos/mice/2.jpg" in str(merged.left_out)
    photos = tmp_path / "photos"
    for name in ("cat/1.jpg", "caf\u00e9.jpg", "mice/2.jpg"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(photos / name)
    assert len(merge_answers([tmp_path / "a.csv", tmp_path / "b.csv"], images=photos).conflicts) == 3


def test_no_name_of_a_file_is_a_command_to_the_terminal(tmp_path):
    evil = "\x1b]0;owned\x07\x1b[2J"
    for who, label in (("anne", "cat"), ("bert", "dog")):
        (tmp_path / f"{who}{evil}.csv").write_text(f"path,label\n{evil}.png,{label}\n")
    done = CliRunner().invoke(app, ["merge", *map(str, sorted(tmp_path.iterdir()))])
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    assert done.output.count(r"\x1b]0;owned\x07\x1b[2J") >= 3


def test_names_that_differ_in_case_or_escapes_are_told(tmp_path):
    (tmp_path / "a.csv").write_text("path,label\na.jpg,cat\nmy dog.jpg,dog\nb.jpg,cat\n")
    (tmp_path / "b.csv").write_text("path,label\nA.JPG,dog\nmy%20dog.jpg,cat\nb.jpg,cat\n")
    merged = merge_answers([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert "2 pairs of names may be one image" in str(merged.left_out)
    assert "A.JPG and a.jpg" in str(merged.left_out)


def test_what_programs_write_for_no_class_is_no_answer(tmp_path):
    (tmp_path / "a.csv").write_text("path,label\n1.jpg,cat\n2.jpg,nan\n3.jpg,NULL\n")
    (tmp_path / "b.csv").write_text("path,label\n1.jpg,cat\n2.jpg,dog\n")
    merged = merge_answers([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert merged.answers == {"1.jpg": "cat", "2.jpg": "dog"}
    assert merged.conflicts == []
    assert "lines whose label means none" in str(merged.left_out)
    assert len(read_answers(tmp_path / "a.csv", ["cat", "nan"])[0]) == 2
