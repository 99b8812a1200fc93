"""Make runs by their commands, in an order that suits them, and show how far it is.

A run is a command with a mark of completion: it can be started again at any time, by anyone, and
goes on where it was. So whatever executes commands can make runs: see `repro.tools.executors`.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from repro.tools import plans
from repro.tools.executors.process import HELD, last_words
from repro.tools.plans import Planned

SECONDS_BETWEEN_TRIES = 30  # of a run whose directory another process holds


@dataclasses.dataclass(frozen=True)
class Failed:
    """A run that was not made, and why, in one line."""

    run: Planned
    reason: str


def execute(
    runs: Sequence[Planned], executor, between_tries: float = SECONDS_BETWEEN_TRIES
) -> list[Failed]:
    """Make the runs that are not complete, and return those that failed, in order.

    A run is started once those that it needs are complete, and is given up where one of them has
    failed. One whose directory another process holds is tried again after a while. What each says
    goes to log.txt in its directory; what fails is said at once, with the last line of its log.

    Args:
      runs: in the order in which they are started: what others need first.
      executor: where they are made, one of repro.tools.executors; None if all are complete.
      between_tries: seconds until a run is tried again that another process holds.
    """
    missing = [run for run in runs if not run.complete]
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{len(runs)} runs, {len(runs) - len(missing)} complete")
    if not missing:
        return []
    started = time.monotonic()
    with _progress(console) as progress, executor:
        failed = _made(missing, executor, between_tries, console, progress)
    minutes = (time.monotonic() - started) / 60
    console.print(f"made {len(missing) - len(failed)} runs in {minutes:.1f} minutes")
    return [failed[run.path] for run in missing if run.path in failed]


def _made(
    missing: Sequence[Planned], executor, between_tries: float, console: Console, progress: Progress
) -> dict[Path, Failed]:
    """Make runs, and return those that failed, by their directories."""
    waiting = {run.path: run for run in missing}
    at_work: dict[Path, Planned] = {}
    failed: dict[Path, Failed] = {}
    not_before: dict[Path, float] = {}
    needs = {run.path: plans.needed_paths(run) for run in missing}
    bar = progress.add_task("", total=len(missing), running="")

    def fail(run: Planned, reason: str) -> None:
        failed[run.path] = Failed(run, reason)
        console.print(f"FAILED {run.path.name}: {reason}", style="red")

    while waiting or at_work:
        now = time.monotonic()
        for path in list(waiting):
            lost = [needed.name for needed in needs[path] if needed in failed]
            if lost:
                fail(waiting.pop(path), f"it needs {lost[0]}, which failed")
        due = [run for path, run in waiting.items() if not_before.get(path, 0) <= now]
        ready = [run for run in due if not needs[run.path] & {*waiting, *at_work}]
        if executor.slots is not None:
            ready = ready[: executor.slots - len(at_work)]
        for run in ready:
            at_work[run.path] = waiting.pop(run.path)
            if run.path not in not_before:
                console.print(f"{run.path.parent.name}: {run.path.name}")
        if ready:
            executor.start(ready)
        done = len(missing) - len(waiting) - len(at_work)
        progress.update(bar, running=_shown(at_work), completed=done)
        if not at_work:
            time.sleep(0.1)  # all that is left waits for another process
            continue
        for run, outcome in executor.ended(seconds=1):
            del at_work[run.path]
            if outcome == HELD:
                if run.path not in not_before:
                    console.print(f"waiting, as another process makes {run.path.name}")
                waiting[run.path] = run
                not_before[run.path] = time.monotonic() + between_tries
            elif outcome != 0:
                fail(run, _reason(run, outcome))
    return failed


def _reason(run: Planned, outcome: int | Exception) -> str:
    """Return in one line why a run has failed."""
    if isinstance(outcome, Exception):
        lines = str(outcome).strip().splitlines() or [""]
        return f"{type(outcome).__name__}: {lines[0]}"
    if outcome < 0:
        return f"its process was ended by signal {-outcome}"
    return last_words(run.path / "log.txt") or "it said nothing"


def _shown(at_work: Mapping[Path, Planned]) -> str:
    names = [path.name for path in at_work]
    return ", ".join(names) if len(names) <= 4 else f"{len(names)} runs at work or queued"


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
