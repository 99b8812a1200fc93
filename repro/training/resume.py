"""The one way in which runs are taken up again: pieces of work, rows of metrics, saved states.

A run is a sequence of pieces, such as epochs. After each there is a row of metrics, and after every
few the state is saved. `resume` does the pieces that are left; a run that was killed and started
again ends with the same bits as one that was not, as states hold all that the pieces change.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import tensorflow as tf

from repro.training import signals
from repro.training.runs import Job


class Store(Protocol):
    """Where states are saved: training.checkpoints, or training.snapshots for a few arrays."""

    def restore(self) -> int:
        """Restore the newest readable state; return its position, 0 where there is none."""

    def save(self, position: int) -> None:
        """Save the state at a position; the one before is kept too."""

    def keep(self, name: str) -> None:
        """Keep the present state under a name, such as `initial` or `final`, for good."""

    def kept(self, name: str) -> bool:
        """Whether there is a state under a name."""


def resume(
    job: Job,
    store: Store,
    piece: Callable[[int, Mapping], Mapping],
    finished: Callable[[Mapping], bool],
    *,
    first: Callable[[], Mapping] | None = None,
    keep: Callable[[int], None] | None = None,
) -> dict:
    """Do what is left of a run and return its last row, its `status` `complete`.

    SIGTERM, SIGINT and SIGHUP end the process (143 for SIGTERM) with the state saved, as soon as
    the piece at work calls `stop_if_asked`, or is done. Several workers would wait for each other:
    they end at once, and the last saved state stands.

    Args:
      job: where rows and states go.
      store: of the state; what it holds is all that pieces change.
      piece: (number from 1, row before) -> row of metrics after doing it, its `epoch` that number.
        A row with a `status`, such as `diverged`, ends the run at once and is not logged.
      finished: row -> whether the run is over; {} is the row before the first piece.
      first: row, with `epoch` 0, of what there is before the first piece.
      keep: called after each piece with its number, to keep points of the trajectory; called again
        with those that a resumed run repeats.
    """
    position = store.restore()
    rows = job.directory.begin(position)
    if position == 0:
        if not store.kept("initial"):  # a run stopped in its first piece is past its beginning
            store.keep("initial")
        if first is not None and not rows:
            rows = [first()]
            job.directory.log(rows[0])
    row = rows[-1] if rows else {}
    workers = isinstance(job.strategy, tf.distribute.MultiWorkerMirroredStrategy)
    with _signals_wait() if not workers else contextlib.nullcontext():
        try:
            while not finished(row):
                row = dict(piece(position + 1, row))
                if "status" in row:
                    return row
                position += 1
                job.directory.log(row)
                if keep is not None:
                    keep(position)
                if position % job.checkpoint_every == 0 or finished(row):
                    store.save(position)
                stop_if_asked()
        except Stopped as stopped:
            store.save(position)
            raise SystemExit(128 + stopped.signal) from None
    store.keep("final")
    return {**row, "status": "complete"}


class Stopped(BaseException):
    """A signal has asked the run to end."""

    def __init__(self, number: int):
        super().__init__(f"signal {number}")
        self.signal = number


_asked: list[int] = []  # signals that wait
_at_once: list[bool] = []  # not empty: they need not, as what is done leaves the state as it is


def stop_if_asked() -> None:
    """Raise Stopped if a signal waits. For long pieces, at points where the state is whole."""
    if _asked:
        raise Stopped(_asked[0])


@contextlib.contextmanager
def stop_at_once() -> Iterator[None]:
    """Let a signal end at once what is done inside, which must leave the state as it is.

    For long measurements by instruments that know of no signals.
    """
    stop_if_asked()
    _at_once.append(True)
    try:
        yield
    finally:
        _at_once.clear()


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Let signals wait for the next `stop_if_asked`; a second one ends the process at once."""

    def ask(number, frame):
        if _asked:
            raise SystemExit(128 + number)
        _asked.append(number)
        print("stopping: the state is being saved", flush=True)
        if _at_once:
            raise Stopped(number)

    with signals.heard(ask):
        try:
            yield
        finally:
            _asked.clear()
