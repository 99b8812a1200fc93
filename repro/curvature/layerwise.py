"""Products with sums of H_i and H_i^2 for chains of layers, without a weight vector per example.

In a chain of dense and convolutional layers, layer l maps rows X_i (the input, or its patches) to
Z_i = X_i W + b, and the gradient of example i with respect to W is X_i^T D_i, where D_i is the
gradient with respect to Z_i. Differentiated in the direction V of the weights, that is

    (H_i V)_l = X'_i^T D_i + X_i^T D'_i,

where ' is the derivative along V. A second product needs this matrix only where it meets rows or
gradients,

    R (H_i V)_l = (R X'_i^T) D_i + (R X_i^T) D'_i,

so small matrices, of rows times rows of the same example, stand for one of inputs times outputs
(Wu, Ma, E 2018 need it for every example in every iteration). What lies between two such layers,
activations and pooling, is differentiated automatically; the products with weights, which take the
time, are written out, none of them twice.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from keras import layers

from repro.curvature.layer_vectors import LayerVectors, SharedDirection, times
from repro.curvature.weights import Point, join, split

# The layers whose products are known here, exactly: a subclass may compute something else.
WEIGHTED = (layers.Dense, layers.Conv2D)
BETWEEN = (
    layers.Activation,
    layers.AveragePooling2D,
    layers.Cropping2D,
    layers.ELU,
    layers.Flatten,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.LeakyReLU,
    layers.MaxPooling2D,
    layers.ReLU,
    layers.Reshape,
    layers.Softmax,
    layers.ZeroPadding2D,
)


def chain(model: keras.Layer, here: Point) -> list[keras.layers.Layer] | None:
    """Return a model's layers if they are a chain this module can handle, else None.

    A chain's layers each take the output of the one before. Those with weights, all of them part of
    the point, are dense layers on vectors and 2-D convolutions; the others are among BETWEEN. A
    subclass of any of them, and what computes in another precision than its weights', is no part of
    a chain.
    """
    if not type(model).__module__.startswith("keras."):  # a subclass may have a call of its own
        return None
    if not isinstance(model, keras.Model) or len(model.inputs) != 1 or len(model.outputs) != 1:
        return None
    found = [layer for layer in model.layers if type(layer) is not keras.layers.InputLayer]
    tensor, variables = model.inputs[0], []
    for layer in found:
        used_once = len(layer._inbound_nodes) == 1
        if not used_once or layer.input is not tensor or not _supported(layer):
            return None
        tensor = layer.output
        variables += layer.weights
    trainable = model.trainable_variables
    chosen = [trainable[number] for number in here.chosen]
    same = len(chosen) == len(variables) and all(a is b for a, b in zip(chosen, variables))
    return found if tensor is model.outputs[0] and same and variables else None


def _supported(layer: keras.layers.Layer) -> bool:
    if layer.compute_dtype != layer.variable_dtype:
        return False
    if type(layer) not in WEIGHTED:
        return type(layer) in BETWEEN
    if len(layer.weights) != 1 + layer.use_bias:
        return False  # quantised, or with low-rank adapters
    if type(layer) is layers.Dense:
        return len(layer.input.shape) == 2
    plain = layer.groups == 1 and layer.dilation_rate == (1, 1)
    return plain and layer.data_format == "channels_last"


def layerwise(
    chained: Sequence[keras.layers.Layer],
    loss: Callable,
    here: Point,
    vector: tf.Tensor,
    inputs,
    targets,
    weights: tf.Tensor,
) -> tf.Tensor:
    """Return sums over examples of H_i v and H_i H_i v times weights, float64 [2, size].

    Args:
      chained: of `chain`.
      loss: targets, outputs -> losses [b].
      here, vector, inputs, targets, weights: as for `streaming.mean_over_examples`.
    """
    weighted = [layer for layer in chained if layer.weights]
    biased = [layer.use_bias for layer in weighted]
    between = _between(chained)

    def per_layer(tensors):
        remaining = iter(tensors)
        return [(next(remaining), next(remaining) if bias else None) for bias in biased]

    (inputs,) = tf.nest.flatten(inputs)
    inputs = tf.cast(tf.cast(inputs, chained[0].input.dtype), here.weights[0].dtype)
    if inputs.shape.rank == len(chained[0].input.shape) - 1:
        inputs = inputs[..., None]  # grey images, to which Keras adds their channel
    steps = [*between[:-1], lambda z: tf.cast(loss(targets, between[-1](z)), z.dtype)]
    shared = [SharedDirection(*pair) for pair in per_layer(split(vector, here.weights))]
    pairs = per_layer(here.weights)
    once = _layer_vectors(pairs, steps, inputs, shared)
    again = _layer_vectors(pairs, steps, inputs, once)
    sums = [
        join([part for layer, bias in zip(found, biased) for part in layer.sums(bias, weights)])
        for found in (once, again)
    ]
    return tf.stack(sums)


def _layer_vectors(
    weights: Sequence, steps: Sequence[Callable], inputs: tf.Tensor, directions: Sequence
) -> list[LayerVectors]:
    """Return the vectors of each layer along its direction.

    Args:
      weights: kernel and bias (or None) of each layer.
      steps: what makes the first rows of the inputs, the next rows of each layer's outputs, and the
        losses [b] of the last outputs.
      inputs: [b, ...].
      directions: of each layer, shared or the examples' own.
    """
    rows, rows_change, outputs = steps[0](inputs), None, []
    seen = []
    for (kernel, bias), direction, step in zip(weights, directions, [*steps[1:-1], None]):
        seen.append((rows, rows_change))
        z = times(rows, kernel) + (0 if bias is None else bias)
        z_change = direction.forward(rows, bias is not None)
        if rows_change is not None:
            z_change += times(rows_change, kernel)
        outputs.append((z, z_change))
        if step:
            with tf.autodiff.ForwardAccumulator(z, z_change) as forward:
                rows = step(z)
            rows_change = forward.jvp(rows, unconnected_gradients="zero")

    ones = tf.ones(tf.shape(inputs)[:1], z.dtype)
    d, d_change = _backward(steps[-1], *outputs[-1], ones, tf.zeros_like(ones))
    found = [LayerVectors(*seen[-1], d, d_change)]
    for number in range(len(weights) - 1, 0, -1):
        kernel, direction = weights[number][0], directions[number]
        g = times(d, kernel, transpose=True)
        g_change = times(d_change, kernel, transpose=True) + direction.backward(d)
        d, d_change = _backward(steps[number], *outputs[number - 1], g, g_change)
        found.insert(0, LayerVectors(*seen[number - 1], d, d_change))
    return found


def _backward(step: Callable, x, x_change, g, g_change) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the product of gradients g with the derivative of a step at x, and how it changes."""
    with tf.autodiff.ForwardAccumulator([x, g], [x_change, g_change]) as forward:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = step(x)
        back = tape.gradient(y, x, g, unconnected_gradients="zero")
    return back, forward.jvp(back, unconnected_gradients="zero")


