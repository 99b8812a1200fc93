"""What happens along a path through weight space: metrics, arc length, barriers.

A path is anything with `at(t)`; `measure` maps a point to named numbers, such as the training loss.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from repro.landscape import points

POINTS = 61  # of Garipov et al. (2018); odd, so that t = 1/2 is among them


def grid(count: int = POINTS) -> np.ndarray:
    """Return `count` equally spaced t from 0 to 1.

    Raises:
      ValueError: fewer than two.
    """
    if count < 2:
        raise ValueError(f"a path is measured at two points or more, not at {count}")
    return np.linspace(0.0, 1.0, count)


def measure_points(
    count: int,
    at: Callable[[int], points.Point],
    measure: Callable[[points.Point], Mapping[str, float]],
    *,
    done: Mapping[str, np.ndarray] | None = None,
    keep: Callable[[dict[str, np.ndarray]], None] | None = None,
) -> dict[str, np.ndarray]:
    """Measure points 0 .. count - 1 and return the numbers by name, each float64 [count].

    Args:
      count: how many.
      at: number -> point.
      measure: point -> numbers by name, the same names for every point.
      done: what an interrupted call has measured, the first entries of every array.
      keep: called with all arrays so far after each point, to resume from.

    Raises:
      ValueError: `measure` gives several numbers by one name.
    """
    rows = {name: list(values) for name, values in (done or {}).items()}
    start = min(map(len, rows.values()), default=0)
    for number in range(start, count):
        for name, value in measure(at(number)).items():
            if np.ndim(value):
                raise ValueError(
                    f"measure must give one number as {name!r}, not {np.shape(value)}: name each "
                    "of several (a compiled model's evaluate has return_dict=True for it)"
                )
            rows.setdefault(name, []).append(value)
        if keep is not None:
            keep(as_arrays(rows))
    return as_arrays(rows)


def as_arrays(rows: Mapping[str, Sequence[float]]) -> dict[str, np.ndarray]:
    """Return lists as float64 arrays."""
    return {name: np.asarray(values, np.float64) for name, values in rows.items()}


def arc_length(path, ts: Sequence[float]) -> np.ndarray:
    """Return the length of a path from t = ts[0] to each of ts, float64 [n].

    Lengths of chords: exact for a polygonal chain whose bends are among ts.
    """
    lengths, before = [0.0], path.at(ts[0])
    for t in ts[1:]:
        here = path.at(t)
        lengths.append(lengths[-1] + points.distance(here, before))
        before = here
    return np.array(lengths)


@dataclasses.dataclass(frozen=True)
class Summary:
    """A quantity along a path: at its ends, its extremes, its two averages."""

    start: float
    end: float
    minimum: float
    maximum: float
    average: float  # plain mean over the points measured
    integral: float  # mean over arc length, by the trapezoidal rule
    length: float  # of the path


def summarize(values: np.ndarray, lengths: np.ndarray) -> Summary:
    """Return Garipov et al.'s metrics of a quantity along a path.

    integral = sum_i (v_{i-1} + v_i) / 2 * dl_i / sum_i dl_i, with dl_i the distance between
    neighbouring points. On a straight line it is the trapezoidal rule in t, which gives the two
    ends half the weight they have in `average`.

    Args:
      values: [n].
      lengths: arc length up to each point, [n], as from `arc_length`.

    Raises:
      ValueError: they are not such.
    """
    values, lengths = _one_a_point(values, "values"), np.asarray(lengths, np.float64)
    if lengths.shape != values.shape or (np.diff(lengths) < 0).any():
        raise ValueError(f"lengths must be {len(values)} numbers that do not fall, one a value")
    total = float(lengths[-1] - lengths[0])
    between = np.sum((values[1:] + values[:-1]) / 2 * np.diff(lengths))
    return Summary(
        start=float(values[0]),
        end=float(values[-1]),
        minimum=float(values.min()),
        maximum=float(values.max()),
        average=float(values.mean()),
        integral=float(between / total) if total else float(values[0]),
        length=total,
    )


def barrier_over_maximum(losses: np.ndarray) -> float:
    """Return max_t L(t) - max(L(0), L(1)): positive where Gotmare et al.'s footnote sees a barrier.

    At least 0, as the ends are on the path.

    Raises:
      ValueError: losses are not [n].
    """
    losses = _one_a_point(losses)
    return float(np.max(losses) - max(losses[0], losses[-1]))


def barrier_over_chord(ts: np.ndarray, losses: np.ndarray) -> float:
    """Return max_t [L(t) - ((1 - t) L(0) + t L(1))], the barrier of Entezari et al. (2021).

    Never below `barrier_over_maximum`; the two agree where both ends have the same loss.

    Args:
      ts: [n], rising from 0 to 1, as of `grid`.
      losses: [n].

    Raises:
      ValueError: they are not such.
    """
    ts, losses = np.asarray(ts), _one_a_point(losses)
    if ts.shape != losses.shape or ts[0] != 0 or ts[-1] != 1 or (np.diff(ts) <= 0).any():
        raise ValueError(f"ts must be {len(losses)} numbers that rise from 0 to 1, the two ends")
    return float(np.max(losses - ((1 - ts) * losses[0] + ts * losses[-1])))


def _one_a_point(values, name: str = "losses") -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} must be one number for each point, not {values.shape}")
    return values
