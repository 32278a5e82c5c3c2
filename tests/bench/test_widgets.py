from activekd_lab.bench.widgets import measure


def test_a_move_sends_only_what_changed():
    times = measure(size=3000, classes=6, moves=3)
    assert 1_000 < times.move_bytes < 60_000  # positions of picks, words, one sheet of thumbnails; not 3,000 points
    assert times.move_cpu_ms > 0
