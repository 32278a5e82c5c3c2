"""Both ways of the bench cut the same crops of the same pixels; its tables say what was measured."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from activekd_lab.bench import images as bench
from activekd_lab.bench.operations import PEAKS
from activekd_lab.data.decode import decode_files
from activekd_lab.rng import generator


def test_streaming_gives_the_rows_of_the_store(tmp_path):
    files = bench.write_photos(tmp_path / "a", 30, 48, generator(1, "a"))
    again = bench.write_photos(tmp_path / "b", 30, 48, generator(1, "a"))
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]
    ids = torch.tensor([29, 0, 7, 7])
    with ThreadPoolExecutor(2) as pool:
        streamed = bench.stream(files, 32, pool, ids)
    assert torch.equal(streamed, decode_files(files, 32).images[ids])
    assert streamed.unique().numel() > 100  # no flat pictures


def test_more_photos_than_are_drawn_are_copies(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "DRAWN", 7)
    files = bench.write_photos(tmp_path, 16, 32, generator(1, "a"))
    assert len({path.read_bytes() for path in files[:7]}) == 7
    assert [path.read_bytes() for path in files[7:]] == [files[i % 7].read_bytes() for i in range(7, 16)]


@pytest.mark.slow
def test_the_tables_have_a_row_a_step_and_a_card(capsys):
    steps, cards = bench.tables(100, side=40, size=32, say=print)
    assert [row[1] for row in steps.rows] == ["100"] * 5
    assert "writing 100 JPEGs of 40 px" in capsys.readouterr().out
    assert [row[0] for row in cards.rows] == list(PEAKS)
    for row in cards.rows:
        crops, disk = (float(row[i].replace(",", "")) for i in (1, 4))
        assert abs(disk - crops * 3 * 32**2 / 1e6) <= 0.51


def test_a_card_is_fed_by_the_cores_that_its_rate_takes():
    table = bench._cards(store=1000, streamed=100, row=150_528, jpeg=110_000)
    for row in table.rows:
        crops, *ways = (float(value.replace(",", "")) for value in row[1:])
        assert crops > 100
        expected = [crops / 1000, crops / 100, crops * 0.150528, crops * 0.11]
        assert ways == pytest.approx(expected, rel=0.01, abs=0.5)
