"""Learning rates by epoch, as the papers of mode connectivity set them.

Each schedule maps positions (epochs done, from 0, whole or with fractions of an epoch) to rates.
`Rates` turns the rates of a run, one a step, into a Keras schedule.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

UPDATES = ("epoch", "step")


def positions(epochs: int, steps_per_epoch: int, update: str) -> np.ndarray:
    """Return each step's position, float64 [epochs * steps_per_epoch].

    Args:
      update: `step`: fractions of an epoch count; `epoch`: the rate is constant within an epoch.

    Raises:
      ValueError: unknown update.
    """
    if update not in UPDATES:
        raise ValueError(f"unknown update {update!r}; choose from {', '.join(UPDATES)}")
    steps = np.arange(epochs * steps_per_epoch)
    return steps // steps_per_epoch + 0.0 if update == "epoch" else steps / steps_per_epoch


def constant(position: np.ndarray, rate: float) -> np.ndarray:
    """Return the same rate everywhere."""
    return np.full(np.shape(position), rate)


def step_decay(
    position: np.ndarray, rate: float, milestones: Sequence[float], factor: float = 0.2
) -> np.ndarray:
    """Return the rate times factor at each milestone passed (mode G: 60, 120, 160)."""
    passed = np.sum(np.asarray(position)[..., None] >= np.asarray(milestones), axis=-1)
    return rate * factor**passed


def linear_decay(position: np.ndarray, rate: float, epochs: float) -> np.ndarray:
    """Return a rate that falls linearly to 0 at the end of the run (mode C)."""
    return rate * (1 - np.asarray(position) / epochs)


def sgdr(
    position: np.ndarray, highest: float, lowest: float, period: float, multiplier: int
) -> np.ndarray:
    """Return cosine annealing with warm restarts (Loshchilov and Hutter 2016; Gotmare, eq. 1).

    lowest + (highest - lowest) / 2 * (1 + cos(pi T_cur / T_i)), where T_cur counts from the last
    restart and the periods T_i are period, period * multiplier, ...
    """
    position = np.asarray(position, np.float64)
    starts = np.array([0.0, *restarts(period, multiplier, position.max(initial=0.0))])
    number = np.searchsorted(starts, position, side="right") - 1
    fraction = (position - starts[number]) / (period * float(multiplier) ** number)
    return lowest + (highest - lowest) / 2 * (1 + np.cos(np.pi * fraction))


def restarts(period: float, multiplier: int, epochs: float) -> list[float]:
    """Return the epochs after which SGDR restarts: 10, 30, 70, 150 for period 10, multiplier 2."""
    found, end, length = [], period, period
    while end <= epochs:
        found.append(end)
        length *= multiplier
        end += length
    return found


def towards(position: np.ndarray, rate: float, last_rate: float, epochs: float) -> np.ndarray:
    """Return Garipov's schedule: rate for half of `epochs`, linear to last_rate at 0.9, then that.

    Curves end at a hundredth of their rate; SWA ends at its own rate when averaging starts.
    """
    fraction = np.clip((np.asarray(position) / epochs - 0.5) / 0.4, 0.0, 1.0)
    return rate + (last_rate - rate) * fraction


def cyclic(position: np.ndarray, highest: float, lowest: float, cycle: float) -> np.ndarray:
    """Return FGE's triangles: highest at the ends of each cycle of epochs, lowest in the middle."""
    fraction = np.mod(position, cycle) / cycle
    return lowest + (highest - lowest) * np.abs(1 - 2 * fraction)


def then(position: np.ndarray, start: float, before: Callable, after: Callable) -> np.ndarray:
    """Return before(position) up to `start`, and after(position - start) from there."""
    position = np.asarray(position)
    return np.where(position < start, before(position), after(np.maximum(position - start, 0)))


@keras.saving.register_keras_serializable("repro")
class Rates(keras.optimizers.schedules.LearningRateSchedule):
    """A Keras schedule that looks the rate of each step up; the last rate goes on for ever."""

    def __init__(self, rates: Sequence[float]):
        self.rates = [float(rate) for rate in rates]

    def __call__(self, step):
        last = len(self.rates) - 1
        return tf.gather(tf.constant(self.rates), tf.minimum(tf.cast(step, tf.int64), last))

    def get_config(self) -> dict:
        return {"rates": self.rates}
