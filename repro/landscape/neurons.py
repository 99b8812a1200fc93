"""How each kind of layer moves neurons: what permuting those it reads does to those it puts out.

Only layers themselves are known, not their subclasses, which may compute anything.
"""

import keras
import numpy as np
from keras import layers

from repro.landscape.layer_kinds import (
    CONVOLUTIONS,
    DEPTHWISE,
    MERGING,
    MERGING_OPERATIONS,
    PASSING,
    PASSING_OPERATIONS,
    SEPARABLE,
    TRANSPOSED,
)
from repro.models import graph as graphs

# The neurons of a tensor's last axis: (group, how many) one after the other. Group 0 stays put.
Segments = tuple[tuple[int, int], ...]
FIXED = 0


class Groups:
    """Groups of neurons that must move together, found by tying them one pair after the other."""

    def __init__(self):
        self._parent = {FIXED: FIXED}

    def root(self, group: int) -> int:
        """Return the group that stands for all those tied to one."""
        while self._parent[group] != group:
            group = self._parent[group]
        return group

    def new(self, size: int) -> Segments:
        """Return neurons of a group of their own."""
        self._parent[len(self._parent)] = len(self._parent)
        return ((len(self._parent) - 1, size),)

    def tie(self, one: Segments, other: Segments) -> None:
        """Let two lists of neurons move alike; lists cut differently stay put."""
        if [size for _, size in one] != [size for _, size in other]:
            one = one + other
            other = fixed(one)
        for (a, _), (b, _) in zip(one, other):
            low, high = sorted((self.root(a), self.root(b)))  # FIXED is lowest: it wins
            self._parent[high] = low

    def pin(self, segments: Segments) -> Segments:
        """Let neurons stay where they are."""
        self.tie(segments, fixed(segments))
        return fixed(segments)


def fixed(segments: Segments) -> Segments:
    """Return as many neurons, of those that stay put."""
    return tuple((FIXED, size) for _, size in segments)


def unmoved(tensor: graphs.Tensor) -> Segments:
    """Return the neurons of a tensor as such that stay put; none where the last axis is open."""
    if len(tensor.shape) < 2 or tensor.shape[-1] is None:
        return ()
    return ((FIXED, tensor.shape[-1]),)


def through(
    call: graphs.Call, inputs: list[Segments], groups: Groups
) -> tuple[Segments, dict[int, tuple[Segments | None, ...]]] | None:
    """Return the neurons of a call's output, and those along its variables' axes, by their ids.

    None where it is not known.

    Args:
      call: of the graph.
      inputs: the neurons of what it reads.
      groups: ties and new groups are noted here.
    """
    layer, kind = call.operation, graphs.kind(call.operation)
    # A rank of 1 is the batch alone; channels before the pixels are another order of axes.
    read = () if kind is layers.Embedding else call.inputs
    if (
        any(len(t.shape) < 2 or t.shape[-1] is None for t in (*read, *call.outputs))
        or getattr(layer, "data_format", None) == "channels_first"
        or len(call.outputs) != 1
        or getattr(layer, "lora_enabled", False)
        or getattr(layer, "quantization_mode", None)
    ):
        return None
    if not isinstance(layer, layers.Layer):
        return _through_operation(call, inputs, groups)
    if kind in (*CONVOLUTIONS, *TRANSPOSED, *DEPTHWISE, *SEPARABLE, layers.Dense, layers.Embedding):
        return _through_kernel(call, inputs, groups)
    if kind in (layers.BatchNormalization, layers.LayerNormalization, layers.PReLU):
        return _through_vectors(call, inputs[0], groups)
    if kind in MERGING:
        return _merged(inputs, groups), {}
    if kind is layers.Concatenate:
        return _concatenated(inputs, call, groups), {}
    if kind in (layers.Flatten, layers.Reshape):
        return _reshaped(call, inputs[0])
    if kind in PASSING:
        return inputs[0], {}
    if kind.__name__ == "LocalResponseNorm":  # looks at neighbours: their order counts
        return groups.pin(inputs[0]), {}
    return None


