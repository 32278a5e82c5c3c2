"""Submissions that mean harm: none reads the instructor's folder, forges a score, outlives its time or fills memory."""

import os

import pytest

CHEAT = "def accuracy(p, y):\n    {}\n    return 0.6\n"


def first(grader, path):
    """Return the grade of 00.accuracy, and see that the honest exercise beside it has kept its points."""
    accuracy, surplus = grader.grade(path)
    assert (surplus.result.status, surplus.points) == ("passed", 1), surplus
    return accuracy


@pytest.fixture
def cheating(grader, handed_in):
    """Return a function that grades a solved notebook whose first answer is replaced."""
    return lambda source: first(grader, handed_in(solved=True, accuracy=source))


@pytest.fixture
def impatient(grader, monkeypatch):
    monkeypatch.setattr(grader, "_seconds", 3.0)


def test_the_solution_earns_its_points_unflagged(cheating):
    found = cheating("def accuracy(p, y):\n    return (p.argmax(1) == y).double().mean()")
    assert (found.result.status, found.points, found.flags) == ("passed", 1, ())


READERS = {
    "open": "text = open({path!r}).read()",
    "os": "import os; text = os.read(os.open({path!r}, 0), 99).decode()",
    "C": "import ctypes; c = ctypes.CDLL(None); f = c.open({path!r}.encode(), 0); b = ctypes.create_string_buffer(99); "
    "n = c.read(f, b, 99); text = b.raw[:max(n, 0)].decode(); assert n > 0, 'refused'",
    "torch": "import torch; text = bytes(torch.from_file({path!r}, size=9, dtype=torch.uint8).tolist()).decode()",
    "list": "import os; text = str(os.listdir({folder!r}))",
}


@pytest.mark.parametrize("way", READERS)
def test_the_instructors_folder_cannot_be_read(cheating, tmp_path, way):
    secret = tmp_path / "solution.txt"
    secret.write_text("THE SECRET")
    steal = READERS[way].format(path=str(secret), folder=str(tmp_path))
    found = cheating(f"def accuracy(p, y):\n    {steal}\n    raise ValueError(text)\n")
    assert found.points == 0
    assert "SECRET" not in found.result.message
    assert "solution.txt" not in found.result.message.replace(str(secret), "")


NATIVE = (
    "import ctypes, os\n    c = ctypes.CDLL(None, use_errno=True); r = {}\n"
    "    raise ValueError('DONE' if r >= 0 else f'refused {{ctypes.get_errno()}}')"
)


@pytest.mark.parametrize(
    "way",
    [
        "c.chmod({path}, 0)", "c.fchmodat(-100, {path}, 0, 0)", "c.utime({path}, None)", "c.chown({path}, 1, 1)",
        "c.setxattr({path}, b'user.x', b'v', 1, 0)", "c.truncate({path}, 0)", "c.unlink({path})",
        "c.rename({path}, b'x')",
    ],
)  # fmt: skip
def test_the_instructors_files_cannot_be_changed(cheating, tmp_path, way):
    """Landlock leaves a file's mode, owner, times and attributes free."""
    (tmp_path / "solution.txt").write_text("solution")
    before = (tmp_path / "solution.txt").stat()
    found = cheating(CHEAT.format(NATIVE.format(way.format(path=os.fsencode(tmp_path / "solution.txt")))))
    assert "refused" in found.result.message, found
    assert (tmp_path / "solution.txt").stat() == before


@pytest.mark.parametrize(
    "way",
    [
        "c.prlimit(os.getppid(), 7, (ctypes.c_ulong * 2)(64, 64), None)", "c.setpriority(0, os.getppid(), 19)",
        "c.fcntl(0, 8, os.getppid())", "c.fcntl(0, 10, 9)", "c.ioctl(0, 0x8901, (ctypes.c_int * 1)(os.getppid()))",
        "c.shmget(0, 1 << 20, 0o1600)", "c.msgget(0, 0o1600)", "c.semget(0, 1, 0o1600)", "c.memfd_create(b'x', 0)",
    ],
)  # fmt: skip
def test_it_sets_no_limit_sends_no_signal_in_a_roundabout_way_and_leaves_no_memory(cheating, way):
    assert "refused 1 " in cheating(CHEAT.format(NATIVE.format(way))).result.message


WRITE = """import os, json
    for n in range(3, 64):
        m = memoryview({})
        try:
            while m: m = m[os.write(n, m):]
        except OSError: pass"""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("b'{}\\n' * 10**6", "wrote into the pipe"),
        ("b'{\"id\": 1, \"value\": [' + b'[],' * 5 * 10**6 + b'[]]}\\n'", "larger than the grader reads"),
        ("json.dumps({'id': 1, 'value': {'set': [(2**61 - 1) * i for i in range(40000)]}}).encode() + b'\\n'",
         "cannot be read"),  # all of one hash, so each is compared with all before
        ("json.dumps({'id': 1, 'value': {'array': ['f4,' * 2**20, [0], []]}}).encode() + b'\\n'", "cannot be read"),
    ],
)  # fmt: skip
def test_what_it_writes_into_the_pipe_costs_the_grader_neither_time_nor_memory(cheating, line, words):
    assert words in cheating(CHEAT.format(WRITE.format(line))).result.message


