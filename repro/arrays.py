"""Arrays of .npz files, whoever made them: no code is run, and no more memory taken than is due."""

import io
import struct
import zipfile
import zlib

import numpy as np

# What NumPy and zipfile raise for damaged files; a giant shape in a header is a MemoryError.
UNREADABLE = (
    *(ValueError, OSError, KeyError, TypeError, AttributeError, EOFError, MemoryError),
    *(NotImplementedError, OverflowError, RuntimeError, struct.error),
    *(zipfile.BadZipFile, zlib.error),
)
WRITTEN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what np.savez and np.savez_compressed do
LARGE = 2**28  # bytes: what is below is unpacked, however small the file is
FACTOR = 20  # what is larger may be so many times as large as the file; that of a bomb is 1,000


def read(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name, from its bytes.

    Raises:
      ValueError: it is damaged, holds pickled objects, or would take far more memory than its size.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check(archive.infolist(), len(content))
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = dict(arrays)
    except UNREADABLE as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    for name, array in found.items():
        if array.size > array.nbytes:
            raise ValueError(f"{name} has {array.size} entries of no size")
    return found


def _check(members: list[zipfile.ZipInfo], size: int) -> None:
    """Raise ValueError for an archive of this size that no run would write, before it is unpacked.

    No member is unpacked to more bytes than it says here.
    """
    if any(member.compress_type not in WRITTEN for member in members):
        raise ValueError("it is compressed as no .npz file is")
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(LARGE, FACTOR * size):
        raise ValueError(f"its {size:,} bytes would become {unpacked:,}")
