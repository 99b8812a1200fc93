"""Which axes of a layer's weights count its neurons, and which weights are no kernels at all."""

import keras
from keras import layers

from repro.landscape.layer_kinds import DEPTHWISE, SEPARABLE, TRANSPOSED
from repro.models import graph as graphs

# The last axis of their kernels counts neurons; for recurrent ones it counts those of each gate.
LAST = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Dense,
    layers.Embedding,
    layers.GRU,
    layers.GRUCell,
    layers.LSTM,
    layers.LSTMCell,
    layers.SimpleRNN,
    layers.SimpleRNNCell,
)
# Their weights scale and shift what is there.
SCALING = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.PReLU,
    layers.RMSNormalization,
)


def neuron_axes(model: keras.Model) -> list[tuple[int, ...] | None]:
    """Return for each trainable variable the axes that count neurons; None: it is no kernel.

    A neuron is one number of a layer's output at one place; its filter are the weights it sums its
    inputs with. A depthwise kernel [h, w, inputs, multiplier] has one neuron for each of its last
    two axes' entries, a transposed one [h, w, outputs, inputs] counts them on the last axis but
    one, and EinsumDense (attention's projections) says it in its equation. No kernels, but vectors,
    whatever the number of their axes, are biases and what normalises or scales: Li et al.'s
    treatment of biases is for all of these.

    Args:
      model: any built network; layers inside layers are found too.

    Returns:
      in the order of `model.trainable_variables`.

    Raises:
      ValueError: a weight of more than one axis belongs to a layer that is not known, such as a
        subclass with weights of its own.
    """
    owners = {}
    for layer in (model, *graphs.all_layers(model)):
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
            owners[id(variable)] = layer
    return [_axes(owners[id(v)], v) for v in model.trainable_variables]


def _axes(layer: keras.layers.Layer, variable: keras.Variable) -> tuple[int, ...] | None:
    rank, kind = len(variable.shape), _kind(layer)

    def called(*names: str) -> bool:
        return any(getattr(layer, name, None) is variable for name in names)

    if rank < 2 or kind in SCALING or called("bias", "_bias"):
        return None
    if kind in DEPTHWISE or called("depthwise_kernel"):
        return (rank - 2, rank - 1)
    if kind in TRANSPOSED:
        return (rank - 2,)
    if kind in LAST or kind in SEPARABLE:
        return (rank - 1,)
    if kind is layers.EinsumDense:
        inputs, outputs = layer.equation.replace("...", "").split("->")
        kernel = inputs.split(",")[1]
        return tuple(k for k, letter in enumerate(kernel) if letter in outputs)
    raise ValueError(
        f"which axes of {variable.path} {list(variable.shape)} count neurons is not known: "
        f"{type(layer).__name__} is no layer of Keras's with a kernel"
    )


def _kind(layer: keras.layers.Layer) -> type:
    """Return the layer of Keras's whose weights a layer has: what makes them is `build`."""
    known = (*LAST, *TRANSPOSED, *DEPTHWISE, *SEPARABLE, *SCALING, layers.EinsumDense)
    for kind in known:
        if isinstance(layer, kind) and type(layer).build is kind.build:
            return kind
    return type(layer)
