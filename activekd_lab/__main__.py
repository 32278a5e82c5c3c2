"""`python -m activekd_lab` is the command line."""

from activekd_lab.cli import main

main()
