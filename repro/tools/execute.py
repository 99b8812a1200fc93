"""Make runs by their commands, several at a time on this machine, and show how far it is.

A run is a command with a mark of completion: it can be started again at any time, by anyone, and
goes on where it was. So whatever executes commands can make runs.
"""

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from repro.tools.plans import Planned


def execute(runs: Sequence[Planned], jobs: int = 1) -> list[Planned]:
    """Make the runs that are not complete and return those that failed, in order.

    Each is a process of its own, on its share of the processors, and writes to log.txt in its
    directory. What fails is said at once, with the last line of its log.

    Args:
      runs: in the order in which they are started: what others need first.
      jobs: so many at a time.
    """
    missing = [run for run in runs if not run.complete]
    console = Console(highlight=False)
    console.print(f"{len(runs)} runs, {len(runs) - len(missing)} complete")
    if not missing:
        return []
    shares, started = _shares(jobs), time.monotonic()
    free, failed, processes = list(range(jobs)), [], []
    with _progress(console) as progress, _children_end_too(processes):
        bar = progress.add_task("", total=len(missing), running="")
        at_work: dict[int, Planned] = {}
        lock = threading.Lock()

        def show() -> None:
            names = ", ".join(run.path.name for run in at_work.values())
            progress.update(bar, running=names)

        def make(run: Planned) -> None:
            with lock:
                slot = free.pop()
                at_work[slot] = run
                console.print(f"{run.path.parent.name}: {run.path.name}")
                show()
            code = _run(run, shares[slot], processes)
            with lock:
                del at_work[slot]
                free.append(slot)
                if code:
                    failed.append(run)
                    console.print(f"FAILED {run.path.name}: {last_line(run)}", style="red")
                progress.advance(bar)
                show()

        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            list(pool.map(make, missing))
    minutes = (time.monotonic() - started) / 60
    console.print(f"made {len(missing) - len(failed)} runs in {minutes:.1f} minutes")
    return [run for run in missing if run in failed]


def last_line(run: Planned) -> str:
    """Return the last line of a run's log."""
    log = run.path / "log.txt"
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    said = [line for line in lines if line.strip()]
    return said[-1].removeprefix("error: ") if said else "it said nothing"


def _run(run: Planned, processors: set[int], processes: list) -> int:
    """Run a command to its end, on some processors; return its exit status."""
    run.path.mkdir(parents=True, exist_ok=True)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors)  # of this thread, and so of the process it starts
    with (run.path / "log.txt").open("a") as log:
        process = subprocess.Popen(
            run.command,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"TF_NUM_INTRAOP_THREADS": str(len(processors))},
        )
        processes.append(process)
        return process.wait()


def _shares(jobs: int) -> list[set[int]]:
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


def _progress(console: Console) -> Progress:
    """Return one line of what is done, left and running, with the time from finished runs."""
    return Progress(
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[running]}"),
        _TimeLeft(),
        console=console,
        transient=True,
    )


class _TimeLeft(TextColumn):
    """Time left, if the runs that are left take as long as those that are done."""

    def __init__(self):
        super().__init__("")

    def render(self, task):
        from rich.text import Text

        if not task.completed or task.elapsed is None:
            return Text("")
        seconds = task.elapsed / task.completed * (task.total - task.completed)
        return Text(f"about {seconds / 60:.0f} min left")


@contextlib.contextmanager
def _children_end_too(processes: list) -> Iterator[None]:
    """Pass SIGTERM on to what runs, wait until its state is saved, and end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number, frame):
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            process.wait()
        print("stopped; the same command goes on", file=sys.stderr)
        os._exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
