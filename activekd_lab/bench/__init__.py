"""Benchmarks: each module measures both sides of its ratios in one run. `activekd-lab bench` prints them."""