def _between(chained: Sequence[keras.layers.Layer]) -> list[Callable]:
    """Return the functions to the first layer with weights, between two, and from the last."""

    def function(before, others, after):
        def step(x):
            if before is not None:
                x = before.activation(tf.reshape(x, [-1, *before.output.shape[1:]]))
            for other in others:
                x = other(x)
            return x if after is None else _rows(after, x)

        return step

    functions, before, others = [], None, []
    for layer in chained:
        if layer.weights:
            functions.append(function(before, others, layer))
            before, others = layer, []
        else:
            others.append(layer)
    return [*functions, function(before, others, None)]


def _rows(layer: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
    """Return a layer's inputs as rows [b, p, fan in]."""
    if isinstance(layer, keras.layers.Dense):
        return x[:, None, :]
    (height, width), (down, right) = layer.kernel_size, layer.strides
    _, grid_height, grid_width, _ = layer.output.shape
    padding = [(0, 0), (0, 0)]
    if layer.padding == "same":
        # As TensorFlow pads: what is missing to cover the grid, the smaller half first.
        missing = [
            max((cells - 1) * stride + size - length, 0)
            for cells, stride, size, length in zip(
                (grid_height, grid_width), layer.strides, layer.kernel_size, x.shape[1:3]
            )
        ]
        padding = [(m // 2, m - m // 2) for m in missing]
    x = tf.pad(x, [(0, 0), *padding, (0, 0)])
    # Slices rather than tf.image.extract_patches, whose gradient is slow.
    tall, wide = (grid_height - 1) * down + 1, (grid_width - 1) * right + 1
    shifted = [
        x[:, i : i + tall : down, j : j + wide : right] for i in range(height) for j in range(width)
    ]
    patches = tf.concat(shifted, axis=-1)
    return tf.reshape(patches, [-1, grid_height * grid_width, patches.shape[-1]])
