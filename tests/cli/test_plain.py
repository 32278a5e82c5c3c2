"""What is printed survives every encoding, and colour is nobody's duty."""

import os
import subprocess
import sys

import pytest

import activekd_lab


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "activekd_lab", *arguments],
        env=os.environ | environment,
        check=False,
        capture_output=True,
        timeout=300,
    )


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii", "latin-1"])
def test_help_survives_a_pipe_of_another_encoding(encoding):
    done = command("run", "--help", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert b"--task-options NAME=VALUE" in done.stdout
    assert "give the flag once for" in " ".join(done.stdout.decode(encoding, "replace").split())


def test_what_an_encoding_lacks_is_written_in_ascii_and_what_it_has_stays():
    script = "from activekd_lab.cli.plain import speak_anywhere; speak_anywhere(); print('42 ± 2 … 猫 café ≥')"
    shown = {}
    for encoding in ("ascii", "cp1252", "utf-8"):
        environment = os.environ | {"PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
        shown[encoding] = done.stdout.decode(encoding).rstrip()
    assert shown == {"ascii": "42 +- 2 ... ? cafe >=", "cp1252": "42 ± 2 … ? café >=", "utf-8": "42 ± 2 … 猫 café ≥"}


def test_the_version_is_said_without_a_command():
    assert command("--version").stdout.decode().strip() == f"activekd-lab {activekd_lab.__version__}"


def test_help_names_every_command_and_imports_no_torch_and_no_settings():
    script = (
        "import sys; sys.argv = ['x', '--help']\nimport activekd_lab.cli as c\ntry: c.main()\nexcept SystemExit: pass\n"
    )
    script += "print(sorted({'torch', 'pydantic', 'rich', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    assert all(f"  {name} " in done.stdout for name in ("demo", "run", "compare", "cache", "bench", "selectors"))
    assert "Show what is kept" in done.stdout
