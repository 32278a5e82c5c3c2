"""What a learner's statements change counts for the answer, as it does in Jupyter."""

import nbformat
import pytest

from activekd_lab.course.answers import read_exercises
from activekd_lab.course.exercise_process import make

pytestmark = pytest.mark.quick
ANSWER = "def entropy(p):\n    return terms[0] * p"
KNOWN = {"03.entropy": "entropy"}


def left_by(tmp_path, *cells):
    """Return what the answer of a notebook gives for 2."""
    sources = [*cells, 'akd.course.check("03.entropy", entropy)']
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    (exercise,) = read_exercises(tmp_path / "a.ipynb", KNOWN)
    function, problem = make(exercise.pieces)
    assert problem is None, problem
    return function(2)


@pytest.mark.parametrize(
    "change",
    [
        "for s in (3,):\n    terms.append(s)", "if True:\n    terms.append(3)", "while not terms:\n    terms.append(3)",
        "with open('/dev/null'):\n    terms.append(3)", "def fill(t):\n    t.append(3)\nfill(terms)",
        "import heapq\nheapq.heappush(terms, 3)", "[terms.append(s) for s in (3,)]", "_ = terms.append(3)",
        "t = terms\nt.append(3)", "def init():\n    global terms\n    terms = [3]\ninit()",
        "def reg(f):\n    terms.append(3)\n    return f\n@reg\ndef other():\n    pass",
        "match terms:\n    case []:\n        terms.append(3)",
    ],
)  # fmt: skip
def test_a_table_filled_in_any_way_counts(change, tmp_path):
    assert left_by(tmp_path, "terms = []", change, ANSWER) == 6


def test_an_attribute_set_by_setattr_counts(tmp_path):
    code = "class H:\n    s = 1", "setattr(H, 's', 3)", "def entropy(p):\n    return H.s * p"
    assert left_by(tmp_path, *code) == 6


def test_what_changes_nothing_of_the_answer_is_left_out(tmp_path):
    others = "import time\nother = []\nfor i in range(3):\n    other.append(time.sleep(100))"
    assert left_by(tmp_path, "terms = [3]", others, ANSWER, "time.sleep(100)") == 6


@pytest.mark.parametrize("wrap", ["match 1:\n    case 1:\n        ", "while True:\n    ", "if True:\n    "])
def test_an_answer_may_be_defined_within_any_statement(wrap, tmp_path):
    pad = " " * (len(wrap) - len(wrap.rstrip(" ")))
    code = wrap + f"def entropy(p):\n{pad}    return 3 * p" + f"\n{pad}break" * wrap.startswith("while")
    assert left_by(tmp_path, code) == 6
