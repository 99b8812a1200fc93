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
    return np.stack(
        [
            difference_hessian(model, loss, inputs[i : i + 1], targets[i : i + 1], eps)
            for i in range(len(inputs))
        ]
    )


# --- any model, with inputs, targets and outputs of any structure ---------------------------------


class Truth:
    """Products of one example after another, by central differences of first derivatives.

    The model's own variables are moved and put back, and it is called as its user would call it:
    nothing is shared with the room under test.
    """

    def __init__(self, model, loss, inputs, targets, eps=1e-6):
        self.model, self.loss, self.eps = model, loss, eps
        self.examples = [
            tf.nest.map_structure(lambda x, i=i: tf.constant(x[i : i + 1]), (inputs, targets))
            for i in range(len(tf.nest.flatten(inputs)[0]))
        ]
        self.at = flat_weights(model)

    def _put(self, flat):
        begin = 0
        for v in self.model.trainable_variables:
            size = int(np.prod(v.shape))
            v.assign(flat[begin : begin + size].reshape(v.shape))
            begin += size

    def _flat(self, parts):
        return np.concatenate(
            [
                np.ravel(np.zeros(v.shape) if p is None else tf.convert_to_tensor(p).numpy())
                for p, v in zip(parts, self.model.trainable_variables)
            ]
        )

    def gradient(self, example, flat):
        self._put(flat)
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(self.loss(example[1], self.model(example[0])))
        found = tape.gradient(value, [v.value for v in self.model.trainable_variables])
        self._put(self.at)
        return self._flat(found)

    def hessian(self, example, vector):
        """Return H_i v."""
        ends = [self.gradient(example, self.at + s * self.eps * vector) for s in (1, -1)]
        return (ends[0] - ends[1]) / (2 * self.eps)

    def moments(self, vector, weights=None):
        """Return mean H_i v and mean H_i H_i v, [2, size]."""
        weights = np.ones(len(self.examples)) if weights is None else weights
        total = 0.0
        for example, weight in zip(self.examples, weights):
            once = self.hessian(example, vector)
            total = total + weight * np.stack([once, self.hessian(example, once)])
        return total / np.sum(weights)

    def _outputs(self, example, flat):
        self._put(flat)
        outputs = self.model(example[0])
        self._put(self.at)
        return tf.nest.flatten(outputs)

    def gauss_newton(self, vector):
        """Return mean J_i^T (d2 loss / d outputs2) J_i v."""
        total = 0.0
        for example in self.examples:
            ends = [self._outputs(example, self.at + s * self.eps * vector) for s in (1, -1)]
            change = [(a - b) / (2 * self.eps) for a, b in zip(*ends)]
            with tf.GradientTape(persistent=True) as tape:
                outputs = self.model(example[0])
                flat = tf.nest.flatten(outputs)
            slopes = []
            for sign in (1, -1):
                moved = [o + sign * self.eps * c for o, c in zip(flat, change)]
                with tf.GradientTape() as inner:
                    inner.watch(moved)
                    value = self.loss(example[1], tf.nest.pack_sequence_as(outputs, moved))
                slopes.append(inner.gradient(value, moved))
            curved = [(a - b) / (2 * self.eps) for a, b in zip(*slopes)]
            variables = [v.value for v in self.model.trainable_variables]
            total = total + self._flat(tape.gradient(flat, variables, curved))
        return total / len(self.examples)
