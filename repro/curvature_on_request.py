"""What a run of any paper measures of its curvature where it is asked to: at the end, and along.

Losses are those of the un-augmented training images with batch norm's moving statistics, and
networks are looked at in float32, whatever they train in. Nothing here imports TensorFlow before it
is used, so that settings may be read without.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Self

from repro.fields import flag
from repro.settings import Settings

EXAMPLES = 1000  # images, where no number is said
BATCH = 100  # images whose activations are kept at a time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curvature(Settings):
    """Measurements that are made on request, and leave the names of runs without them alone."""

    curvature_at_end: bool | None = flag(
        None,
        "At the end measure the gradient norm and the largest and smallest eigenvalue of the "
        "training loss, and say what they tell: a minimum, a saddle, or no critical point.",
    )
    curvature_every: int | None = flag(
        None,
        "Measure the sharpness of the training loss so often, from the start on; by default never.",
        unit="epochs, or steps where --measure_every counts them",
        low=1,
    )
    curvature_examples: int | None = flag(
        None,
        "Measure both over the first so many training images; by default 1,000.",
        unit="images",
        low=1,
    )

    def settled(self) -> Self:
        settled = super().settled()
        at_end = self.curvature_at_end or None
        examples = None
        if at_end or self.curvature_every:
            examples = self.curvature_examples or EXAMPLES
        return settled.replace(curvature_at_end=at_end, curvature_examples=examples)

    def without_curvature(self) -> list[str]:
        asked = [name for name in ("curvature_at_end", "curvature_every") if getattr(self, name)]
        return [*super().without_curvature(), *(f"leave out --{name}" for name in asked)]


def at_end(
    settings: Curvature,
    network: Any,
    loss: Callable,
    data: Sequence,
    *,
    weight_decay: float = 0.0,
    decayed: Sequence | None = None,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    batch_size: int = BATCH,
) -> dict:
    """Return `criticality` of a network for its run's result; nothing where it is not asked for.

    Args:
      settings: of the run.
      network: a Keras model with a graph, as it has been trained.
      loss: targets, outputs -> losses [b].
      data: training inputs and targets.
      weight_decay: coefficient of half the squares of `decayed` in the training loss.
      decayed: variables of the network; None: all that are trained.
      tolerance, max_iterations: of Lanczos, as for `curvature.criticality`.
      batch_size: images that are differentiated at once.

    Returns:
      what `curvature.Criticality.as_dict` returns, and how many `examples` it is about.
    """
    if not settings.curvature_at_end:
        return {}
    from repro import curvature, norms

    variables = network.trainable_variables
    acted_on = {id(v) for v in (variables if decayed is None else decayed)}
    l2 = [weight_decay if id(v) in acted_on else 0.0 for v in variables]
    copy = norms.at_dtype(network, "float32")
    if [v.shape for v in copy.trainable_variables] != [v.shape for v in variables]:
        raise ValueError(f"the copy of {network.name} has its weights in another order")
    part = _first(data, settings.curvature_examples)
    found = curvature.criticality(
        copy,
        loss,
        part,
        l2=l2,
        tolerance=tolerance,
        max_iterations=max_iterations,
        seed=settings.seed,
        batch_size=batch_size,
    )
    print(found.statement, flush=True)
    return {"criticality": {**found.as_dict(), "examples": len(part[1])}}


def along(
    settings: Curvature,
    network: Any,
    loss: Callable,
    data: Sequence,
    *,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    batch_size: int = BATCH,
) -> "Along | None":
    """Return what measures a network's sharpness along its run; None where it is not asked for.

    Args:
      settings, network, loss, data, tolerance, max_iterations, batch_size: as for `at_end`.
    """
    if not settings.curvature_every:
        return None
    part = _first(data, settings.curvature_examples)
    limits = {"tolerance": tolerance, "max_iterations": max_iterations}
    return Along(settings, network, loss, part, batch_size, limits)


class Along:
    """The largest eigenvalue along training, each search started from the vector before.

    The vector is a variable that checkpoints hold, with the number of the measurement and what it
    found: a measurement that a resumed run makes again is the same, bit for bit. That of number 0
    is kept in no checkpoint, and so starts nothing.
    """

    def __init__(
        self,
        settings: Curvature,
        network: Any,
        loss: Callable,
        data: Sequence,
        batch_size: int,
        limits: dict,
    ):
        """Measure `network` at each multiple of `curvature_every`; `limits` are of Lanczos."""
        import tensorflow as tf

        self._every, self._seed = settings.curvature_every, settings.seed
        self._network, self._loss, self._data = network, loss, data
        self._batch_size, self._limits = batch_size, limits
        size = sum(v.shape.num_elements() for v in (w.value for w in network.trainable_variables))
        # number, value and residual of the last measurement, and its vector
        self._last = tf.Variable(tf.zeros([3 + size], tf.float64), trainable=False)
        self._at = None  # weights -> Hessian

    def variables(self) -> dict:
        """Return what checkpoints hold, by name."""
        return {"sharpness_along": self._last}

    def row(self, number: int) -> dict[str, float]:
        """Return `train/sharpness` and its residual, where they are due and weights are finite."""
        import numpy as np

        if number % self._every:
            return {}
        last = self._last.numpy()
        if number and last[0] == number:
            return _named(last)
        if not all(np.isfinite(w).all() for w in self._network.get_weights()):
            return {}
        found = self._search(last[3:])
        value, residual, vector = found.values[0], found.residuals[0], found.vectors[:, 0]
        held = np.concatenate([[number, value, residual], vector])
        if number:
            self._last.assign(held)
        return _named(held)

    def _search(self, vector):
        from repro import norms
        from repro.curvature import eigen, hvp
        from repro.training.resume import stop_at_once

        start = vector if vector.any() else None
        with stop_at_once():
            if self._at is None or self._network.non_trainable_variables:  # which it reads once
                copy = norms.at_dtype(self._network, "float32")
                _, self._at = hvp.operators(
                    "hessian", copy, self._loss, self._data, batch_size=self._batch_size
                )
            here = [v.numpy() for v in self._network.trainable_variables]
            return eigen.lanczos(self._at(here), start=start, seed=self._seed, **self._limits)


def _named(held) -> dict[str, float]:
    return {"train/sharpness": float(held[1]), "train/sharpness_residual": float(held[2])}


def _first(data: Sequence, examples: int) -> tuple:
    """Return the first examples of inputs and targets."""
    return tuple(part[:examples] for part in data)
