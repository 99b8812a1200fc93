"""Runs on this machine, several at a time, each on its share of the processors."""

import concurrent.futures
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence

from repro.tools.executors import process, warm
from repro.tools.plans import Planned
from repro.training import signals


class Local:
    """Makes so many runs at a time, each in a process that is pinned to its processors."""

    def __init__(self, jobs: int = 1):
        """Share the processors out among so many runs at a time."""
        self.slots = jobs
        self._pool = concurrent.futures.ThreadPoolExecutor(jobs)
        self._free: list[tuple[set[int], warm.Maker | None]] = [(s, None) for s in shares(jobs)]
        self._at_work: dict[concurrent.futures.Future, Planned] = {}
        self._processes: list[subprocess.Popen] = []
        self._ending = False
        self._signals = contextlib.ExitStack()

    def __enter__(self) -> "Local":
        self._signals.enter_context(signals.heard(self._end))
        return self

    def __exit__(self, *error) -> None:
        with self._signals:
            self._pool.shutdown()  # waits for what runs, which saves its state if it was ended
            for _, maker in self._free:
                if maker is not None:
                    maker.close()

    def start(self, runs: Sequence[Planned]) -> None:
        """Start runs, of which there are never more than `slots` at a time."""
        for run in runs:
            self._at_work[self._pool.submit(self._make, run)] = run

    def ended(self, seconds: float) -> list[tuple[Planned, int | Exception]]:
        """Return the runs that ended, with their exit statuses."""
        done, _ = concurrent.futures.wait(
            self._at_work, seconds, return_when=concurrent.futures.FIRST_COMPLETED
        )
        return [(self._at_work.pop(one), one.exception() or one.result()) for one in done]

    def _make(self, run: Planned) -> int:
        if (run.path / "result.json").exists():
            return 0
        processors, maker = self._free.pop()
        try:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, processors)  # of this thread, and so of what it starts
            if not warm.POSSIBLE:
                return process.run(
                    run.command,
                    run.path,
                    len(processors),
                    parent_gone=signal.SIGTERM,  # a run saves its state and ends
                    began=self._began,
                )
            if maker is None or maker.process.poll() is not None:  # none yet, or it was killed
                maker = warm.Maker(len(processors))
                self._began(maker.process)
            return maker.make(run.command, run.path)
        finally:
            self._free.append((processors, maker))

    def _began(self, process: subprocess.Popen) -> None:
        self._processes.append(process)
        if self._ending:
            process.terminate()

    def _end(self, number, frame) -> None:
        """Let what runs save its state and end, on a second signal at once; start nothing more."""
        self._ending = True
        for one in self._processes:
            if one.poll() is None:
                one.terminate()
        raise signals.Interrupted(number)


def shares(jobs: int) -> list[set[int]]:
    """Return which processors each of so many runs at a time gets: equal shares, one at least."""
    if hasattr(os, "sched_getaffinity"):
        processors = sorted(os.sched_getaffinity(0))
    else:
        processors = list(range(os.cpu_count() or 1))
    size = max(1, len(processors) // jobs)
    return [
        {processors[(number * size + i) % len(processors)] for i in range(size)}
        for number in range(jobs)
    ]
