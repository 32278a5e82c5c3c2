"""Checks for the notebooks' exercises: `check("03.entropy", entropy)` says whether a function is right, or why not.

One file a notebook; each check is registered by name in `base.CHECKS`. How to write one: see `base`.
"""

from activekd_lab.course.checks.base import CheckResult, check, names, solved

__all__ = ["CheckResult", "check", "names", "solved"]
