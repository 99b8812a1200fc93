"""What tools/measure measures of a network: curvature, norms, margins.

Batch norm is in inference mode. Nothing here imports TensorFlow before it is used.
"""

import dataclasses
import math
from collections.abc import Callable

NOISE_VECTORS = 60  # random ones, for the alignment of SGD's noise
BATCH = 250  # examples that the gradient is taken of at once


def measure(
    trained,
    *,
    eigenvalues: int = 10,
    probes: int = 4,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    strategy=None,
    say: Callable[[str], None] = lambda line: None,
) -> dict:
    """Return what measure.json says of a network.

    Args:
      trained: a repro.training.trained.Trained.
      eigenvalues: how many of the Hessian's largest, at most as many as there are weights.
      probes: of the spectral density.
      tolerance: on residuals of eigenvalues, as a share of the largest in magnitude.
      max_iterations: products for each eigenvalue, and for the trace.
      strategy: under which products are computed; None: the current one.
      say: is told each number as it comes.

    Returns:
      values with residuals or standard errors: `sharpness`, `nonuniformity`, `eigenvalues` and
      `smallest_eigenvalue` of the Hessian of the mean loss, its `trace` and `density`;
      `gradient_norm`; `noise`: Frobenius norm and alignment of SGD's noise (Wu, Wang, Su 2022);
      `norms` of the weights; `margins` of the logits over the examples, None where
      targets are no classes; and, for SGD, a and s over their bounds at the learning rate, batch
      size and momentum of the settings (the first rate, where it falls).

    Raises:
      ValueError: something is not finite, or a number out of range.
    """
    from repro import curvature

    network, loss, data = trained.network, trained.loss, trained.data
    weights = sum(math.prod(v.shape) for v in network.trainable_variables)
    of = network, loss, data
    limits = {"tolerance": tolerance, "max_iterations": max_iterations, "strategy": strategy}
    slope = gradient_norm(*of)
    say(f"gradient norm {slope:.4g} over {len(data[1]):,} examples")
    a = curvature.sharpness(*of, **limits)
    say(f"sharpness {_shown(a.value, a.residual, a.converged)}")
    s = curvature.nonuniformity(*of, **limits)
    say(f"non-uniformity {_shown(s.value, s.residual, s.converged)}")
    top = curvature.top_eigenvalues(*of, min(eigenvalues, weights), **limits)
    say(f"largest eigenvalues {', '.join(f'{value:.4g}' for value in top.values)}")
    low = curvature.top_eigenvalues(*of, which="smallest", **limits)
    say(f"smallest eigenvalue {_shown(low.values[0], low.residuals[0], low.converged)}")
    trace = curvature.trace(*of, max_iterations=max_iterations, strategy=strategy)
    say(f"trace {trace.value:.4g} ± {trace.standard_error:.1g}")
    density = curvature.spectral_density(*of, probes=probes, strategy=strategy)
    say(f"spectral density by {probes} probes")
    return {
        "examples": len(data[1]),
        "parameters": weights,
        "gradient_norm": slope,
        "sharpness": a.without_vector(),
        "nonuniformity": s.without_vector(),
        **stability_margins(a.value, s.value, trained.settings, len(data[1])),
        "eigenvalues": top.values.tolist(),
        "eigenvalue_residuals": top.residuals.tolist(),
        "eigenvalues_converged": top.converged,
        "smallest_eigenvalue": {
            "value": float(low.values[0]),
            "residual": float(low.residuals[0]),
            "iterations": low.iterations,
            "converged": low.converged,
        },
        "trace": dataclasses.asdict(trace),
        "density": {
            "nodes": density.nodes.tolist(),
            "weights": density.weights.tolist(),
            "second_moment": density.moment(2)[0],
            "second_moment_standard_error": density.moment(2)[1],
        },
        "noise": noise_of(*of, trained.settings),
        "norms": norms_of(network),
        "margins": margins_of(network, data),
    }


def _shown(value: float, residual: float, converged: bool) -> str:
    rest = "" if converged else ", not converged: raise --max_iterations"
    return f"{value:.6g} (residual {residual:.1g}{rest})"


def gradient_norm(network, loss, data) -> float:
    """Return the Euclidean norm of the gradient of the mean loss, summed in float64.

    Raises:
      ValueError: it is not finite.
    """
    import numpy as np

    from repro.curvature import data as batched
    from repro.curvature import exact_loss, gradients, weights

    exact, stream = exact_loss.in_float64(loss), batched.batches(data, BATCH)
    gradient = gradients.make_gradient(exact, weights.point(network), stream, compiled=False)
    return float(np.linalg.norm(gradient()[1]))


def sgd_of(settings, examples: int) -> tuple[float, int] | None:
    """Return learning rate and batch size of a run; None where it was no such SGD."""
    rate, batch_size = (getattr(settings, name, None) for name in ("learning_rate", "batch_size"))
    return None if rate is None or batch_size is None else (rate, min(batch_size, examples))


def stability_margins(a: float, s: float, settings, examples: int) -> dict:
    """Return a and s over the bounds of linear stability, None where the run was no such SGD."""
    from repro.curvature import stability

    sgd = sgd_of(settings, examples)
    if sgd is None:
        return {"sharpness_margin": None, "nonuniformity_margin": None}
    rate, batch_size = sgd
    momentum = getattr(settings, "momentum", None) or 0.0
    return {
        "sharpness_margin": stability.sharpness_margin(a, rate, momentum),
        "nonuniformity_margin": stability.nonuniformity_margin(s, rate, batch_size, examples),
    }


def noise_of(network, loss, data, settings) -> dict | None:
    """Return Frobenius norm and noise alignment, None where the run was no such SGD."""
    from repro import curvature

    examples = len(data[1])
    sgd = sgd_of(settings, examples)
    if sgd is None:
        return None
    found = curvature.noise_alignment(network, loss, data, max_iterations=NOISE_VECTORS)
    return found.of_sgd(*sgd, examples)


def norms_of(network) -> dict:
    """Return the norms of a network's weights, without path norms where it has none."""
    from repro import norms

    try:
        norms.check_paths(network)
    except ValueError as error:
        return {**norms.frobenius(network), "folded": None, "no_path_norm": str(error)}
    return norms.nested(norms.readings(network)())


def margins_of(network, data) -> dict | None:
    """Return the margins of the logits over the examples, None where targets are no classes."""
    import numpy as np

    from repro import norms

    inputs, targets = data[0], np.asarray(data[1])
    if targets.ndim == 2 and targets.shape[1] > 1 and np.isin(targets, (0, 1)).all():
        if not (targets.sum(1) == 1).all():
            return None
        targets = targets.argmax(1)
    if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
        return None
    return norms.margins(norms.logits_on(network, inputs), targets)
