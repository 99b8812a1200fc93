"""A row of the benchmark: what was measured, against which target."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence

REPEATS = 3


@dataclasses.dataclass(frozen=True)
class Row:
    """A measured `value` in `unit`; whether it `holds` its `target`, such as `<= 1.05`."""

    name: str
    value: float
    unit: str
    target: str
    holds: bool
    detail: str


def judged(name: str, value: float, unit: str, target: str, detail: str) -> Row:
    """Return the row with its verdict; `target` is `<= number` or `>= number`."""
    sign, bound = target.split()
    holds = value <= float(bound) if sign == "<=" else value >= float(bound)
    return Row(name, round(value, 4), unit, target, holds, detail)


def medians(functions: Sequence[Callable[[], object]], repeats: int) -> list[tuple[float, float]]:
    """Call functions in turns, once to warm up and `repeats` times.

    Returns:
      the median of each one's seconds, and of the seconds of processor time of this process.
    """
    seconds = [[] for _ in functions]
    for _ in range(repeats + 1):
        for function, times in zip(functions, seconds):
            wall, processor = time.perf_counter(), time.process_time()
            function()
            times.append((time.perf_counter() - wall, time.process_time() - processor))
    return [tuple(map(statistics.median, zip(*times[1:]))) for times in seconds]
