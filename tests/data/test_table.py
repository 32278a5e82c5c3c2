"""Tables of labels as Windows, Excel, pandas and Kaggle write them."""

import os

import numpy as np
import pytest
from PIL import Image

from activekd_lab.data import FolderTask
from activekd_lab.errors import DataError


@pytest.fixture
def photos(tmp_path):
    for i in range(4):
        place = tmp_path / "photos" / "ab"[i // 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{i % 2}.png")
    return tmp_path / "photos"


def read(photos, rows, header="path,label", encoding="utf-8", newline="\n"):
    table = photos.parent / "labels.csv"
    table.write_bytes(newline.join([header, *rows, ""]).encode(encoding))
    return FolderTask(photos, labels=table, image_size=8, test_share=0)


@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        ([r"a\0.png,cat", r"b\0.png,dog"], {"newline": "\r\n", "encoding": "utf-8-sig"}),
        (["a/0.png;cat", "b/0.png;dog"], {"header": "Path;Label"}),
        (["a/0.png\tcat", "b/0.png\tdog"], {"header": "file name\tClass", "encoding": "utf-16"}),
        (['"a/0.png", "cat"', '"b/0.png", dog'], {"header": '"filename", "category"'}),
        (["1,a/0,cat", "2,b/0,dog"], {"header": "id,image,species"}),
        (
            ["7,0.png,a/0.png,cat,cat,x", r"8,0.png,b\0.png,dog,dog,a/1"],
            {"header": "id,filename,path,class,label,name"},
        ),
        (["photos/a/0.png,cat", "./b/0.png,dog"], {"header": "img_path,target"}),
        (["a/0.png;cat", "b/0.png;dog"], {"header": "sep=;\nfile;class"}),
    ],
)
def test_tables_of_other_programs(photos, rows, settings):
    task = read(photos, rows, **settings)
    assert (task.class_names, task.train.labels.tolist()) == (("cat", "dog"), [0, 1])
    assert task.left_out.counts["files that the table does not list"] == 2


def test_absolute_paths_below_the_folder(photos):
    assert len(read(photos, [f"{photos}/a/0.png,cat", f"{photos}/b/0.png,dog"]).train) == 2
    with pytest.raises(DataError, match="leads out of"):
        read(photos, ["/etc/a.png,cat"])


def test_a_column_of_splits_is_obeyed(photos):
    rows = ["a/0.png,cat,Train", "a/1.png,cat,training", "b/0.png,dog,train", "b/1.png,dog,valid"]
    task = read(photos, rows, header="path,label,subset")
    assert (task.train.labels.tolist(), task.test.labels.tolist()) == ([0, 0, 1], [1])
    folds = read(photos, [f"{row.rpartition(',')[0]},{i}" for i, row in enumerate(rows)], header="path,label,split")
    assert (len(folds.train), folds.left_out.notes) == (
        4,
        ["The column of splits has no train beside another, so it is not used."],
    )


def test_what_other_programs_write_for_nothing_is_no_class(photos):
    task = read(photos, ["a/0.png,nan", "path,label", "a/1.png,cat\u200b", "b/0.png,cat", "b/1.png,dog"])
    assert (task.class_names, task.train.labels.tolist()) == (("cat", "dog"), [-1, 0, 0, 1])
    for word in ("NA", "N/A", "NULL", "null", "None"):
        task = read(photos, [f"a/0.png,{word}", "a/1.png,cat", "b/0.png,dog"])
        assert (task.class_names, task.train.labels.tolist()) == (("cat", "dog"), [-1, 0, 1])
        assert task.left_out.notes == [f"{word} is taken for no label; name it in class_names if it is a class."]


@pytest.mark.parametrize("names", [["nan", "x"], ["NA", "None"], ["Cat", "cat"], ["straße", "strasse"], ["1", "01"]])
def test_classes_that_are_given_are_read_back_however_alike(photos, names):
    (photos.parent / "labels.csv").write_text(f"path,label\na/0.png,{names[0]}\na/1.png,{names[1]}\n")
    task = FolderTask(photos, names, labels=photos.parent / "labels.csv", image_size=8, test_share=0)
    assert task.train.labels.tolist() == [0, 1]


