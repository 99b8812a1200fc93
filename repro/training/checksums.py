"""What a run has written, told from what was damaged since, or was copied from another run.

Beside the files is checksums.txt, with a line `<8 hex> <name>` for each file written whole and for
each row of metrics.jsonl. Sums begin at a number that stands for the run's flags, so that no file
of another run has one of this run's. A sum is there before its file is, and those of earlier
versions stay, so that a kill between the two harms nothing. What has no sum is taken as it is: it
is of a run from before there were any, or was written just before a kill.
"""

import functools
import itertools
import json
import os
import pathlib
import zlib

from etils import epath

from repro import files
from repro.fields import read_flag_file

NAME, METRICS = "checksums.txt", "metrics.jsonl"
ALL_METRICS = "all of metrics.jsonl"  # at the end of the run
FAULT = "is damaged, or of another run than its flags.cfg says"


class Checksums:
    """The sums of the files in a folder: of a run's directory, or of its checkpoints."""

    def __init__(self, folder: str | os.PathLike):
        """Take those of a folder; flags.cfg is there, or in the folder above, once it is needed."""
        self._folder = epath.Path(folder)

    def add(self, name: str, *contents: bytes) -> None:
        """Say what will be written under a name: a file, or rows of metrics.jsonl."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # a line that a full disk or a kill has cut off must not run into the next one
        lines = [f"\n{self._sum(content):08x} {name}\n" for content in contents]
        with (self._folder / NAME).open("a") as file:
            file.write("".join(lines))

    def known(self) -> dict[str, set[int]]:
        """Return the sums by name; a line that a kill has cut off counts for nothing."""
        file, known = self._folder / NAME, {}
        for line in files.read(file).splitlines() if file.exists() else ():
            digits, _, name = line.decode(errors="replace").partition(" ")
            if name and len(digits) == 8 and set(digits) <= set("0123456789abcdef"):
                known.setdefault(name, set()).add(int(digits, 16))
        return known

    def fits(self, name: str, content: bytes, known: dict[str, set[int]] | None = None) -> bool:
        """Whether what is there under a name, or a row, is what was written, as far as is known."""
        sums = (self.known() if known is None else known).get(name)
        return sums is None or self._sum(content) in sums

    def lost(self) -> bool:
        """Whether sums of a complete run were lost: where there are any, result.json has one."""
        return (self._folder / NAME).exists() and "result.json" not in self.known()

    def _sum(self, content: bytes) -> int:
        return zlib.crc32(content, self._start)

    @functools.cached_property
    def _start(self) -> int:
        for folder in (self._folder, self._folder.parent):
            if (folder / "flags.cfg").exists():
                flags = sorted(read_flag_file(folder / "flags.cfg").items())
                return zlib.crc32(json.dumps(flags).encode())
        return 0


def check(path: str | os.PathLike) -> None:
    """Check the files of a run's directory, without its checkpoints.

    Raises:
      ValueError: one, which is named, is not what the run wrote.
    """
    folder = epath.Path(path)
    sums = Checksums(folder)
    known = sums.known()

    def fits(name: str, content: bytes) -> bool:
        # what a run at work wrote since has its sum by now
        return sums.fits(name, content, known) or sums.fits(name, content)

    for name in sorted(known):
        file = folder / name
        most = files.ARRAYS if name.endswith(".npz") else files.LARGEST
        if name != METRICS and file.exists() and not fits(name, files.read(file, most)):
            raise ValueError(f"{file} {FAULT}")
    rows = files.read(folder / METRICS) if (folder / METRICS).exists() else b""
    if (folder / "result.json").exists():
        if sums.lost():
            raise ValueError(f"{folder / NAME} {FAULT}")
        if not fits(ALL_METRICS, rows):
            raise ValueError(f"{folder / METRICS} {FAULT}")
    if METRICS in known:
        lines = rows.split(b"\n")[:-1]  # the last is still being written
        for number, line in enumerate(lines, start=1):
            if not fits(METRICS, line):
                raise ValueError(f"{folder / METRICS}, line {number}, {FAULT}")


def check_places(path: str | os.PathLike) -> None:
    """Check that a run's directory is one to write to, with the folders of its checkpoints.

    Raises:
      ValueError: there is a symbolic link in it, through which it would write elsewhere, or a pipe,
        a socket or a device, on which it would wait for ever.
    """
    if "://" in str(path):
        return
    folder = pathlib.Path(path)
    for file in itertools.chain(folder.glob("*"), (folder / "checkpoints").rglob("*")):
        if file.is_symlink():
            raise ValueError(
                f"{file} is a symbolic link, through which a run would write elsewhere: remove it"
            )
        if not file.is_dir():
            files.check(file)
