"""`python -m activekd_lab.cli`, for launchers that want a module."""

from activekd_lab.cli import main

main()
