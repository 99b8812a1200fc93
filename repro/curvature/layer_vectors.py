"""Matrices (H_i V)_l of single examples, as the vectors they are products of (see layerwise.py)."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class LayerVectors:
    """A layer's rows and the gradients of its outputs for b examples, and how they change along V.

    It stands for the matrices (H_i V)_l, [fan in, fan out], of all examples.
    """

    rows: tf.Tensor  # X, [b, p, fan in]; p = 1 for dense layers, else positions
    rows_change: tf.Tensor | None  # X'; None: zero, at the first layer
    gradients: tf.Tensor  # D, [b, p, fan out]
    gradients_change: tf.Tensor  # D'

    def sums(self, bias: bool, weights: tf.Tensor) -> list[tf.Tensor]:
        """Return the sums over examples times weights [b]: of the kernel, and of the bias."""
        weights = tf.cast(weights, self.gradients.dtype)[:, None, None]
        kernel = tf.add_n([_flat(x, d * weights) for x, d in self._pairs()])
        if not bias:
            return [kernel]
        return [kernel, tf.reduce_sum(self.gradients_change * weights, axis=[0, 1])]

    def forward(self, rows: tf.Tensor, bias: bool) -> tf.Tensor:
        """Return R_i (H_i V)_l for rows R [b, p, fan in], plus the bias's part if there is one."""
        change = self._times(rows, self._pairs())
        if bias:
            change += tf.reduce_sum(self.gradients_change, axis=1, keepdims=True)
        return change

    def backward(self, gradients: tf.Tensor) -> tf.Tensor:
        """Return G_i (H_i V)_l^T for gradients G [b, p, fan out]."""
        return self._times(gradients, [(d, x) for x, d in self._pairs()])

    def _pairs(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        pairs = [(self.rows, self.gradients_change)]
        return pairs if self.rows_change is None else [*pairs, (self.rows_change, self.gradients)]

    def _times(self, left: tf.Tensor, pairs: list) -> tf.Tensor:
        positions, fan_in, fan_out = self.rows.shape[1], self.rows.shape[2], self.gradients.shape[2]
        # With few positions the products of rows cost less than the matrices of the examples.
        if positions * (fan_in + fan_out) < 1.5 * fan_in * fan_out:
            return tf.add_n([tf.matmul(tf.matmul(left, x, transpose_b=True), d) for x, d in pairs])
        return tf.matmul(left, tf.add_n([tf.matmul(x, d, transpose_a=True) for x, d in pairs]))


@dataclasses.dataclass(frozen=True)
class SharedDirection:
    """One direction V of a layer's weights for all examples, with the methods of LayerVectors."""

    kernel: tf.Tensor
    bias: tf.Tensor | None

    def forward(self, rows: tf.Tensor, bias: bool) -> tf.Tensor:
        return times(rows, self.kernel) + (self.bias if bias else 0)

    def backward(self, gradients: tf.Tensor) -> tf.Tensor:
        return times(gradients, self.kernel, transpose=True)


def times(rows: tf.Tensor, kernel: tf.Tensor, transpose: bool = False) -> tf.Tensor:
    """Return rows [b, p, fan in] times a kernel [..., fan out], or with it transposed."""
    flat = tf.reshape(rows, [-1, rows.shape[2]])
    kernel = tf.reshape(kernel, [-1, kernel.shape[-1]])
    product = tf.matmul(flat, kernel, transpose_b=transpose)
    return tf.reshape(product, [-1, rows.shape[1], product.shape[1]])


def _flat(rows: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Return the sum over examples and positions of row times gradient, [fan in, fan out]."""
    left, right = (tf.reshape(x, [-1, x.shape[2]]) for x in (rows, gradients))
    return tf.matmul(left, right, transpose_a=True)
