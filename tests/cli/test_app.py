import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from typer.testing import CliRunner

from activekd_lab.cli.app import app, main
from activekd_lab.config import RunConfig
from activekd_lab.data import list_tasks
from activekd_lab.errors import DataError
from activekd_lab.selectors import list_selectors

COMMAND = [sys.executable, "-m", "activekd_lab.cli"]
TASK = [
    f"--task-options={option}" for option in ("num_classes=4", "pool_size=80", "test_per_class=5", "val_per_class=2")
]
TINY = ["--task", "shapes", *TASK, "--budget", "5", "--steps", "60", "--device", "cpu"]


def process(*arguments):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=300, check=False)


def test_every_setting_is_a_flag(call):
    text = call("run", "--help").stdout
    assert all(f"--{name.replace('_', '-')}" in text for name in RunConfig.model_fields)


def test_a_run_prints_a_line_a_round_and_json_on_request(call, tmp_path):
    done = process("run", *TINY, "--rounds", "1", "--store", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("round")] == ["0", "1"]
    again = json.loads(call("run", *TINY, "--rounds", "1", "--store", str(tmp_path), "--json").stdout)
    assert [r["labels"] for r in again["rounds"]] == [4, 9]


def test_templates_are_given_one_by_one(call, tmp_path):
    arguments = ["--templates", "a {}.", "--templates", "imagenet-7", "--few-shot", "tip_adapter", "--rounds", "0"]
    done = call("run", *TINY, *arguments, "--store", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    stored = json.loads((next(tmp_path.iterdir()) / "config.json").read_text())["config"]
    assert (stored["templates"], stored["few_shot"]) == (["a {}.", "imagenet-7"], "tip_adapter")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--selector", "pcorset"], "nearest first: pcoreset"),
        (["--task", "digit"], "nearest first: digits"),
        (["--rounds", "-2"], "rounds should be greater than or equal to 0, but got -2"),
        (["--task-options", "num_classes"], "expected name=value, but got 'num_classes'"),
        (["--steps", "3", "--epochs", "3"], "give one of them"),
        (["--templates", "a photo"], "exactly one '{}'"),
    ],
)
def test_bad_input_is_one_sentence_and_a_failure(call, arguments, message, tmp_path):
    done = (process if "--rounds" in arguments else call)("run", *arguments, "--store", str(tmp_path / "runs"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_student_is_saved_and_classifies_files(call, tmp_path):
    done = call(
        "run", *TINY, "--rounds", "0", "--store", str(tmp_path / "runs"), "--save-student", str(tmp_path / "mine")
    )
    assert done.returncode == 0, done.stderr
    Image.new("RGB", (40, 30), (200, 30, 30)).save(tmp_path / "photo.png")
    found = json.loads(
        call("predict", str(tmp_path / "mine"), str(tmp_path / "photo.png"), "--json", "--top", "4").stdout
    )
    assert sum(found[str(tmp_path / "photo.png")].values()) == pytest.approx(1, abs=1e-5)
    folder = json.loads(call("predict", tmp_path / "mine", tmp_path, "--json", "--top", "1").stdout)
    assert list(folder) == [str(tmp_path / "photo.png")]
    refused = call("predict", str(tmp_path / "mine"), str(tmp_path / "none.png"))
    assert refused.returncode == 1
    assert "none.png cannot be read (No such file or directory)" in refused.stderr


def test_a_place_for_the_student_that_cannot_be_written_is_said_before_the_run(tmp_path):
    (tmp_path / "taken").touch()
    place = str(tmp_path / "taken" / "mine")
    done = CliRunner().invoke(app, ["run", *TINY, "--store", str(tmp_path / "runs"), "--save-student", place])
    assert "cannot be written" in str(done.exception)
    assert not (tmp_path / "runs").exists()


def test_of_several_processes_the_first_prints_and_saves(tmp_path, monkeypatch):
    arguments = ["run", *TINY, "--steps", "2", "--rounds", "0", "--store", str(tmp_path / "runs")]
    for rank, said in (("1", ""), ("0", '{"folder": ')):
        monkeypatch.setenv("RANK", rank)
        student = tmp_path / rank
        done = CliRunner().invoke(app, [*arguments, "--json", "--save-student", str(student)])
        assert (done.exit_code, done.stdout[:11], student.exists()) == (0, said, rank == "0")


def test_a_report_of_stored_runs(call, tmp_path, monkeypatch):
    assert call("run", *TINY, "--rounds", "1", "--store", str(tmp_path / "runs")).returncode == 0
    done = call("report", str(tmp_path / "runs"), "--out", str(tmp_path / "page.html"))
    assert done.returncode == 0, done.stderr
    assert "<html" in (tmp_path / "page.html").read_text("utf-8")[:500]

    def missing(name, **options):
        raise DataError("The data folder of <shapes> does not exist.")

    monkeypatch.setattr("activekd_lab.data.load_task", missing)
    bare = call("report", tmp_path / "runs", "--out", tmp_path / "bare.html")
    assert bare.returncode == 0
    assert bare.stderr == "warning: no pictures of shapes: The data folder of <shapes> does not exist.\n"
    assert "No pictures: The data folder of &lt;shapes&gt; does not exist." in (tmp_path / "bare.html").read_text(
        "utf-8"
    )
    asked = call("report", tmp_path / "runs", "--out", tmp_path / "asked.html", "--no-images")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "No pictures: the report was made without" in (tmp_path / "asked.html").read_text("utf-8")
    empty = call("report", str(tmp_path / "none"))
    assert empty.returncode == 1
    assert "none cannot be read (No such file or directory)" in empty.stderr


def test_registries_are_listed(call):
    assert set(json.loads(call("tasks", "--json").stdout)) == set(list_tasks())
    assert set(json.loads(call("selectors", "--json").stdout)) == {s.name for s in list_selectors()}


def test_the_cache_is_listed_and_cleared(call, tmp_path, monkeypatch):
    monkeypatch.setenv("ACTIVEKD_LAB_CACHE", str(tmp_path / "cache"))
    assert process("run", *TINY, "--rounds", "0", "--store", str(tmp_path / "runs")).returncode == 0
    listed = json.loads(call("cache", "--json").stdout)
    assert {entry["kind"] for entry in listed["entries"]} == {"embeddings", "features", "shapes"}
    assert {"bundled, train", "bundled, test"} == {e["about"] for e in listed["entries"] if e["kind"] == "embeddings"}
    assert listed["bytes"] == sum(p.stat().st_size for p in (tmp_path / "cache").rglob("*.safetensors"))
    assert "deleted 2 files" in call("cache", "clear", "--kind", "embeddings").stdout
    assert {e["kind"] for e in json.loads(call("cache", "--json").stdout)["entries"]} == {"features", "shapes"}
    wrong = call("cache", "clear", "--kind", "embeding")
    assert wrong.returncode == 1
    assert "nearest first: embeddings" in wrong.stderr


def test_benches_are_commands(call):
    text = call("bench", "--help").stdout
    assert all(name in text for name in ("selectors", "teacher", "widgets"))
    refused = call("bench", "selectors", "--scale", "imagenette")
    assert refused.returncode == 1
    assert "nearest first: imagenet" in refused.stderr


def test_doctor_finds_this_installation_well(call):
    done = call("doctor", "--json")
    findings = json.loads(done.stdout)
    assert done.returncode == 0, findings
    assert {"device", "teacher", "student weights", "notebook widgets"} <= {f["check"] for f in findings}


def test_doctor_reports_a_cache_that_cannot_be_written(call, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ACTIVEKD_LAB_CACHE", str(tmp_path / "file" / "below"))
    done = call("doctor")
    assert done.returncode == 1
    assert "FAIL" in done.stdout


def test_killed_runs_continue_to_the_same_files(tmp_path):
    """Kill -9 at three random instants, then let it finish: the bytes of one undisturbed run.

    Each in a process of its own: how many threads this one has by now is up to other tests, and sums depend on it.
    """
    arguments = ["run", *TINY, "--rounds", "6"]
    assert process(*arguments, "--store", str(tmp_path / "whole")).returncode == 0
    seed = int.from_bytes(os.urandom(4), "big")
    rng = random.Random(seed)
    killed = 0
    for _ in range(3):
        running = subprocess.Popen([*COMMAND, *arguments, "--store", str(tmp_path / "cut")], stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(1, 8))
        if running.poll() is None:
            running.send_signal(signal.SIGKILL)
            killed += 1
        running.wait()
    assert killed >= 1
    assert process(*arguments, "--store", str(tmp_path / "cut")).returncode == 0
    for name in ("labels.csv", "rounds.jsonl", "config.json"):
        whole, cut = (next((tmp_path / kind).glob(f"*/{name}")).read_bytes() for kind in ("whole", "cut"))
        assert whole == cut, f"{name} differs; the instants came from seed {seed}"


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["report", "", "--out", "r.html"], "an argument"),
        (["report", "x", "--out="], "--out"),
        (["report", "x", "--out", ""], "--out"),
        (["label", "x", "--session", "", "--seed", "1"], "--session"),
        (["data", "check", ""], "an argument"),
        (["lab", "", "--", "--ServerApp.token="], "an argument"),
    ],
)
def test_an_empty_text_is_no_path(arguments, where, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["activekd-lab", *arguments])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert f"error: Expected a value for {where}, but got an empty text" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no such signals")
def test_a_job_that_a_shell_put_in_the_background_ignores_ctrl_c(tmp_path):
    (tmp_path / "script.py").write_text(
        "import os, signal, sys, typer, activekd_lab.cli.app as cli\n"
        "cli.app = typer.Typer()\ncli.app.callback()(lambda: None)\n"
        "@cli.app.command()\ndef y(): os.kill(os.getpid(), signal.SIGINT); print('went on')\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-m", "script", "y"]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a child inherits it
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.returncode, done.stdout) == (0, "went on\n"), done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no such signals")
@pytest.mark.parametrize(("name", "code", "said"), [("SIGTERM", 143, "SIGTERM"), ("SIGINT", 130, "Ctrl-C")])
def test_a_signal_ends_with_its_code_out_of_whatever_runs(name, code, said, tmp_path):
    """`python -m` ends by SIGINT once a KeyboardInterrupt left an `exec` of a text, as in a dataclass's making."""
    (tmp_path / "script.py").write_text(
        "import os, signal, sys, typer, activekd_lab.cli.app as cli\n"
        "cli.app = typer.Typer()\ncli.app.callback()(lambda: None)\n"
        "@cli.app.command()\ndef y(): exec('os.kill(os.getpid(), signal.NAME)\\nwhile True: pass')\n"
        "cli.main()\n".replace("NAME", name)
    )
    command = [sys.executable, "-m", "script", "y"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, f"stopped by {said}; what was finished is kept\n")


def test_a_text_option_is_taken_as_it_is_written():
    from activekd_lab.cli.flags import settings

    found = settings({"task": "folder", "task_options": ["path=1.10", "image_size=64", "template=1e5 of {}"]})
    assert found["task_options"] == {"path": "1.10", "image_size": 64, "template": "1e5 of {}"}
    assert settings({"task": "shapes", "task_options": ["long_tail=0.10"]})["task_options"] == {"long_tail": 0.1}
