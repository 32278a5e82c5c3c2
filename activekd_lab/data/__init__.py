"""Tasks, splits, and the pool that records which item was labelled when."""
