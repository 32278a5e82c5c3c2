"""Grids: expanded, checked whole, named by what they would compute."""

import itertools

import pytest

from activekd_lab.course.lab import USUAL, find_notebooks
from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.studies import grid

pytestmark = pytest.mark.quick

FOLDER = find_notebooks(USUAL)  # the notebooks beside the package


def write(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def read(folder, text, profile="quick"):
    return grid.read_grid(write(folder, text), profile=profile, notebooks=FOLDER)


def test_a_grid_is_every_combination_and_a_profile_changes_it(tmp_path):
    text = "grid: {task: digits, selector: [random, pcoreset], seed: [0, 1, 2]}\nprofiles: {smoke: {seed: 7}}"
    study = read(tmp_path, text)
    assert [(job.config.selector, job.config.seed) for job in study.jobs] == [
        (selector, seed) for selector in ("random", "pcoreset") for seed in range(3)
    ]
    assert study.axes == {"task": ["digits"], "selector": ["random", "pcoreset"], "seed": [0, 1, 2]}
    smoke = read(tmp_path, text, "smoke")
    assert [job.config.seed for job in smoke.jobs] == [7, 7]
    assert {job.config.rounds for job in smoke.jobs} == {1}


def test_several_grids_are_joined_and_all_takes_every_selector(tmp_path):
    study = read(tmp_path, "grid:\n- {selector: all, task: digits}\n- {selector: random, task: shapes}")
    selectors = [job.config.selector for job in study.jobs if job.config.task == "digits"]
    assert len(selectors) == len(set(selectors)) >= 12
    assert len(study.jobs) == len(selectors) + 1


@pytest.mark.parametrize(
    ("mode", "few_shot", "method"),
    [
        ("zero-shot", "none", "dho"),
        ("clap", "clap", "dho"),
        ("tip", "tip_adapter", "dho"),
        ("none", "none", "ce"),
        ("tip-f", "tip_adapter_f", "dho"),
        ("linear-probe", "linear_probe", "dho"),
    ],
)
def test_teacher_modes_are_settings_of_a_run(tmp_path, mode, few_shot, method):
    (job,) = read(tmp_path, f"grid: {{teacher_mode: {mode}, budget: 0, options: {{image_size: 96}}}}").jobs
    assert (job.config.few_shot, job.config.method, job.config.budget) == (few_shot, method, None)
    assert job.config.image_size == 96


@pytest.mark.parametrize("profile", ["smoke", "quick", "paper"])
@pytest.mark.parametrize(("length", "steps", "epochs"), [("epochs: 50", None, 50), ("steps: 50", 50, None)])
def test_options_win_over_what_a_profile_sets(tmp_path, profile, length, steps, epochs):
    (job,) = read(tmp_path, f"grid: {{options: {{{length}}}}}", profile).jobs
    assert (job.config.steps, job.config.epochs) == (steps, epochs)


def test_all_mistakes_are_listed_at_once_and_nothing_else(tmp_path):
    text = """grid:
  tsak: digits
  selector: [random, pcorset]
  seed: [0, three]
  rounds: []
  teacher_mode: [none, clapp]
  method: [dho, kd]
"""
    with pytest.raises(SettingError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert "was refused, and nothing ran" in message
    for part in (
        "Unknown parameter 'tsak'. Known, nearest first: task",
        "Unknown selector 'pcorset'. Known, nearest first: pcoreset",
        "Parameter seed (derives every random step) must be int, but got 'three'",
        "Parameter rounds has no value",
        "Unknown teacher_mode 'clapp'. Known, nearest first: clap",
        "method='kd' needs a teacher, but got teacher_mode='none'",
    ):
        assert message.count(part) == 1, part
    assert message.count("\n- ") == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; it needs at least `grid:`"),
        ("grid:", "is empty"),
        ("grid: [", r"Line 1 of .* is damaged (no YAML"),
        ("grid: {seed: 0}\nprofile: {}", "Unknown key 'profile'. Known, nearest first: profiles"),
        ("grid: {seed: 0}\nprofiles: {fast: {}}", "Unknown profile 'fast'"),
        ("grid: seed", "must map parameters to values"),
        ("grid: {seed: [1, 1]}", "stands there twice"),
        ("grid: {options: {seed: 3}}", "options may not hold seed"),
        ("grid: {options: {few_shot: clap}}", "options may not hold few_shot; set teacher_mode to one of zero-shot"),
        ("grid: {store: elsewhere}", "Unknown parameter 'store'"),
    ],
)
def test_what_is_no_grid_is_refused(tmp_path, text, message):
    with pytest.raises(SettingError, match=message.replace("(", r"\(")):
        read(tmp_path, text)