@pytest.mark.parametrize("odd", ["\x85", "\u2028", "\x0b"])
def test_only_line_ends_end_a_line(photos, odd):
    (photos / "a" / "0.png").rename(photos / "a" / f"0{odd}.png")
    task = read(photos, [f"a/0{odd}.png,cat", "b/0.png,dog"])
    assert task.train.labels.tolist() == [0, 1]


def test_a_row_twice_counts_once(photos):
    task = read(photos, ["a/0.png,cat", "./a/0.png,cat", "b/0.png,", "b/0.png,dog"])
    assert task.train.labels.tolist() == [0, 1]
    assert task.left_out.counts["lines that name a file again"] == 2


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (
            ["a/0.png,cat", "a/1.png,dog", r"a\0.png,dog"],
            "path,label",
            "'cat' in line 2 and 'dog' in line 4",
        ),
        (["a/0.png,1", "b/0.png,1.0"], "path,label", "mean the same: '1' in line 2 and '1.0' in line 3"),
        (["a/0.png,01", "b/0.png,1"], "path,label", "mean the same: '01' in line 2 and '1' in line 3"),
        (['a/0.png,"1,0"', "b/0.png,1"], "path,label", "mean the same: '1,0' in line 2 and '1' in line 3"),
        (["a/0.png,cat,dog"], "path,label,label", "the columns label and label, which could both be the label and"),
        (["a/0.png,cat,cat", "b/0.png,cat,dog"], "path,label,class", r"label and class, .* in line 3 \('cat', 'dog'\)"),
        (["a/0.png,cat,", "b/0.png,dog,dog"], "file,Category,y", r"Category and y, .* in line 2 \('cat', ''\)"),
        (
            ["a/0.png,b/0.png,cat"],
            "path,file,label",
            "path and file, which could both be the path and differ in line 2",
        ),
        (["a/0.png,b/0.png,cat"], "name,image,label", "image and name, which could both be the path and differ"),
        (["a/0.png,a/1,cat"], "file,path,label", "path and file, which could both"),
        (["a/0.png,cat,train,test"], "path,label,split,set", "split and set, which could both be the split and differ"),
        (["a/0.png,cat,train", "a/0.png,cat,test"], "path,label,split", "two splits: 'train' in line 2 and 'test' in"),
        (["a/0.png,x,train", "b/0.png,y,test", "b/1.png,y,"], "path,label,split", "has the split '' beside train"),
        (["a/0.png,Cat", "b/0.png,cat"], "path,label", "mean the same: 'Cat' in line 2 and 'cat' in line 3"),
        ([",cat", "b/0.png,dog"], "path,label", "no path in line 2"),
        (["a/0.png,cat,x"], "path,label", "3 cells in line 2, but 2 columns"),
        (["a/0.png:cat"], "path:label", "its first line is 'path:label'; write path,label there"),
        (['"a/0.png,cat'], "path,label", "is no CSV"),
        (["a/0.png,b\x1a"], "path,label", r"the label 'b\\x1a' in line 2, which cannot be read"),
        ([], "9" * 100_000, "first line is '999"),
        (["a/0.png," + "[" * 200_000], "path,label", "field larger than field limit"),
        ([], "path,label", "at least one row"),
    ],
)
def test_tables_that_cannot_be_used_name_the_lines(photos, rows, header, message):
    with pytest.raises(DataError, match=message):
        read(photos, rows, header=header)


def test_one_picture_with_two_labels_is_refused(photos):
    (photos / "b" / "copy.png").write_bytes((photos / "a" / "0.png").read_bytes())
    with pytest.raises(DataError, match=r"1 pictures have two labels: a/0\.png \(cat\) and b/copy\.png \(dog\)"):
        read(photos, ["a/0.png,cat", "b/copy.png,dog"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_refused_before_it_can_hang(photos):
    os.mkfifo(photos / "labels.csv")
    with pytest.raises(DataError, match="a device or pipe, not a file"):
        FolderTask(photos, labels=photos / "labels.csv")
