"""The lazy exact search behind `k_center_greedy`: bounds instead of distances wherever a bound decides."""
