import pytest
import torch

from activekd_lab.data.store import cache_dir, cached_tensor
from activekd_lab.errors import DataError


def test_a_tensor_is_computed_once():
    calls = []

    def compute():
        calls.append(1)
        return torch.arange(3)

    first, second = cached_tensor("test", "once", compute), cached_tensor("test", "once", compute)
    assert calls == [1]
    assert torch.equal(first, second)
    assert torch.equal(cached_tensor("test", "other", lambda: torch.ones(1)), torch.ones(1))


def test_a_damaged_file_is_named_and_computed_again():
    cached_tensor("damaged", "key", lambda: torch.arange(3))
    path = next((cache_dir() / "damaged").iterdir())
    path.write_bytes(path.read_bytes()[:20])
    with pytest.warns(UserWarning, match=path.name):
        assert torch.equal(cached_tensor("damaged", "key", lambda: torch.arange(4)), torch.arange(4))
    assert torch.equal(cached_tensor("damaged", "key", lambda: torch.zeros(1)), torch.arange(4))


def test_one_wrong_bit_is_seen():
    cached_tensor("bits", "key", lambda: torch.arange(3))
    path = next((cache_dir() / "bits").iterdir())
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"{path.name} is damaged"):
        assert torch.equal(cached_tensor("bits", "key", lambda: torch.arange(3)), torch.arange(3))


def test_a_cache_that_cannot_be_made_says_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ACTIVEKD_LAB_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(DataError, match="set ACTIVEKD_LAB_CACHE"):
        cache_dir()
