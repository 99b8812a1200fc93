"""Bringing one network's neurons into the order of another's before the two are connected.

Weight matching follows Ainsworth et al. 2022 (Git Re-Basin), activation matching Li et al. 2015 and
Tatro et al. 2020: each is a linear assignment per group of neurons (see permutations.py).
"""

from collections.abc import Iterable, Mapping

import keras
import numpy as np
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

from repro.landscape import permutations

SWEEPS = 100


def weights_by_path(model: keras.Model) -> dict[str, np.ndarray]:
    """Return every variable of a network but its random states, by path."""
    return {v.path: np.array(v.value) for v in model.variables if "seed_generator" not in v.path}


def put_weights(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Write variables by path into a network."""
    for variable in model.variables:
        if variable.path in weights:
            variable.assign(weights[variable.path])


def match_weights(
    symmetry: permutations.Symmetry,
    weights: Mapping[str, np.ndarray],
    others: Mapping[str, np.ndarray],
    seed: int = 0,
) -> dict[int, np.ndarray]:
    """Return permutations of `others` that maximise its inner product with `weights`.

    Coordinate ascent: group by group in random order, each the linear assignment that is best while
    all other groups stay as they are, until none gains. The product never falls, so it ends, at a
    local maximum.

    Args:
      symmetry: of the network both belong to.
      weights, others: trainable variables by path; moving statistics do not count.
      seed: of the order of groups.

    Returns:
      group -> permutation for `permutations.permute`.
    """
    found = {group: np.arange(size) for group, size in symmetry.sizes.items()}
    rng, groups = np.random.default_rng(seed), list(symmetry.sizes)
    for _ in range(SWEEPS):
        gained = False
        for group in rng.permutation(groups):
            products = _products(symmetry, weights, others, found, group)
            _, best = linear_sum_assignment(products, maximize=True)
            places = np.arange(len(best))
            gain = products[places, best].sum() - products[places, found[group]].sum()
            if gain > 1e-9 * np.abs(products).max():
                found[group], gained = best, True
        if not gained:
            break
    return found


def _products(symmetry, weights, others, found, group: int) -> np.ndarray:
    """Return [n, n]: the gain of putting neuron j of the other network into place i of a group."""
    size = symmetry.sizes[group]
    total = np.zeros((size, size))
    for path, axes in symmetry.axes.items():
        if path not in weights or path.rsplit("/", 1)[-1].startswith("moving_"):
            continue
        for axis, segments in enumerate(axes):
            offset = 0
            for part, length in segments or ():
                if part == group:
                    mine = np.take(weights[path], np.arange(offset, offset + length), axis)
                    theirs = others[path]
                    for place, along in enumerate(axes):  # the other axes as they stand now
                        if along is not None and place != axis:
                            theirs = np.take(theirs, permutations.order(along, found), place)
                    theirs = np.take(theirs, np.arange(offset, offset + length), axis)
                    mine, theirs = (
                        np.moveaxis(x, axis, 0).reshape(length, -1).astype(np.float64)
                        for x in (mine, theirs)
                    )
                    total += mine @ theirs.T
                offset += length
    return total


def match_activations(
    model: keras.Model,
    symmetry: permutations.Symmetry,
    weights: Mapping[str, np.ndarray],
    others: Mapping[str, np.ndarray],
    batches: Iterable[tf.Tensor],
) -> dict[int, np.ndarray]:
    """Return permutations of `others` that maximise the correlation of activations, group by group.

    Activations are outputs of the layers that make a group's neurons, in inference mode, each
    centred and scaled over all images and pixels; several layers of one group count together.

    Args:
      model: the network; its own weights are put back.
      symmetry: of it.
      weights, others: all variables by path, moving statistics too.
      batches: images [b, ...].
    """
    makers = {
        layer.name: symmetry.tensors[layer.name][0][0]
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
        and symmetry.tensors[layer.name][0][0] != permutations.FIXED
    }
    watched = keras.Model(model.input, [model.get_layer(name).output for name in makers])
    read = tf.function(lambda images: watched(images, training=False), reduce_retracing=True)
    batches, before = list(batches), weights_by_path(model)
    seen = []
    for values in (weights, others):
        put_weights(model, values)
        outputs = [read(images) for images in batches]
        outputs = [out if isinstance(out, list | tuple) else [out] for out in outputs]
        seen.append([_rows(same) for same in zip(*outputs)])
    put_weights(model, before)
    totals = {group: np.zeros((size, size)) for group, size in symmetry.sizes.items()}
    for group, mine, theirs in zip(makers.values(), *seen):
        totals[group] += _standardized(mine).T @ _standardized(theirs) / len(mine)
    return {
        group: linear_sum_assignment(total, maximize=True)[1] for group, total in totals.items()
    }


def _rows(batches) -> np.ndarray:
    """Return activations of all batches as [images * pixels, neurons]."""
    return np.concatenate(
        [np.asarray(x, np.float64).reshape(-1, x.shape[-1]) for x in batches]
    )


def _standardized(rows: np.ndarray) -> np.ndarray:
    """Return rows with mean 0 and deviation 1 in every column; constant columns become 0."""
    centred = rows - rows.mean(axis=0)
    deviation = centred.std(axis=0)
    return centred / np.where(deviation > 1e-12, deviation, np.inf)
