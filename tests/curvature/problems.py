"""Small problems and an independent way to their Hessians: differences of first derivatives."""

import numpy as np
import tensorflow as tf


def squared_error(targets, outputs):
    """Wu, Ma, E 2018: squared error, averaged over outputs."""
    return tf.reduce_mean(tf.square(outputs - targets), axis=-1)


def softmax_loss(targets, outputs):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)


def logistic_loss(targets, outputs):
    return tf.nn.sigmoid_cross_entropy_with_logits(targets, outputs)[:, 0]


def gradient(model, loss, inputs, targets, flat, training=False):
    """Return the gradient of the mean loss at the flat weights, float64."""
    values, begin = [], 0
    for v in model.trainable_variables:
        size = int(np.prod(v.shape))
        values.append(tf.constant(flat[begin : begin + size].reshape(v.shape), v.dtype))
        begin += size
    state = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(values)
        outputs, _ = model.stateless_call(values, state, inputs, training=training)
        mean = tf.reduce_mean(loss(targets, outputs))
    parts = tape.gradient(mean, values, unconnected_gradients="zero")
    return np.concatenate([p.numpy().ravel() for p in parts]).astype(np.float64)


def flat_weights(model):
    return np.concatenate([v.numpy().ravel() for v in model.trainable_variables])


def difference_hessian(model, loss, inputs, targets, eps=1e-5, training=False):
    """Return the Hessian of the mean loss by central differences of its gradient.

    The error is eps^2 |f''''| / 6 + 1e-16 |f'| / eps: about 1e-10 at eps = 1e-5.
    """
    at = flat_weights(model)
    columns = []
    for step in np.eye(len(at)) * eps:
        ends = [gradient(model, loss, inputs, targets, at + s, training) for s in (step, -step)]
        columns.append((ends[0] - ends[1]) / (2 * eps))
    matrix = np.stack(columns)
    return (matrix + matrix.T) / 2


def example_hessians(model, loss, inputs, targets, eps=1e-5):
    """Return the Hessian of each example's loss, [n, size, size]."""
    return np.stack([
        difference_hessian(model, loss, inputs[i : i + 1], targets[i : i + 1], eps)
        for i in range(len(inputs))
    ])  # fmt: skip
