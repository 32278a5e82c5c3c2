"""A process for notebooks: it ends with its parent, whatever it is doing, and never takes a failure for a success."""

import json
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import nbformat
import psutil
import pytest

from activekd_lab.config import RunConfig
from activekd_lab.course import notebooks, process
from activekd_lab.errors import DataError, NotebookError, RunFolderError

DONE = "import json\nopen('result.json', 'w').write(json.dumps({'seed': seed}))"


BARE = "from activekd_lab.course import process; process._PRELOAD = (); process.main()"
COMMAND = (sys.executable, "-X", "faulthandler", "-c", BARE)


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """Start without the imports that every job needs: they take seconds, and these notebooks need none."""
    monkeypatch.setattr(process, "_COMMAND", COMMAND)


def written(path, *cells, tags=("parameters",)):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.cells[0].metadata.tags = list(tags)
    notebook.metadata.kernelspec = {"name": "somebody-s-env", "display_name": "?", "language": "R"}
    nbformat.write(notebook, path)
    return path


def wait_for(condition, seconds=180):
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.05)
    return found


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"


def test_one_process_does_order_after_order_and_what_it_prints_lies_beside_each(tmp_path):
    source = written(
        tmp_path / "a.ipynb", "seed = 0", "import os\nos.system('echo from a child')\nprint(os.getpid())", DONE
    )
    pids = []
    with process.NotebookProcess(tmp_path / "log") as running:
        for seed in (1, 2):
            folder = tmp_path / str(seed)
            folder.mkdir()
            assert running.execute(source, folder, {"seed": seed}) is None
            assert json.loads((folder / "result.json").read_text()) == {"seed": seed}
            stored = nbformat.read(folder / "a.ipynb", as_version=4)
            pids.append(stored.cells[2].outputs[-1].text.split()[-1])
            assert str(tmp_path) not in json.dumps(stored)  # it can be published
        pid = running._process.pid
    assert pids == [str(pid)] * 2
    assert not alive(pid)