def test_a_missing_file_an_unknown_profile_and_an_unknown_study_are_refused(tmp_path):
    with pytest.raises(SettingError, match="cannot be read"):
        grid.read_grid(tmp_path / "none.yaml")
    with pytest.raises(UnknownNameError, match="Unknown profile 'fast'"):
        grid.load_study("bundled-all", profile="fast")
    with pytest.raises(UnknownNameError, match=r"Unknown study 'bundled'\. Known, nearest first: bundled-all"):
        grid.load_study("bundled")


@pytest.mark.parametrize("profile", ["smoke", "quick", pytest.param("paper", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", grid.list_studies())
def test_every_packaged_study_can_be_expanded(name, profile):
    study = grid.load_study(name, profile=profile, notebooks=FOLDER)
    assert study.jobs
    assert study.about


def test_the_offline_study_is_the_promised_one():
    study = grid.load_study("bundled-all", profile="quick", notebooks=FOLDER)
    assert len(study.jobs) == 12 * 2 * 3 * 3


def test_a_name_depends_on_the_run_and_its_parameters(tmp_path):
    (job,) = read(tmp_path, "grid: {seed: 0, task: digits}").jobs
    (again,) = read(tmp_path, "grid: {task: digits, seed: 0}").jobs
    (other,) = read(tmp_path, "grid: {seed: 1, task: digits}").jobs
    assert job.name == again.name != other.name
    assert job.name.startswith("digits-pcoreset-zero-shot-s0-")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in itertools.pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: {seed: [" + ", ".join(map(str, range(1000))) + "], rounds: [" + ", ".join(map(str, range(1000))) + "]}",
         "The grid makes 1,000,000 jobs, at most 20,000 are run; split it"),
        ("grid: {" + ", ".join(f"{name}: [{', '.join(map(str, range(10)))}]" for name in ("seed", "rounds", "budget",
         "initial_per_class")) + ", options: [" + ", ".join(f"{{steps: {n}}}" for n in range(1, 101)) + "]}",
         "at most 20,000 are run"),
        (BOMB + "grid: {options: {x: *i}}", "mine.yaml is damaged (no YAML: more than 100,000 values)"),
        ("grid: &a {options: *a}", "mine.yaml is damaged (no"),
        ("grid: " + "[" * 5000, "mine.yaml is damaged (nested too deep)"),
        ("grid: " + "{options: " * 40 + "1" + "}" * 40, "nested deeper than 20"),
        ("grid:\n  seed: 010\n", "mine.yaml is damaged (no YAML: the number 010; write it in digits)"),
        ("grid:\n  seed: 1:30\n", "mine.yaml is damaged (no YAML: the number 1:30"),
        ("grid: {seed: " + "9" * 5000 + "}", "mine.yaml is damaged (no YAML: Exceeds the limit"),
        ("grid: {seed: 99999999999999999999}", "an integer of more than 63 bits"),
        ("grid:\n  seed: 0\n  seed: 1\n", "Line 3 of", ),
        ("grid:\n  seed: 0\n  task: [\n", "Line 4 of"),
        ("grid:\n  seed: 2020-01-01\n", "is no text, number or truth value"),
        ("grid:\n  seed: 2020-13-45\n", "mine.yaml is damaged (no YAML: month must be in 1..12"),
        ("grid: {task_options: {1: 2}}", "the key 1 is no text"),
        ("grid: {task: !!python/object:os.system x}", "Line 1 of"),
        pytest.param("grid: {task: [" + ", ".join(f"t{n}" for n in range(5000)) + "]}", "and 4,980 more",
                     marks=pytest.mark.slow),
    ],
    ids=range(17),
)  # fmt: skip
def test_what_would_hang_or_fill_the_memory_is_a_sentence(tmp_path, text, message):
    with pytest.raises(SettingError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)


def test_what_is_no_text_or_no_file_is_a_sentence_with_its_line(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"title: a\ngrid: {task: \xff}\n")
    with pytest.raises(SettingError, match=r"Line 2 of .*mine\.yaml is damaged \(not UTF-8\); mend the grid"):
        grid.read_grid(tmp_path / "mine.yaml", notebooks=FOLDER)
    with pytest.raises(SettingError, match="cannot be read"):
        grid.read_grid(tmp_path, notebooks=FOLDER)
    (tmp_path / "mine.yaml").write_bytes("grid: {seed: 0}".encode("utf-8-sig"))  # as Windows' editor saves it
    assert len(grid.read_grid(tmp_path / "mine.yaml", notebooks=FOLDER).jobs) == 1


def test_an_alias_and_a_merge_are_yaml_as_people_use_it(tmp_path):
    text = "grid:\n- &base {seed: [0, 1], task: digits}\n- {<<: *base, selector: random}\n"
    assert len(read(tmp_path, text).jobs) == 4
