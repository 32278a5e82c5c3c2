"""Output that survives terminals and pipes that cannot write ± or Chinese class names."""

from __future__ import annotations

import codecs
import sys
import unicodedata

_PLAIN = str.maketrans(
    {
        "±": "+-",
        "×": "x",
        "·": "*",
        "…": "...",
        "—": "-",
        "–": "-",
        "−": "-",
        "→": "->",
        "≥": ">=",
        "≤": "<=",
        "α": "alpha",
    }
    | {"“": '"', "”": '"', "‘": "'", "’": "'", "━": "=", "╌": "-", "✓": "ok", "✗": "x", "√": "sqrt ", "λ": "lambda"}
)


def speak_anywhere() -> None:
    """Let both streams write what their encoding lacks in ASCII, or as "?", instead of failing; UTF-8 stays."""
    codecs.register_error("activekd_plain", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="activekd_plain")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for the characters that cannot be encoded: a likeness, their letters without accents, or ?."""
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end].translate(_PLAIN)
    plain = (unicodedata.normalize("NFKD", c).encode("ascii", "ignore").decode() or "?" for c in letters)
    return "".join(plain), error.end