PATCH = (
    "import activekd_lab.course.checks.base as b; b.same = b.close = lambda *a: 1; b.check = print; b.CHECKS.clear()"
)
FORGERIES = {
    "patching the checks": f"{PATCH}\ndef accuracy(p, y):\n    return 0.6",
    "a default argument": f"def accuracy(p, y, z=exec({PATCH!r})):\n    return 0.6",
    "an exit hook": "import atexit; atexit.register(print, 'passed')\ndef accuracy(p, y):\n    return 0.6",
    "the pipe": CHEAT.format(
        "import os, json\n    for n in range(3, 64):\n        for i in range(9):\n"
        "            try: os.write(n, json.dumps("
        "{'id': i, 'value': 0.6, 'status': 'passed', 'result': 'passed', 'points': 9}).encode() + b'\\n')\n"
        "            except OSError: pass"
    ),
    "garbage in the pipe": CHEAT.format(
        "import os\n    for n in range(3, 64):\n"
        "        try: os.write(n, b'\\x80\\x04garbage\\n')\n        except OSError: pass"
    ),
    "the values of the check's own file": "def accuracy(p, y):\n    return 0.6",
    "a tensor that equals everything": (
        "import torch\nclass T(torch.Tensor):\n    @classmethod\n"
        "    def __torch_function__(cls, f, t, a=(), k=None): return True\n"
        "    def tolist(self): return 0.5\n    detach = cpu = flatten = lambda self: self\n"
        "def accuracy(p, y):\n    return torch.ones(()).as_subclass(T)"
    ),
    "an array that equals everything": (
        "import numpy as np\nclass A(np.ndarray):\n    __eq__ = __le__ = __sub__ = lambda *a: True\n"
        "    def __array__(self, *a, **k): return np.float64(0.6)\n"
        "def accuracy(p, y):\n    return np.array(0.6).view(A)"
    ),
    "a text": "class S(str):\n    __eq__ = lambda *a: True\ndef accuracy(p, y):\n    return S('0.6')",
    "NaN": "def accuracy(p, y):\n    return float('nan')",
    "a thread": CHEAT.format(
        "import threading, gc, sys\n    def patch():\n        while True:\n"
        "            for m in list(sys.modules.values()):\n"
        "                for n in ('same', 'close', 'check', 'decode', '_call'):\n"
        "                    if hasattr(m, n): setattr(m, n, lambda *a, **k: 0.6)\n"
        "    threading.Thread(target=patch, daemon=True).start()"
    ),
    "an object that equals everything": (
        "class Yes(float):\n    __eq__ = __le__ = __lt__ = lambda *a: True\n    __hash__ = None\n"
        "def accuracy(p, y):\n    return Yes(0.6)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", FORGERIES)
def test_a_score_cannot_be_forged(cheating, way):
    found = cheating(FORGERIES[way])
    assert (found.result.status, found.points) == ("failed", 0), found


@pytest.mark.parametrize(
    "way",
    [
        "import os\n    if os.fork() == 0:\n        while True: pass",
        "import ctypes\n    if ctypes.CDLL(None).fork() == 0:\n        while True: pass",
        "import subprocess\n    subprocess.Popen(['sleep', '600'])",
        "import ctypes\n    ctypes.CDLL(None).system(b'sleep 600 &')",
        "import os\n    os.kill(os.getppid(), 9)",
        "import ctypes, os\n    assert ctypes.CDLL(None).kill(os.getppid(), 9) == 0, 'refused'",
        "import socket\n    socket.create_connection(('127.0.0.1', 9), 1)",
        "import ctypes\n    assert ctypes.CDLL(None).socket(2, 1, 0) >= 0, 'refused'",
    ],
)
def test_it_starts_no_process_kills_none_and_has_no_network(cheating, way):
    before = children()
    found = cheating(CHEAT.format(way))
    assert found.points == 0
    assert children() <= before, "something outlived the exercise"


@pytest.mark.parametrize(
    "source",
    [
        CHEAT.format("while True: pass"),
        "def accuracy(p, y, z=[i for i in iter(int, 1)]):\n    return 0.6",
        CHEAT.format("import time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(999)"),
        "class L:\n    def __array__(self, *a, **k):\n        while True: pass\ndef accuracy(p, y):\n    return L()",
    ],
)
def test_it_does_not_outlive_its_time(impatient, cheating, source):
    found = cheating(source)
    assert "It was stopped after 3 seconds" in found.result.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("x = bytearray(8 << 30)", "MemoryError"),
        ("x = [0]\n    while True: x = x + x", "MemoryError"),
        ("import torch; torch.zeros(8 << 30).sum()", "RuntimeError"),
        ("return 'x' * (20 << 20)", "larger than 8 MiB"),
        ("x = []; x.append(x); return x", "holds itself"),
        ("import os\n    while True: os.write(1, b'x' * 9999); p[9]", "IndexError"),
        ("import sys\n    while True: sys.stdout.write('x' * 99999); p[9]", "IndexError"),
        ("open('file', 'w').write('x')", "may not open"),
        ("import ctypes; c = ctypes.CDLL(None); f = c.open(b'file', 66, 511); assert f >= 0, 'refused'", "refused"),
        ("import os; os._exit(0)", "ended the Python process"),
        ("import ctypes; ctypes.string_at(0)", "ended the Python process"),
    ],
)
def test_memory_output_and_disk_are_bounded(cheating, body, words):
    found = cheating(CHEAT.format(body))
    assert found.points == 0
    assert words in found.result.message, found


def test_what_it_tried_is_flagged(cheating):
    found = cheating(CHEAT.format("try: open('/root/x')\n    except OSError: pass"))
    assert "tried to open /root/x" in found.flags


def children():
    """Return the process numbers below this one."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found
