"""Bringing one network's neurons into the order of another's before the two are connected.

Weight matching follows Ainsworth et al. 2022 (Git Re-Basin), activation matching Li et al. 2015 and
Tatro et al. 2020: each is a linear assignment per group of neurons (see permutations.py).
"""

from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

from repro.landscape import batches as batches_
from repro.landscape import permutations
from repro.landscape.neurons import FIXED
from repro.models import graph as graphs

SWEEPS = 100


def get_weights(model: keras.Model) -> list[np.ndarray]:
    """Return a copy of `model.weights`: trained or not, moving statistics too, no random states."""
    return [np.array(v.value) for v in model.weights]


def put_weights(model: keras.Model, weights: Sequence[np.ndarray]) -> None:
    """Write what `get_weights` returned into a network of the same structure.

    Raises:
      ValueError: the weights are another network's.
    """
    shapes = [tuple(v.shape) for v in model.weights]
    if [np.shape(w) for w in weights] != shapes:
        raise ValueError(f"weights must be {len(shapes)} arrays shaped as those of {model.name}")
    for variable, value in zip(model.weights, weights):
        variable.assign(value)


def match_weights(
    symmetry: permutations.Symmetry,
    weights: Sequence[np.ndarray],
    others: Sequence[np.ndarray],
    seed: int = 0,
) -> dict[int, np.ndarray]:
    """Return permutations of `others` that maximise its inner product with `weights`.

    Coordinate ascent: group by group in random order, each the linear assignment that is best while
    all other groups stay as they are, until none gains. The product never falls, so it ends, at a
    local maximum. (Where a group lies along two axes of one kernel, as behind a layer that is used
    twice, no linear assignment is best: then one is taken only where the product grows.)

    Args:
      symmetry: of the network both belong to.
      weights, others: as of `get_weights`; moving statistics do not count.
      seed: of the order of groups.

    Returns:
      group -> permutation for `permutations.permute`.

    Raises:
      ValueError: weights of another network, or that are not finite.
    """
    for name, values in (("weights", weights), ("others", others)):
        permutations.check_weights(symmetry, values)
        if not all(np.isfinite(values[k]).all() for k in set(symmetry.axes) - symmetry.statistics):
            raise ValueError(
                f"`{name}` has numbers that are not finite: has its training diverged?"
            )
    found = {group: np.arange(size) for group, size in symmetry.sizes.items()}
    rng, groups = np.random.default_rng(seed), list(symmetry.sizes)
    twice = _on_two_axes(symmetry)
    for _ in range(SWEEPS):
        gained = False
        for group in rng.permutation(groups):
            products = _products(symmetry, weights, others, found, group)
            _, best = linear_sum_assignment(products, maximize=True)
            places = np.arange(len(best))
            gain = products[places, best].sum() - products[places, found[group]].sum()
            if group in twice:
                gain = _product(symmetry, weights, others, {**found, group: best}) - _product(
                    symmetry, weights, others, found
                )
            if gain > 1e-9 * np.abs(products).max():
                found[group], gained = best, True
        if not gained:
            break
    return found


def _on_two_axes(symmetry: permutations.Symmetry) -> set[int]:
    """Return the groups that lie along more than one axis of a variable."""
    found = set()
    for axes in symmetry.axes.values():
        along = [{group for group, _ in segments or ()} for segments in axes]
        found |= {
            group for k, one in enumerate(along) for other in along[:k] for group in one & other
        }
    return found - {FIXED}


def _product(symmetry, weights, others, found) -> float:
    """Return the inner product of all weights with the permuted others."""
    moved = permutations.permute(symmetry, found, others)
    return sum(
        np.vdot(np.asarray(weights[k], np.float64), np.asarray(moved[k], np.float64))
        for k in symmetry.axes
        if k not in symmetry.statistics
    )


def _products(symmetry, weights, others, found, group: int) -> np.ndarray:
    """Return [n, n]: the gain of putting neuron j of the other network into place i of a group."""
    size = symmetry.sizes[group]
    total = np.zeros((size, size))
    for position, axes in symmetry.axes.items():
        if position in symmetry.statistics:
            continue
        for axis, segments in enumerate(axes):
            offset = 0
            for part, length in segments or ():
                if part == group:
                    mine = np.take(weights[position], np.arange(offset, offset + length), axis)
                    theirs = others[position]
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
    weights: Sequence[np.ndarray],
    others: Sequence[np.ndarray],
    dataset: Iterable,
) -> dict[int, np.ndarray]:
    """Return permutations of `others` that maximise the correlation of activations, group by group.

    Activations are outputs of the layers that make a group's neurons, in inference mode, each
    centred and scaled over all images and pixels; several layers of one group count together.

    Args:
      model: the network; its own weights are put back.
      symmetry: of it.
      weights, others: as of `get_weights`, moving statistics too.
      dataset: batches of images [b, ...], or of pairs (images, labels), or what else is fed to it.

    Raises:
      ValueError: weights of another network, no batches, or activations that are not finite.
    """
    for values in (weights, others):
        permutations.check_weights(symmetry, values)
    graph = graphs.trace(model)
    # Tensors are numbered alike each time a graph is read.
    makers = [(t, parts) for t, parts in symmetry.makers if any(g != FIXED for g, _ in parts)]
    wanted = [tensor for tensor, _ in makers]
    read = tf.function(
        lambda images: graphs.run(graph, images, wanted), autograph=False, reduce_retracing=True
    )
    examples, before = list(batches_.inputs_of(model, dataset)), get_weights(model)
    seen = []
    try:
        for values in (weights, others):
            put_weights(model, values)
            seen.append([_rows(same) for same in zip(*map(read, examples))])
    finally:
        put_weights(model, before)
    totals = {group: np.zeros((size, size)) for group, size in symmetry.sizes.items()}
    for (_, parts), mine, theirs in zip(makers, *seen):
        for name, rows in (("weights", mine), ("others", theirs)):
            if not np.isfinite(rows).all():
                raise ValueError(
                    f"activations of `{name}` are not finite: is there a NaN in `dataset`, or has "
                    "its training diverged?"
                )
        together = _standardized(mine).T @ _standardized(theirs) / len(mine)
        offset = 0
        for group, size in parts:
            if group != FIXED:
                totals[group] += together[offset : offset + size, offset : offset + size]
            offset += size
    return {
        group: linear_sum_assignment(total, maximize=True)[1] for group, total in totals.items()
    }


def _rows(batches) -> np.ndarray:
    """Return activations of all batches as [images * pixels, neurons]."""
    return np.concatenate([np.asarray(x, np.float64).reshape(-1, x.shape[-1]) for x in batches])


def _standardized(rows: np.ndarray) -> np.ndarray:
    """Return rows with mean 0 and deviation 1 in every column; constant columns become 0.

    What varies by less than float32 rounds is constant.
    """
    centred = rows - rows.mean(axis=0)
    deviation = centred.std(axis=0)
    return centred / np.where(deviation > 1e-6 * np.abs(rows).max(axis=0), deviation, np.inf)
