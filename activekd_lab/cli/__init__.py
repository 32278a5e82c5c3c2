"""The command line: `activekd-lab COMMAND`, one file a group of commands."""

from activekd_lab.cli.app import main

__all__ = ["main"]
