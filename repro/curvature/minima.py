"""Is it a minimum? Gradient norm and extreme eigenvalues, and what they allow to say."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.curvature import data
from repro.curvature.checks import look
from repro.curvature.data import Data
from repro.curvature.eigen import lanczos
from repro.curvature.gradients import make_gradient
from repro.curvature.hvp import ARRAY_BATCH, ExampleLoss, Operator, hessian
from repro.curvature.weights import point

ROUNDINGS = 100  # units of rounding of the largest eigenvalue that a product may be off


@dataclasses.dataclass(frozen=True)
class Criticality:
    """First and second derivatives of a training loss at a point, as far as they were found."""

    loss: float
    gradient_norm: float
    gradient_tolerance: float  # up to which the point counts as critical
    largest: float  # eigenvalue of the Hessian
    largest_residual: float  # an eigenvalue lies within it of `largest`, up to rounding
    smallest: float  # no more than this is the smallest eigenvalue, up to rounding
    smallest_residual: float
    rounding: float  # up to which a product's own error may have moved the two
    iterations: int  # products taken
    converged: bool  # whether both searches met their tolerance

    @property
    def critical(self) -> bool:
        """Whether the gradient is zero as far as `gradient_tolerance` goes."""
        return self.gradient_norm <= self.gradient_tolerance

    @property
    def descends(self) -> bool:
        """Whether some direction has negative curvature: v^T H v < 0 beyond rounding proves it."""
        return self.smallest < -self.rounding

    @property
    def statement(self) -> str:
        """What the numbers allow to say, in one line."""
        norm, bound = f"gradient norm {self.gradient_norm:.2g}", f"{self.gradient_tolerance:g}"
        if self.critical:
            first = f"{norm}, at most {bound}: a critical point to that tolerance"
        else:
            first = f"{norm}, above {bound}: not a critical point"
        error = max(self.smallest_residual, self.rounding)
        low = f"smallest eigenvalue {self.smallest:.3g} ± {error:.1g}"
        if self.descends:
            second = f"{low}: a saddle direction remains"
        elif self.smallest > error:
            second = f"{low}: no direction of negative or no curvature was found"
            second += ", as at a strict minimum" if self.critical else ""
        else:
            second = f"{low}: flat directions, of which second derivatives decide nothing"
        if not self.converged:
            second += "; Lanczos ended before its tolerance, and a smaller one may be there"
        return f"{first}; {second}"

    def as_dict(self) -> dict:
        """Return all numbers and the statement, for a result in JSON."""
        return {**dataclasses.asdict(self), "statement": self.statement}


def criticality(
    model: keras.Model,
    loss: ExampleLoss,
    dataset: Data,
    *,
    l2: Sequence[float] | None = None,
    gradient_tolerance: float = 1e-3,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    seed: int = 0,
    memory_limit: float | None = None,
    at: Sequence[np.ndarray] | None = None,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Criticality:
    """Return gradient norm, largest and smallest eigenvalue of a training loss, and their errors.

    The training loss is the mean of `loss` over all of `dataset`: with a part of the examples the
    point may be critical for the rest and not for these. Negative curvature is proved, as no
    eigenvalue is below v^T H v of a unit vector v but the smallest; its absence is not, as a search
    can miss a direction.

    Args:
      model, loss, dataset, at, batch_size, strategy: as for `hvp.hessian`; batch norm uses its
        moving statistics.
      l2: coefficients of half the squares of the weights in the training loss, one for each of
        `model.trainable_variables`; None: there is no such term.
      gradient_tolerance: the largest gradient norm of what counts as a critical point, in units of
        the loss over those of a weight.
      tolerance, max_iterations, seed, memory_limit: of each search, as for `eigen.lanczos`.

    Raises:
      ValueError: as for `hvp.hessian`; an `l2` that does not fit.
    """
    here = point(model, at=at)
    coefficients = _spread(l2, here.weights)
    products = hessian(model, loss, dataset, at=at, batch_size=batch_size, strategy=strategy)
    operator = Operator(here.size, lambda v: products.product(v) + coefficients * v)
    limits = {"tolerance": tolerance, "max_iterations": max_iterations, "seed": seed}
    high, low = (
        lanczos(operator, which=which, memory_limit=memory_limit, **limits)
        for which in ("largest", "smallest")
    )

    stream = data.batches(dataset, ARRAY_BATCH if batch_size is None else batch_size)
    seen = look(model, here, loss, data.first(stream))
    value, gradient = make_gradient(seen.loss, here, stream, compiled=False)()
    weights = np.concatenate([w.numpy().astype(np.float64).ravel() for w in here.weights])
    gradient = gradient + coefficients * weights
    unit = seen.agreement**2
    scale = max(abs(float(high.values[0])), abs(float(low.values[0])))
    return Criticality(
        loss=value + float(coefficients @ weights**2) / 2,
        gradient_norm=float(np.linalg.norm(gradient)),
        gradient_tolerance=gradient_tolerance,
        largest=float(high.values[0]),
        largest_residual=float(high.residuals[0]),
        smallest=float(low.values[0]),
        smallest_residual=float(low.residuals[0]),
        rounding=ROUNDINGS * unit * scale,
        iterations=high.iterations + low.iterations,
        converged=high.converged and low.converged,
    )


def _spread(l2: Sequence[float] | None, weights: Sequence[tf.Tensor]) -> np.ndarray:
    """Return the coefficient of each weight, [size]."""
    l2 = [0.0] * len(weights) if l2 is None else list(l2)
    if len(l2) != len(weights):
        raise ValueError(
            f"`l2` has {len(l2)} coefficients and the model {len(weights)} trainable variables: "
            "give one for each, 0.0 for those without"
        )
    return np.concatenate([np.full(w.shape.num_elements(), c) for c, w in zip(l2, weights)])
