"""Saved states that are a few arrays: exact, whole or not at all, the last two kept."""

import logging

import numpy as np
import pytest

from repro.training.snapshots import Snapshots

START = {"weights": np.zeros((2, 3)), "step": np.array(0)}


def state(position):
    rng = np.random.default_rng(position)
    return {"weights": rng.normal(size=(2, 3)), "step": np.array(position)}


def assert_same(one, other):
    assert set(one) == set(other)
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], strict=True)


@pytest.fixture
def saved(tmp_path):
    """States saved at 1, 2 and 10, and what it began with."""
    store = Snapshots(tmp_path, START)
    store.keep("initial")
    for position in (1, 2, 10):
        store.state = state(position)
        store.save(position)
    return tmp_path


def damage(file, how):
    if how == "truncated":
        file.write_bytes(file.read_bytes()[:100])
    elif how == "garbage":
        file.write_bytes(np.random.default_rng(0).bytes(500))
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "one bit":  # noticed by the checksums of a zip file
        content = bytearray(file.read_bytes())
        content[content.index(b"NUMPY") + 140] ^= 1
        file.write_bytes(content)
    elif how == "no position":
        np.savez(file, **START)


DAMAGES = ("truncated", "garbage", "empty", "one bit", "no position")


def test_nothing_to_restore_is_position_0(tmp_path):
    store = Snapshots(tmp_path / "none yet", START)
    assert store.restore() == 0
    assert_same(store.state, START)


def test_the_newest_state_comes_back_bit_for_bit(saved):
    """10 is newer than 2, whatever the order of their names; types and shapes come back too."""
    store = Snapshots(saved, START)
    assert store.restore() == 10
    assert_same(store.state, state(10))


def test_the_last_two_and_named_ones_are_kept(saved):
    names = sorted(path.name for path in saved.iterdir())
    assert names == ["checksums.txt", "initial.npz", "state-10.npz", "state-2.npz"]
    with np.load(saved / "initial.npz", allow_pickle=False) as arrays:
        assert_same({name: arrays[name] for name in START}, START)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_state_falls_back_to_the_one_before(saved, how, caplog):
    damage(saved / "state-10.npz", how)
    store = Snapshots(saved, START)
    with caplog.at_level(logging.WARNING):
        assert store.restore() == 2
    assert_same(store.state, state(2))
    assert "state-10.npz is unreadable" in caplog.text
    assert "using the one before" in caplog.text


def test_with_no_readable_state_the_run_starts_again(saved):
    for position in (2, 10):
        damage(saved / f"state-{position}.npz", "truncated")
    store = Snapshots(saved, START)
    assert store.restore() == 0
    assert_same(store.state, START)


def test_what_is_saved_after_a_fall_back_is_what_comes_back(saved):
    """Damaged states of later positions are not taken for the newest ones, nor do they push out."""
    for position in (2, 10):
        damage(saved / f"state-{position}.npz", "truncated")
    store = Snapshots(saved, START)
    store.restore()
    for position in (1, 3):
        store.state = state(position)
        store.save(position)
    assert sorted(path.name for path in saved.glob("state-*")) == ["state-1.npz", "state-3.npz"]
    again = Snapshots(saved, START)
    assert again.restore() == 3
    assert_same(again.state, state(3))


def test_a_write_that_was_cut_off_leaves_the_state_before(saved):
    """A kill leaves a partial file under another name."""
    (saved / "state-11.npz.partial").write_bytes(b"PK half a file")
    assert Snapshots(saved, START).restore() == 10


def test_other_workers_read_and_never_write(saved):
    before = {path: path.read_bytes() for path in saved.iterdir()}
    worker = Snapshots(saved, START, chief=False)
    assert worker.restore() == 10
    worker.save(11)
    worker.keep("final")
    assert {path: path.read_bytes() for path in saved.iterdir()} == before
