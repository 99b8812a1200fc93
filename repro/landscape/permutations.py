"""Which neurons of a network can change places, and what a change does to all its weights.

Neurons of a layer may be permuted if whatever reads them is permuted alike (Entezari et al. 2021,
Ainsworth et al. 2022). Groups of neurons that must move together are found by following the Keras
graph, so nothing has to be written down per network: through models inside the model, shared
layers, concatenations, residual sums, and the flattening between convolutions and dense layers.
Batch norm's moving statistics move along; neurons that are outputs of the network stay put.

Weights are lists of arrays in the order of `model.weights`, see alignment.get_weights.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from repro.landscape.neurons import FIXED, Groups, Segments, through, unmoved
from repro.models import graph as graphs

UNKNOWN = ("refuse", "pin")
# Of the largest output: roundoff of sums in another order, in float32 and in half precision. Wrong
# permutations change outputs by a large share of them.
TOLERANCE, HALF_TOLERANCE = 1e-3, 0.1


@dataclasses.dataclass(frozen=True)
class Symmetry:
    """The permutations a network allows.

    Attributes:
      sizes: group -> number of its neurons.
      axes: position of a variable among `model.weights` -> for each of its axes, the Segments along
        it; None: no neurons.
      makers: the tensors that layers of the network make of neurons of their own, with Segments.
      statistics: positions of moving means and variances, which move along but are no weights.
      shapes: of `model.weights`.
      pinned: layers whose neurons, in and out, stay put as nothing is known about them.
    """

    sizes: dict[int, int]
    axes: dict[int, tuple[Segments | None, ...]]
    makers: tuple[tuple[graphs.Tensor, Segments], ...]
    statistics: frozenset[int]
    shapes: tuple[tuple[int, ...], ...]
    pinned: tuple[str, ...] = ()


def find(model: keras.Model, *, unknown: str = "refuse", inputs=None) -> Symmetry:
    """Return the permutations of a functional or Sequential model's hidden neurons.

    They are proved: with random weights, neurons permuted at random must leave the outputs on
    random examples unchanged.

    Args:
      model: its own weights are not touched.
      unknown: what to do about layers whose effect on neurons is not known, such as recurrent ones
        or layers with a call of their own: `refuse` them, or `pin` the neurons before and behind
        them, which is always right.
      inputs: a batch of examples for the proof, in the structure that the model takes; None:
        random ones.

    Raises:
      ValueError: the model has no graph, a layer's effect on neurons is not known, or a permutation
        changes the outputs; the message names the layer. No output is finite, which proves nothing.
    """
    if unknown not in UNKNOWN:
        raise ValueError(f"unknown={unknown!r}; choose from {', '.join(UNKNOWN)}")
    graph, groups = graphs.trace(model), Groups()
    tensors = {t.number: unmoved(t) for t in keras.tree.flatten(graph.inputs)}
    axes, makers, pinned = {}, [], []
    for call in graph.calls:
        given = [tensors[t.number] for t in call.inputs]
        found = through(call, given, groups)
        if found is None:
            if unknown == "refuse":
                raise ValueError(
                    f"how {type(call.operation).__name__} ({call.name}) moves neurons is not "
                    "known; find(model, unknown='pin') leaves those before and behind it in place"
                )
            pinned.append(call.name)
            for segments in given:
                groups.pin(segments)
            tensors.update((t.number, unmoved(t)) for t in call.outputs)
            continue
        out, own = found
        tensors[call.outputs[0].number] = out
        if own and out not in given:
            makers.append((call.outputs[0], out))
        for variable, along in own.items():  # a shared layer's neurons must suit all its calls
            for one, other in zip(axes.setdefault(variable, along), along):
                if one is not None:
                    groups.tie(one, other)
    for tensor in keras.tree.flatten(graph.outputs):
        groups.pin(tensors[tensor.number])

    def settled(segments: Segments | None) -> Segments | None:
        return segments and tuple((groups.root(group), size) for group, size in segments)

    tensors = {number: settled(segments) for number, segments in tensors.items()}
    places = {id(v): place for place, v in enumerate(model.weights)}
    moving = (
        layer
        for layer in graphs.all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    symmetry = Symmetry(
        sizes=dict(part for found in tensors.values() for part in found if part[0] != FIXED),
        axes={places[v]: tuple(map(settled, along)) for v, along in axes.items()},
        makers=tuple((tensor, settled(segments)) for tensor, segments in makers),
        statistics=frozenset(
            places[id(v)] for layer in moving for v in (layer.moving_mean, layer.moving_variance)
        ),
        shapes=tuple(tuple(v.shape) for v in model.weights),
        pinned=tuple(pinned),
    )
    _prove(model, graph, symmetry, tensors, inputs)
    return symmetry


def order(segments: Segments, permutations: Mapping[int, np.ndarray]) -> np.ndarray:
    """Return which old neuron takes each place of an axis, [n]."""
    offset, parts = 0, []
    for group, size in segments:
        parts.append(offset + permutations.get(group, np.arange(size)))
        offset += size
    return np.concatenate(parts)


def permute(
    symmetry: Symmetry, permutations: Mapping[int, np.ndarray], weights: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Return all weights of a network with its neurons permuted; it computes the same function.

    Args:
      symmetry: of the network.
      permutations: group -> for each place, the neuron that comes there; others stay.
      weights: the values of `model.weights`, moving statistics included.

    Raises:
      ValueError: the weights are another network's.
    """
    check_weights(symmetry, weights)
    moved = list(weights)
    for place, axes in symmetry.axes.items():
        for axis, segments in enumerate(axes):
            if segments is not None:
                moved[place] = np.take(moved[place], order(segments, permutations), axis=axis)
    return moved


