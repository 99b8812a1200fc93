"""What SGD's noise says of a minimum, measured at the end of a run (Wu, Wang, Su 2022)."""

import keras

from repro import curvature, curvature_on_request, norms
from repro.stability import descent
from repro.stability.data import Examples
from repro.stability.settings import Train

ALL = 1000  # images whose activations are kept at a time: all of the paper's
PROBES = 120  # random vectors, each a gradient and a product


def at_end(settings: Train, network: keras.Model, train: Examples) -> dict:
    """Return `criticality` and `noise` where --curvature_at_end asks for them, else nothing.

    `noise` has the Frobenius norm of the Hessian, the alignment factor mu of SGD's noise with it,
    both with standard errors, and the largest norm where SGD of this rate and batch size can stay,
    `bound`, by mu, which GD has not: None.
    """
    s, data = settings, (train.images, train.targets)
    if not s.curvature_at_end:
        return {}
    loss, part = descent.squared_error, [a[: s.curvature_examples] for a in data]
    copy = norms.at_dtype(network, "float32")
    found = curvature.noise_alignment(copy, loss, part, max_iterations=PROBES, seed=s.seed)
    noise = found.of_sgd(s.learning_rate, s.batch_size, s.examples) | {"examples": len(part[1])}
    limits = {"tolerance": s.tolerance, "max_iterations": s.max_iterations, "batch_size": ALL}
    return {**curvature_on_request.at_end(s, network, loss, data, **limits), "noise": noise}