def test_an_error_of_a_cell_is_final_and_a_death_is_worth_another_try(tmp_path):
    wrong = written(tmp_path / "wrong.ipynb", "raise KeyError('odd')")
    dead = written(tmp_path / "dead.ipynb", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with process.NotebookProcess(tmp_path / "log") as running:
        failure = running.execute(wrong, tmp_path, {})
        assert (failure.error, failure.lost) == ("KeyError: 'odd'", False)
        assert "raise KeyError('odd')" in failure.details
        failure = running.execute(dead, tmp_path, {})
        assert (failure.error, failure.lost) == ("its process ended with code -9; see log.txt and log", True)
        assert running.execute(written(tmp_path / "b.ipynb", "seed = 4", DONE), tmp_path, {}) is None  # a fresh one


def test_a_crash_in_native_code_leaves_its_stack_in_the_log(tmp_path):
    crash = written(tmp_path / "crash.ipynb", "import ctypes\nctypes.string_at(0)")
    with process.NotebookProcess(tmp_path / "log") as running:
        assert "code -11" in running.execute(crash, tmp_path, {}).error
    assert "Fatal Python error: Segmentation fault" in (tmp_path / "log.txt").read_text()


def test_a_time_out_and_a_stop_end_the_process_and_what_it_started(tmp_path):
    source = (
        "import subprocess, sys, time\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    )
    source += "\nopen('pid', 'w').write(str(child.pid))\ntime.sleep(600)"
    endless = written(tmp_path / "endless.ipynb", source)
    with process.NotebookProcess(tmp_path / "log") as running:
        failure = running.execute(endless, tmp_path, {}, stopped=(tmp_path / "pid").exists)
        assert failure == process.Failure("stopped")
        child = int((tmp_path / "pid").read_text())
        wait_for(lambda: not alive(child))
        failure = running.execute(endless, tmp_path, {}, timeout=0.3)
        assert failure == process.Failure("it took longer than 0.3 s", lost=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_parent_leaves_nothing_and_the_next_execution_works_at_once(tmp_path, number):
    text = "import subprocess, sys, time, os\nfrom pathlib import Path\nif not Path('../again').exists():\n"
    text += "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    text += "    Path('pids').write_text(f'{os.getpid()} {child.pid} .')\n    time.sleep(600)"
    source = written(tmp_path / "n.ipynb", "seed = 0", text, DONE)
    call = f"from activekd_lab.course import notebooks, process; process._COMMAND = {COMMAND}; "
    call += f"notebooks.execute({str(source)!r}, {str(tmp_path / 'out')!r})"
    parent = subprocess.Popen([sys.executable, "-c", call])
    pids = tmp_path / "out" / "pids"
    wait_for(lambda: pids.exists() and pids.read_text().endswith("."))
    parent.send_signal(number)
    parent.wait()
    for pid in pids.read_text().split()[:2]:
        wait_for(lambda pid=pid: not alive(int(pid)), seconds=30)
    (tmp_path / "again").touch()
    assert notebooks.execute(source, tmp_path / "out", seed=7) == {"seed": 7}


def test_an_idle_process_ends_itself_and_costs_the_next_order_nothing(tmp_path, monkeypatch):
    command = "from activekd_lab.course import process; process._PRELOAD, process._IDLE = (), 0.1; process.main()"
    monkeypatch.setattr(process, "_COMMAND", (sys.executable, "-X", "faulthandler", "-c", command))
    with process.NotebookProcess(tmp_path / "log") as running:
        for seed in (1, 2):
            folder = tmp_path / str(seed)
            folder.mkdir()
            assert running.execute(written(tmp_path / "a.ipynb", "seed = 0", DONE), folder, {"seed": seed}) is None
            assert running._process.wait(180) == 0


def test_an_order_that_an_idle_process_did_not_read_is_given_to_the_next_one(tmp_path, monkeypatch):
    """The process ends just when the order comes."""
    source = written(tmp_path / "a.ipynb", "seed = 3", DONE)
    with process.NotebookProcess(tmp_path / "log") as running:
        fresh = process._COMMAND
        monkeypatch.setattr(process, "_COMMAND", (sys.executable, "-c", "import sys; sys.stdin.readline()"))
        running._running()
        monkeypatch.setattr(process, "_COMMAND", fresh)
        assert running.execute(source, tmp_path, {}) is None


def test_a_fresh_process_takes_over_after_many_orders(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_MOST", 2)
    found = []
    with process.NotebookProcess(tmp_path / "log") as running:
        for seed in range(3):
            folder = tmp_path / str(seed)
            folder.mkdir()
            running.execute(written(tmp_path / "a.ipynb", "seed = 0", DONE), folder, {"seed": seed})
            found.append(running._process.pid)
    assert found[0] == found[1] != found[2]


def test_what_cannot_be_prepared_is_a_sentence(tmp_path):
    with process.NotebookProcess(tmp_path / "log") as running:
        failure = running.prepare(RunConfig(task="eurosat", task_options={"root": str(tmp_path / "none")}), tmp_path)
    assert failure.error.startswith("DataError: ")


@pytest.mark.parametrize("folder", ["t" * 200 + "/" + "t" * 200])
def test_no_kernelspec_and_no_long_temporary_folder_matter(tmp_path, monkeypatch, folder):
    """Nothing is looked up in Jupyter's folders, and no socket lies in a path."""
    place = tmp_path / "kernels" / "python3"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps({"argv": ["false"], "display_name": "x", "language": "python"}))
    long = tmp_path / folder
    long.mkdir(parents=True)
    for name in ("TMPDIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(long))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    source = written(tmp_path / "n.ipynb", "seed = 0", DONE)
    assert notebooks.execute(source, long / "out", seed=1) == {"seed": 1}


def test_execute_says_in_a_sentence_why_there_is_no_result(tmp_path):
    source = written(tmp_path / "n.ipynb", "seed = 0")
    with pytest.raises(NotebookError, match=r"n\.ipynb ended without result\.json"):
        notebooks.execute(source, tmp_path / "out")
    with pytest.raises(NotebookError, match=r"m\.ipynb did not finish: NameError: name 'seed' is not defined \(see "):
        notebooks.execute(written(tmp_path / "m.ipynb", DONE, tags=()), tmp_path / "other")
    with pytest.raises(RunFolderError, match="would be replaced; choose another folder"):
        notebooks.execute(source, tmp_path)
    with pytest.raises(DataError, match=r"none\.ipynb cannot be read"):
        notebooks.execute(tmp_path / "none.ipynb", tmp_path / "out")
    (tmp_path / "bad.ipynb").write_text("{}")
    with pytest.raises(DataError, match=r"bad\.ipynb is damaged \(cells: Field required"):
        notebooks.execute(tmp_path / "bad.ipynb", tmp_path / "out")


def test_a_process_that_somebody_starts_by_hand_kills_no_shell():
    """It ends alone where the process group is not its own: that of the shell, or of these tests."""
    assert subprocess.run(process._COMMAND, stdin=subprocess.DEVNULL, check=False, timeout=180).returncode == 1


def test_a_traceback_names_no_folder_of_this_machine(tmp_path):
    try:
        json.loads("{")
    except ValueError as error:
        text = process.anonymous("".join(traceback.format_exception(error)) + f'File "{Path.home() / "x.py"}"')
    assert 'File "json' in text
    assert str(Path(json.__file__).parents[1]) not in text
    assert str(Path.home()) not in text
