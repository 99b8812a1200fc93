"""What a run wrote, told from what was damaged, also while the run goes on writing."""

import pytest

from repro.training import checksums
from repro.training.checksums import Checksums


@pytest.fixture
def folder(tmp_path):
    """A run's directory with one file and one row, and their sums."""
    (tmp_path / "flags.cfg").write_text("--seed=0\n")
    Checksums(tmp_path).add("arrays.npz", b"numbers")
    (tmp_path / "arrays.npz").write_bytes(b"numbers")
    Checksums(tmp_path).add("metrics.jsonl", b'{"epoch": 1}')
    (tmp_path / "metrics.jsonl").write_bytes(b'{"epoch": 1}\n')
    return tmp_path


@pytest.mark.parametrize("name", ["arrays.npz", "metrics.jsonl"])
def test_a_flipped_bit_is_named(folder, name):
    checksums.check(folder)
    content = bytearray((folder / name).read_bytes())
    content[3] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}.*is damaged"):
        checksums.check(folder)


@pytest.mark.parametrize("torn", ["3f", "3fa01b2c", "3fa01b2c metr", "\n3fa0"])
def test_a_line_that_was_cut_off_harms_no_run(folder, torn):
    """As a kill or a full disk leaves it: what follows stands on a line of its own."""
    with (folder / "checksums.txt").open("a") as file:
        file.write(torn)
    Checksums(folder).add("metrics.jsonl", b'{"epoch": 2}')
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b'{"epoch": 2}\n')
    checksums.check(folder)


def test_what_a_run_writes_while_it_is_checked_is_not_damaged(folder, monkeypatch):
    """The sums are read first: by then a row and a new version of a file may not have theirs."""
    known = Checksums.known
    looked = []

    def writes_after_the_first_look(self):
        found = known(self)
        if not looked:
            looked.append(True)
            self.add("metrics.jsonl", b'{"epoch": 2}')
            (folder / "metrics.jsonl").write_bytes(b'{"epoch": 1}\n{"epoch": 2}\n')
            self.add("arrays.npz", b"new numbers")
            (folder / "arrays.npz").write_bytes(b"new numbers")
        return found

    monkeypatch.setattr(Checksums, "known", writes_after_the_first_look)
    checksums.check(folder)
    assert looked
