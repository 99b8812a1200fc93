"""Measuring points of weight space, one piece of work each: a killed run goes on at the next."""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.landscape import batch_norm, points
from repro.mode_connectivity.data import PlainData
from repro.mode_connectivity.networks import decayed_weights
from repro.mode_connectivity.settings import Measured
from repro.training import step
from repro.training.resume import resume, stop_if_asked
from repro.training.runs import Job
from repro.training.snapshots import Snapshots


def measure_all(
    job: Job, count: int, at: Callable[[int], Sequence[np.ndarray]], measure: Callable
) -> dict[str, np.ndarray]:
    """Measure points 0 .. count - 1 and return the numbers by name, each float64 [count].

    Args:
      job: of the run; after each point there is a row of metrics, its `epoch` the points measured.
      count: how many.
      at: number -> point.
      measure: point -> numbers by name, the same names for every point.
    """
    store = Snapshots(job.checkpoints, {}, chief=job.directory.chief)

    def measured() -> int:
        return min(map(len, store.state.values()), default=0)

    def piece(number: int, before: Mapping) -> dict:
        found = measure(at(number - 1))
        store.state = {
            name: np.append(store.state.get(name, ()), value) for name, value in found.items()
        }
        quantities = {name.replace("_", "/", 1): value for name, value in found.items()}
        return {"epoch": number, "step": number, **quantities}

    resume(job, store, piece, lambda row: measured() >= count)
    return store.state


def make_measure(
    settings: Measured, network: keras.Model, data: PlainData, strategy: tf.distribute.Strategy
) -> Callable:
    """Return `measure(point) -> {train_loss, train_nll, ...}`, batch norm re-estimated there.

    train_loss is the cross-entropy train_nll and weight_decay / 2 * the squared norm of what L2
    acts on; errors are shares.
    """
    evaluate = step.make_evaluate(network, strategy)
    reestimate = batch_norm.make_reestimate(network, settings.batch_norm)
    decayed = decayed_weights(settings, network)

    def images():
        for batch, _ in data.statistics.epoch(1):
            stop_if_asked()
            yield batch

    def measure(point: Sequence[np.ndarray]) -> dict[str, float]:
        points.put(network, point)
        if batch_norm.layers(network):
            reestimate(images())
        found = {}
        for name, batches in data.evaluations.items():
            found[name] = evaluate(batches)
            stop_if_asked()
        squares = sum(float(tf.nn.l2_loss(v.value)) for v in decayed)
        return {
            "train_loss": found["train"]["loss"] + settings.weight_decay * squares,
            "train_nll": found["train"]["loss"],
            "train_error": 1 - found["train"]["accuracy"],
            "test_nll": found["test"]["loss"],
            "test_error": 1 - found["test"]["accuracy"],
        }

    return measure
