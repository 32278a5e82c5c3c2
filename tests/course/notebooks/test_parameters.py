"""Parameters as Jupyter hands them over: the sources of the cells run so far in `In`, and the values as globals."""

import json

import pytest

from activekd_lab.course import notebooks
from activekd_lab.errors import RunFolderError, SettingError, UnknownNameError
from activekd_lab.runs.records import RunResult

pytestmark = pytest.mark.quick

CELL = """profile: str = "quick"  # smoke | quick | paper
rounds: int = 8  # query rounds
learning_rate: float = 0.1  # peak
"""


def namespace(*, injected="", cell=CELL):
    """Run the parameters cell, and what papermill would add, as a kernel does."""
    values = {"In": ["", "import activekd_lab", "%matplotlib inline", cell]}
    exec(cell, values)
    if injected:
        source = f"# Parameters\n{injected}"
        values["In"].append(source)
        exec(source, values)
    return values


def test_values_of_the_cell_become_a_configuration():
    found = notebooks.read_parameters(namespace())
    assert (found.profile, found.config.rounds, found.config.learning_rate) == ("quick", 8, 0.1)
    assert found.values == {"rounds": 8, "learning_rate": 0.1}


def test_values_given_to_papermill_replace_those_of_the_cell():
    assert notebooks.read_parameters(namespace(injected="rounds = 2\nlearning_rate = 1")).config.rounds == 2


def test_a_profile_sets_what_was_not_given():
    small = notebooks.read_parameters(namespace(injected='profile = "smoke"'))
    assert (small.config.rounds, small.config.steps) == (1, 20)
    assert notebooks.read_parameters(namespace(injected='profile = "smoke"\nrounds = 5')).config.rounds == 5
    assert notebooks.read_parameters(namespace(injected='profile = "paper"')).config.epochs == 200


def test_a_length_of_training_that_was_given_wins_over_the_profile():
    cell = CELL + "steps: int = 100  # a round\n"
    found = notebooks.read_parameters(namespace(cell=cell, injected='profile = "paper"\nsteps = 30'))
    assert (found.config.steps, found.config.epochs, found.config.rounds) == (30, None, 15)


def test_a_smoke_run_is_on_a_small_task():
    cell = CELL + 'task: str = "shapes"  # which images\n'
    assert notebooks.read_parameters(namespace(cell=cell)).config.task_options == {}
    small = notebooks.read_parameters(namespace(cell=cell, injected='profile = "smoke"'))
    assert small.config.task_options["pool_size"] < 1000


def test_a_name_that_was_not_declared_is_refused_with_the_nearest_first():
    message = r"Unknown parameter 'round'\. Known, nearest first: rounds"
    with pytest.raises(UnknownNameError, match=message):
        notebooks.read_parameters(namespace(injected="round = 2"))


@pytest.mark.parametrize("value", ['"three"', "2.5", "True", "None"])
def test_a_value_of_another_type_is_refused_with_the_help(value):
    with pytest.raises(SettingError, match=r"Parameter rounds \(query rounds\) must be int, but got "):
        notebooks.read_parameters(namespace(injected=f"rounds = {value}"))


def test_a_value_outside_its_range_and_an_unknown_profile_are_refused():
    with pytest.raises(SettingError, match=r"rounds .*greater than or equal to 0, but got -1"):
        notebooks.read_parameters(namespace(injected="rounds = -1"))
    with pytest.raises(UnknownNameError, match=r"Unknown profile 'fast'\. Known, nearest first: .*smoke"):
        notebooks.read_parameters(namespace(injected='profile = "fast"'))


def test_a_parameter_that_no_run_knows_is_declared_by_the_notebook():
    cell = CELL + "seeds: int = 3  # how many\n"
    assert notebooks.read_parameters(namespace(cell=cell), also=("seeds",)).values["seeds"] == 3
    with pytest.raises(UnknownNameError, match="Unknown setting 'seeds'. Known, nearest first: seed"):
        notebooks.read_parameters(namespace(cell=cell))


def test_a_type_that_is_no_builtin_and_a_missing_cell_are_refused():
    with pytest.raises(SettingError, match=r"Parameter budget must be one of int, .*, but got int \| None"):
        notebooks.read_parameters(namespace(cell=CELL + "budget: int | None = None  # labels\n"))
    with pytest.raises(SettingError, match=r"No cell declares `profile: str"):
        notebooks.read_parameters({"In": ["", "x = 1"]})
    with pytest.raises(SettingError, match="run this in Jupyter"):
        notebooks.read_parameters({"rounds": 3})


def test_cells_without_history_are_known_by_their_annotations():
    """As nbval runs them: `In` holds the current cell alone."""
    left = {**namespace(), "In": ["", "notebooks.read_parameters(globals())"]}
    left["__annotations__"] = {name: type(left[name]) for name in ("profile", "task", "rounds") if name in left}
    assert notebooks.read_parameters(left).config.rounds == notebooks.read_parameters(namespace()).config.rounds


def test_the_result_file_holds_parameters_configuration_time_and_memory(tmp_path, capsys):
    found = notebooks.read_parameters(namespace())
    result = RunResult(found.config.identity(), (), (), 0.25, ("a", "b"), provenance={"device": "cpu"})
    notebooks.finish(found, result, tmp_path / "result.json")
    stored = json.loads((tmp_path / "result.json").read_text())
    assert stored["parameters"] == {"rounds": 8, "learning_rate": 0.1}
    assert stored["config"]["rounds"] == 8
    assert stored["teacher_accuracy"] == 0.25
    assert 10 < stored["peak_memory_mb"] < 100_000
    assert f"written to {tmp_path / 'result.json'}" in capsys.readouterr().out


def test_an_old_result_is_never_taken_for_a_new_one(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(RunFolderError, match=r"result\.json is there already; choose a new folder"):
        notebooks.execute(tmp_path / "any.ipynb", tmp_path)


def test_values_given_are_those_that_are_used(tmp_path):
    """Papermill puts its cell first where no cell has the tag, so that the notebook's own values would win."""
    values = {"In": ["", "# Parameters\nrounds = 2\nlearning_rate = float('nan')", CELL]}
    exec(CELL, values)
    with pytest.raises(SettingError, match=r"Parameter rounds was given as 2, but the cells set it to 8; the"):
        notebooks.read_parameters(values)
    values = namespace(injected="rounds = 2")
    values["rounds"] = 3  # by a later cell
    with pytest.raises(SettingError, match="Parameter rounds was given as 2, but the cells set it to 3"):
        notebooks.read_parameters(values)


def test_a_notebook_that_was_executed_before_and_lost_its_tags_is_refused():
    values = namespace(injected="rounds = 2")
    values["In"].append("# Parameters\nrounds = 5")
    exec(values["In"][-1], values)
    with pytest.raises(SettingError, match=r"Parameter rounds was given as 2 and as 5; take out the older cell"):
        notebooks.read_parameters(values)
    values = namespace(injected="rounds = 2")
    values["In"].append(values["In"][-1])  # the same cell again, as a person runs it
    assert notebooks.read_parameters(values).config.rounds == 2


def test_special_numbers_of_papermill_are_values():
    with pytest.raises(SettingError, match="learning_rate"):
        notebooks.read_parameters(namespace(injected="learning_rate = float('nan')"))