def check_weights(symmetry: Symmetry, weights: Sequence[np.ndarray]) -> None:
    """Raise ValueError where arrays are not the weights of the symmetry's network."""
    if tuple(np.shape(w) for w in weights) != symmetry.shapes:
        raise ValueError(
            f"weights must be the {len(symmetry.shapes)} arrays of model.weights of the network "
            "whose symmetry this is"
        )


def random_permutations(symmetry: Symmetry, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Return a random permutation of every group."""
    return {group: rng.permutation(size) for group, size in symmetry.sizes.items()}


def _prove(model, graph: graphs.Graph, symmetry: Symmetry, tensors: dict, inputs) -> None:
    """Raise ValueError unless a random permutation of random weights leaves the outputs alone."""
    if not symmetry.sizes:
        return
    rng = np.random.default_rng(0)
    weights = [_random_values(v, rng) for v in model.weights]
    found = random_permutations(symmetry, rng)
    moved = permute(symmetry, found, weights)
    if inputs is None:
        inputs = graphs.random_inputs(graph, 4)
    outputs = keras.tree.flatten(graph.outputs)

    def values(weights: Sequence[np.ndarray], wanted: list[graphs.Tensor]) -> list[np.ndarray]:
        with keras.StatelessScope(list(zip(model.weights, weights))):
            found = graphs.run(graph, inputs, wanted)
        return [keras.ops.convert_to_numpy(x).astype(np.float64) for x in found]

    half = any(layer.compute_dtype in ("float16", "bfloat16") for layer in graph.layers().values())
    tolerance = HALF_TOLERANCE if half else TOLERANCE

    def differ(before: np.ndarray, after: np.ndarray) -> bool:
        scale = np.abs(before[np.isfinite(before)]).max(initial=0.0)
        return not np.allclose(before, after, rtol=0, atol=tolerance * scale, equal_nan=True)

    before = values(weights, outputs)
    if not all(np.isfinite(x).any() for x in before):
        raise ValueError(
            f"nothing is proved by `inputs` on which {model.name} puts out no finite number: give "
            "examples without NaNs, of the size that the network is made for"
        )
    if not any(map(differ, before, values(moved, outputs))):
        return
    # The first layer whose inputs moved as they should and whose output did not.
    every = [t for call in graph.calls for t in call.outputs]
    for tensor, before, after in zip(every, values(weights, every), values(moved, every)):
        if tensors[tensor.number]:
            before = np.take(before, order(tensors[tensor.number], found), axis=-1)
        if differ(before, after):
            name, kind = next(
                (call.name, type(call.operation).__name__)
                for call in graph.calls
                if tensor in call.outputs
            )
            raise ValueError(
                f"permuting neurons changes what {model.name} computes: {name} ({kind}) does not "
                "treat all its neurons alike"
            )


def _random_values(variable: keras.Variable, rng: np.random.Generator) -> np.ndarray:
    """Return values for a variable at which no permutation of it can go unnoticed."""
    shape = tuple(variable.shape)
    if "float" not in variable.dtype:
        return keras.ops.convert_to_numpy(variable.value)
    if len(shape) < 2:
        return rng.uniform(0.5, 1.5, shape)
    return rng.standard_normal(shape) * np.sqrt(2 * shape[-1] / np.prod(shape))
