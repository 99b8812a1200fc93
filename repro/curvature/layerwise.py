"""Products with sums of H_i and H_i^2 for chains of layers, without a weight vector per example.

In a chain of dense and convolutional layers, layer l maps rows X_i (the input, or its patches) to
Z_i = X_i W + b, and the gradient of example i with respect to W is X_i^T D_i, where D_i is the
gradient with respect to Z_i. Differentiated in the direction V of the weights, that is

    (H_i V)_l = X'_i^T D_i + X_i^T D'_i,

where ' is the derivative along V. A second product needs this matrix only where it meets rows,

    R (H_i V)_l = (R X'_i^T) D_i + (R X_i^T) D'_i,

so small matrices, of rows times rows of the same example, stand for one of inputs times outputs
(Wu, Ma, E 2018 need it for every example in every iteration).
"""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from repro.curvature.weights import Point, join, split


@dataclasses.dataclass(frozen=True)
class LayerVectors:
    """A layer's rows and the gradients of its outputs, for the b examples of a batch."""

    rows: tf.Tensor  # X, [b, p, fan in]; p = 1 for dense layers, else positions
    rows_change: tf.Tensor  # X'
    gradients: tf.Tensor  # D, [b, p, fan out]
    gradients_change: tf.Tensor  # D'

    def kernel_sum(self) -> tf.Tensor:
        """Return the sum over examples of (H_i V)_l, [fan in, fan out]."""
        return tf.einsum("bpi,bpo->io", self.rows_change, self.gradients) + tf.einsum(
            "bpi,bpo->io", self.rows, self.gradients_change
        )

    def bias_sum(self) -> tf.Tensor:
        """Return the sum over examples of the bias's part of H_i V, [fan out]."""
        return tf.reduce_sum(self.gradients_change, axis=[0, 1])

    def through(self, rows: tf.Tensor, bias: bool) -> tf.Tensor:
        """Return R_i (H_i V)_l for rows R [b, p, fan in], with the bias's part if there is one."""
        positions, fan_in, fan_out = rows.shape[1], rows.shape[2], self.gradients.shape[2]
        pairs = ((self.rows_change, self.gradients), (self.rows, self.gradients_change))
        # With few positions the products of rows cost less than the matrices of the examples.
        if positions * (fan_in + fan_out) < 1.5 * fan_in * fan_out:
            meetings = [tf.matmul(rows, x, transpose_b=True) for x, _ in pairs]
            change = tf.add_n([tf.matmul(m, d) for m, (_, d) in zip(meetings, pairs)])
        else:
            own = tf.add_n([tf.matmul(x, d, transpose_a=True) for x, d in pairs])
            change = tf.matmul(rows, own)
        if bias:
            change += tf.reduce_sum(self.gradients_change, axis=1, keepdims=True)
        return change


def chain(model: keras.Model, here: Point) -> list[keras.layers.Layer] | None:
    """Return a model's layers if they are a chain this module can handle, else None.

    A chain's layers each take the output of the one before. Those with weights, all of them part of
    the point, are dense layers on vectors and 2-D convolutions; the others act on each example
    alone.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return None
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    tensor, paths = model.inputs[0], []
    for layer in layers:
        used_once = len(layer._inbound_nodes) == 1
        if not used_once or layer.input is not tensor or not _supported(layer):
            return None
        tensor = layer.output
        paths += [v.path for v in layer.weights]
    return layers if tensor is model.outputs[0] and paths == list(here.names) else None


def _supported(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.layers.Dense):
        return len(layer.input.shape) == 2
    if type(layer) is keras.layers.Conv2D:
        plain = layer.groups == 1 and layer.dilation_rate == (1, 1)
        return plain and layer.data_format == "channels_last"
    return not layer.weights


def layerwise(here: Point, loss: Callable, layers: Sequence[keras.layers.Layer]) -> Callable:
    """Return `batch_sum(vector, inputs, targets)`: sum H_i v, sum H_i H_i v, float64 [2, size].

    Args:
      here: the point.
      loss: targets, outputs -> losses [b].
      layers: of `chain`.
    """

    def batch_sum(vector, inputs, targets):
        shared = dict(zip(here.names, split(vector, here.weights)))

        def along_vector(layer, rows):
            change = _times(rows, shared[layer.kernel.path])
            return change if layer.bias is None else change + shared[layer.bias.path]

        once = _layer_vectors(here, loss, layers, along_vector, inputs, targets)

        def along_own_products(layer, rows):
            return once[layer.name].through(rows, bias=layer.bias is not None)

        again = _layer_vectors(here, loss, layers, along_own_products, inputs, targets)
        return tf.stack([_total(layers, once), _total(layers, again)]), tf.shape(targets)[0]

    return batch_sum


def _layer_vectors(
    here: Point, loss: Callable, layers: Sequence, change: Callable, inputs, targets
) -> dict[str, LayerVectors]:
    """Return the vectors of each layer with weights, by its name.

    `change(layer, rows)` is what moving the weights changes in the layer's outputs, the rows held
    fixed; it may differ between examples. It enters times a scalar that is zero and has slope 1, so
    that forward mode gives the derivatives along it, of the backward pass too.
    """
    weights = dict(zip(here.names, here.weights))
    zero = tf.zeros([], here.weights[0].dtype)
    rows, outputs = {}, {}
    with tf.autodiff.ForwardAccumulator(zero, tf.ones_like(zero)) as forward:
        with tf.GradientTape() as tape:
            x = tf.cast(tf.cast(inputs, layers[0].input.dtype), zero.dtype)
            tape.watch(x)
            for layer in layers:
                if not layer.weights:
                    x = layer(x, training=False) if layer._call_has_training_arg else layer(x)
                    continue
                rows[layer.name], grid = _rows(layer, x)
                z = _times(rows[layer.name], weights[layer.kernel.path])
                if layer.bias is not None:
                    z += weights[layer.bias.path]
                z += zero * change(layer, rows[layer.name])
                outputs[layer.name] = z
                x = layer.activation(tf.reshape(z, [-1, *grid, z.shape[-1]]))
            losses = loss(targets, x)
        gradients = tape.gradient(losses, outputs, unconnected_gradients="zero")

        def slope(tensor):
            return forward.jvp(tensor, unconnected_gradients="zero")

        return {
            name: LayerVectors(x, slope(x), gradients[name], slope(gradients[name]))
            for name, x in rows.items()
        }


def _rows(layer: keras.layers.Layer, x: tf.Tensor) -> tuple[tf.Tensor, tuple[int, ...]]:
    """Return a layer's inputs as rows [b, p, fan in], and the grid its p positions lie on."""
    if isinstance(layer, keras.layers.Dense):
        return x[:, None, :], ()
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
    rows = tf.reshape(patches, [-1, grid_height * grid_width, patches.shape[-1]])
    return rows, (grid_height, grid_width)


def _times(rows: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return rows [b, p, fan in] times a kernel whose last axis is the fan out."""
    flat = tf.reshape(rows, [-1, rows.shape[2]])
    product = tf.matmul(flat, tf.reshape(kernel, [rows.shape[2], -1]))
    return tf.reshape(product, [-1, rows.shape[1], product.shape[1]])


def _total(layers: Sequence, vectors: dict[str, LayerVectors]) -> tf.Tensor:
    """Return sums over examples as one flat vector, in the order of the model's weights."""
    parts = []
    for layer in layers:
        if layer.weights:
            parts.append(vectors[layer.name].kernel_sum())
            if layer.bias is not None:
                parts.append(vectors[layer.name].bias_sum())
    return join(parts)
