"""Files, whoever made them: none is read that never ends, or that would fill the memory."""

import os
import stat

LARGEST = 2**28  # bytes of a text: the largest that runs have written have a hundredth of it
ARRAYS = 2**32  # bytes of a file of arrays, which may be the weights of a large network


def read(file: os.PathLike, most: int = LARGEST) -> bytes:
    """Return the bytes of a file.

    Args:
      file: a path with `read_bytes`, local or remote (etils.epath).
      most: how many bytes it may have.

    Raises:
      ValueError: it is none, see `check`.
      OSError: it is missing, or cannot be read.
    """
    check(file, most)
    return file.read_bytes()


def check(file: os.PathLike, most: int | None = None) -> None:
    """Refuse what is no file, such as a pipe, on which a reader or a writer would wait for ever.

    What is missing or remote is not refused.

    Args:
      file: a path.
      most: how many bytes it may have; None: any number. A file may say that it has far more than
        it takes on the disk.

    Raises:
      ValueError: it is a folder, a pipe, a socket or a device, or has more bytes.
    """
    if "://" in os.fspath(file):
        return
    try:
        found = os.stat(file)
    except OSError:
        return
    if not stat.S_ISREG(found.st_mode):
        what = "folder" if stat.S_ISDIR(found.st_mode) else "pipe, a socket or a device"
        raise ValueError(f"{file} is a {what}, and no file: remove it")
    if most is not None and found.st_size > most:
        raise ValueError(f"{file} has {found.st_size:,} bytes, as no such file has: remove it")
