"""The state of a run that is a few arrays: written whole or not at all, read back bit for bit."""

import os

import numpy as np
from etils import epath


def save(directory: str | os.PathLike, **arrays) -> None:
    """Replace the state in a directory, which is made where it is missing."""
    directory = epath.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    partial = directory / "state.npz.partial"
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    partial.replace(directory / "state.npz")


def load(directory: str | os.PathLike) -> dict[str, np.ndarray] | None:
    """Return the state in a directory; None where there is none."""
    path = epath.Path(directory) / "state.npz"
    if not path.exists():
        return None
    with path.open("rb") as file, np.load(file) as arrays:
        return dict(arrays)
