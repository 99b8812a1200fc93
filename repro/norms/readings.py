"""All norms of a network at once, raw and with batch norm folded: for metrics and for a result."""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from repro.norms.copies import at_dtype
from repro.norms.distances import distances
from repro.norms.folding import fold_batch_norm, foldable, refold
from repro.norms.frobenius import frobenius
from repro.norms.margins import logits_on, margins
from repro.norms.paths import log10_around_batch_norm, log10_path_norm

FOLDED = "folded_"
COMPARED = 256  # images whose logits are compared after folding


def readings(model: keras.Model) -> Callable[[], dict[str, float]]:
    """Return a function that measures all norms of the present weights.

    Its values: the four readings of `frobenius`, raw and, with names that begin with `folded_`, of
    the folded network; `log10_path_l1` and `log10_path_l2` of the folded network.
    """
    folded = fold_batch_norm(model)

    def measure() -> dict[str, float]:
        refold(model, folded)
        return {
            **frobenius(model),
            **{FOLDED + name: value for name, value in frobenius(folded).items()},
            "log10_path_l1": log10_path_norm(folded, 1),
            "log10_path_l2": log10_path_norm(folded, 2),
        }

    return measure


def nested(measured: Mapping[str, float]) -> dict:
    """Return readings with those of the folded network in a dictionary `folded` of their own."""
    raw = {name: value for name, value in measured.items() if not name.startswith(FOLDED)}
    folded = {name[len(FOLDED) :]: value for name, value in measured.items() if name not in raw}
    return {**raw, "folded": folded}


def summary(
    model: keras.Model, start: Sequence[np.ndarray], images: np.ndarray, labels: np.ndarray
) -> dict:
    """Return what a result says of a trained network's weights.

    Args:
      model: after training.
      start: `snapshot` of it before.
      images, labels: the training set as the network sees it, [n, H, W, C] and [n].

    Returns:
      distance, relative_distance, and both without batch norm's weights; norms, `nested`;
      rescaling, see `rescaling_check`; margins on the training set.
    """
    moved = distances(start, model)
    return {
        "distance": moved["all"],
        "distance_without_bn": moved["without_bn"],
        "relative_distance": moved["relative"],
        "relative_distance_without_bn": moved["relative_without_bn"],
        "norms": nested(readings(model)()),
        "rescaling": rescaling_check(model, images[:COMPARED]),
        "margins": margins(logits_on(model, images), labels),
    }


def rescaling_check(model: keras.Model, images: np.ndarray) -> dict[str, float]:
    """Double a convolution under batch norm, which changes no output: which norms notice?

    The first kernel that batch norm can be folded into is doubled, with its bias and the running
    mean, and the running variance, with epsilon, made fourfold.

    Args:
      model: stays as it is.
      images: float [b, H, W, C] to compare logits on.

    Returns:
      folding_error: largest difference of logits between the network and its folded copy, both in
        float64; where a batch norm can be folded also
      log10_path_l2_change: of the folded network's path norm, by the doubling;
      log10_around_batch_norm_change: of the JAX rerun's quantity, by the doubling; None where that
        is not positive, which a path norm is.
    """
    logits = [
        np.asarray(network(np.asarray(images, network.input.dtype), training=False))
        for network in (at_dtype(model, "float64"), fold_batch_norm(model))
    ]
    changes = {"folding_error": float(np.abs(logits[0] - logits[1]).max())}
    pairs = foldable(model)
    if pairs:
        network, (norm, layer) = at_dtype(model, "float64"), next(iter(pairs.items()))
        before = log10_path_norm(network, 2), log10_around_batch_norm(network, 2)
        _double(network.get_layer(layer), network.get_layer(norm))
        after = log10_path_norm(network, 2), log10_around_batch_norm(network, 2)
        changes["log10_path_l2_change"] = after[0] - before[0]
        around = after[1] - before[1]
        changes["log10_around_batch_norm_change"] = around if np.isfinite(around) else None
    return changes


def _double(layer: keras.layers.Layer, norm: keras.layers.BatchNormalization) -> None:
    for variable in (*layer.trainable_variables, norm.moving_mean):
        variable.assign(2 * variable.value)
    norm.moving_variance.assign(4 * norm.moving_variance.value + 3 * norm.epsilon)
