"""Which neurons of a network can change places, and what a change does to all its variables.

Neurons of a layer may be permuted if whatever reads them is permuted alike (Entezari et al. 2021,
Ainsworth et al. 2022). Groups of neurons that must move together are found by following the Keras
graph, so nothing has to be written down per network: through concatenations, residual sums, and the
flattening between convolutions and dense layers. Batch norm's moving statistics move along.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np

# The neurons of a tensor's last axis: (group, how many) one after the other. Group 0 stays put.
Segments = tuple[tuple[int, int], ...]
FIXED = 0
PASSING = (
    keras.layers.Activation, keras.layers.ReLU, keras.layers.Dropout, keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D, keras.layers.GlobalAveragePooling2D, keras.layers.ZeroPadding2D,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Symmetry:
    """The permutations a network allows.

    Attributes:
      sizes: group -> number of its neurons.
      axes: path of a variable -> for each of its axes, the Segments along it; None: no neurons.
      tensors: name of a layer -> Segments of its output.
    """

    sizes: dict[int, int]
    axes: dict[str, tuple[Segments | None, ...]]
    tensors: dict[str, Segments]


def find(model: keras.Model) -> Symmetry:
    """Return the permutations of a functional model's hidden neurons.

    Raises:
      ValueError: a layer whose effect on neurons is not known.
    """
    parent, tensors, axes = {FIXED: FIXED}, {}, {}

    def root(group: int) -> int:
        while parent[group] != group:
            group = parent[group]
        return group

    def tie(one: Segments, other: Segments) -> None:
        """Let two lists of neurons move alike; lists cut differently stay put."""
        if [size for _, size in one] != [size for _, size in other]:
            one = one + other
            other = _fixed(one)
        for (a, _), (b, _) in zip(one, other):
            low, high = sorted((root(a), root(b)))  # FIXED is lowest: it wins
            parent[high] = low

    def new(size: int) -> Segments:
        parent[len(parent)] = len(parent)
        return ((len(parent) - 1, size),)

    for layer in model.layers:  # in the order of the graph
        inputs = [tensors[source] for source in _sources(layer)]
        tensors[layer.name], own = _through(layer, inputs, new, tie)
        axes |= own
    logits = tensors[model.layers[-1].name]
    tie(logits, _fixed(logits))

    def settled(segments: Segments | None) -> Segments | None:
        return segments and tuple((root(group), size) for group, size in segments)

    tensors = {name: settled(segments) for name, segments in tensors.items()}
    axes = {path: tuple(map(settled, found)) for path, found in axes.items()}
    named = [part for found in tensors.values() for part in found if part[0] != FIXED]
    return Symmetry(dict(named), axes, tensors)


def _fixed(segments: Segments) -> Segments:
    return tuple((FIXED, size) for _, size in segments)


def _sources(layer: keras.layers.Layer) -> list[str]:
    """Return the names of the layers whose outputs a layer reads."""
    if isinstance(layer, keras.layers.InputLayer):
        return []
    tensors = layer.input if isinstance(layer.input, list) else [layer.input]
    return [tensor._keras_history.operation.name for tensor in tensors]


def _through(layer, inputs: Sequence[Segments], new, tie) -> tuple[Segments, dict]:
    """Return the neurons of a layer's output, and those along its variables' axes by path."""
    kinds = keras.layers
    if isinstance(layer, kinds.InputLayer):
        return ((FIXED, layer.output.shape[-1]),), {}
    first = inputs[0]
    if isinstance(layer, kinds.Conv2D | kinds.Dense):
        out = new(layer.output.shape[-1])
        found = {layer.kernel.path: (*[None] * (len(layer.kernel.shape) - 2), first, out)}
        return out, found | ({layer.bias.path: (out,)} if layer.use_bias else {})
    if isinstance(layer, kinds.BatchNormalization):
        return first, {v.path: (first,) for v in layer.variables}
    if isinstance(layer, kinds.Flatten):  # channels run fastest: their list repeats per pixel
        pixels = int(np.prod(layer.input.shape[1:-1]))
        return first * pixels, {}
    if isinstance(layer, kinds.Concatenate):
        return sum(inputs, ()), {}
    if isinstance(layer, kinds.Add):
        for other in inputs[1:]:
            tie(first, other)
        return first, {}
    if isinstance(layer, PASSING):
        return first, {}
    if type(layer).__name__ == "LocalResponseNorm":  # looks at neighbours: their order counts
        tie(first, _fixed(first))
        return first, {}
    raise ValueError(f"how {type(layer).__name__} ({layer.name}) moves neurons is not known")


def order(segments: Segments, permutations: Mapping[int, np.ndarray]) -> np.ndarray:
    """Return which old neuron takes each place of an axis, [n]."""
    offset, parts = 0, []
    for group, size in segments:
        parts.append(offset + permutations.get(group, np.arange(size)))
        offset += size
    return np.concatenate(parts)


def permute(
    symmetry: Symmetry, permutations: Mapping[int, np.ndarray], weights: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return all variables of a network with its neurons permuted; it computes the same function.

    Args:
      symmetry: of the network.
      permutations: group -> for each place, the neuron that comes there; others stay.
      weights: every variable's value by its path, moving statistics included.
    """
    moved = {}
    for path, value in weights.items():
        for axis, segments in enumerate(symmetry.axes.get(path, ())):
            if segments is not None:
                value = np.take(value, order(segments, permutations), axis=axis)
        moved[path] = value
    return moved


def random_permutations(symmetry: Symmetry, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Return a random permutation of every group."""
    return {group: rng.permutation(size) for group, size in symmetry.sizes.items()}
