"""The one place that writes and reads files: whole or not at all, and in one sentence where the disk says no."""