def _through_kernel(call: graphs.Call, inputs: list[Segments], groups: Groups):
    """Return what `through` does, for layers that make neurons of their own, or weigh channels."""
    layer, kind, first = call.operation, type(call.operation), inputs[0]
    size = call.outputs[0].shape[-1]
    if kind not in DEPTHWISE and _made(layer) != size:
        return None  # an activation that changes the number of neurons
    pixels = [None] * (len(call.inputs[0].shape) - 2)
    if kind in DEPTHWISE:  # one kernel a channel, which keeps its place
        if layer.depth_multiplier > 1:
            groups.pin(first)
            return ((FIXED, size),), {}
        own = {id(layer.kernel): (*pixels, first, None)}
        return first, own | ({id(layer.bias): (first,)} if layer.use_bias else {})
    if getattr(layer, "groups", 1) > 1:  # outputs of a group read the same inputs, by position
        groups.pin(first)
        first = None
        out = sum((groups.new(size // layer.groups) for _ in range(layer.groups)), ())
    else:
        out = groups.new(size)
    if kind is layers.Embedding:
        groups.pin(first)
        return out, {id(layer.embeddings): (None, out)}
    if kind in SEPARABLE:
        if layer.depth_multiplier > 1:
            groups.pin(first)
            first = None
        own = {
            id(layer.depthwise_kernel): (*pixels, first, None),
            id(layer.pointwise_kernel): (*pixels, first, out),
        }
    elif kind is layers.Dense:
        own = {id(layer.kernel): (first, out)}
    else:
        both = (out, first) if kind in TRANSPOSED else (first, out)
        own = {id(layer.kernel): (*pixels, *both)}
    if layer.use_bias:
        own[id(layer.bias)] = (out,)
    return out, own


def _made(layer: keras.layers.Layer) -> int:
    """Return how many neurons a layer makes, before its activation."""
    if isinstance(layer, layers.Embedding):
        return layer.output_dim
    return layer.units if isinstance(layer, layers.Dense) else layer.filters


def _through_vectors(call: graphs.Call, first: Segments, groups: Groups):
    """Return what `through` does, for layers that scale neurons one by one."""
    layer, last = call.operation, len(call.inputs[0].shape) - 1
    if type(layer) is layers.PReLU:  # [..., neurons], or 1 where an axis is shared
        alone = first if layer.alpha.shape[-1] == call.inputs[0].shape[-1] else None
        return first, {id(layer.alpha): (*[None] * (last - 1), alone)}
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    if [axis % (last + 1) for axis in axes] == [last]:
        return first, {id(v): (first,) for v in layer.weights}
    if graphs.kind(layer) is layers.BatchNormalization:  # of pixels: the same for all neurons
        return first, {}
    return None


def _through_operation(call: graphs.Call, inputs: list[Segments], groups: Groups):
    """Return what `through` does, for operations that are no layers."""
    kind = type(call.operation).__name__
    constants = [
        x
        for x in keras.tree.flatten((call.args, call.kwargs))
        if not isinstance(x, graphs.Tensor) and np.size(x) > 1
    ]
    if constants:  # numbers for single neurons
        return None
    if kind in MERGING_OPERATIONS:
        return _merged(inputs, groups), {}
    if kind in PASSING_OPERATIONS:
        return inputs[0], {}
    return None


def _merged(inputs: list[Segments], groups: Groups) -> Segments:
    """Return the neurons of a sum or the like; where one is spread over many, all stay put."""
    for other in inputs[1:]:
        groups.tie(inputs[0], other)
    return max(inputs, key=lambda segments: sum(size for _, size in segments))


def _concatenated(inputs: list[Segments], call: graphs.Call, groups: Groups) -> Segments:
    last = len(call.outputs[0].shape) - 1
    if call.operation.axis % (last + 1) == last:
        return sum(inputs, ())
    return _merged(inputs, groups)


def _reshaped(call: graphs.Call, first: Segments):
    """Return the neurons after flattening: channels run fastest, their list repeats per pixel."""
    before, after = call.inputs[0].shape, call.outputs[0].shape
    if before[-1] == after[-1]:
        return first, {}
    pixels = before[1:-1]
    if len(after) == 2 and None not in pixels:
        return first * int(np.prod(pixels)), {}
    return None
