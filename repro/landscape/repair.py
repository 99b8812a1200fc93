"""Resetting the statistics of an interpolated network (Jordan et al. 2022, REPAIR).

Between two aligned networks the activations of the average network have too little variance. REPAIR
gives each neuron's pre-activation the mean and deviation that lie between those of the two ends.
Networks with batch norm need only batch_norm.make_reestimate.
"""

from collections.abc import Iterable, Mapping

import keras
import numpy as np
import tensorflow as tf

from repro.landscape import alignment

KINDS = (keras.layers.Conv2D, keras.layers.Dense)


def repair(
    model: keras.Model,
    ends: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]],
    share: float,
    batches: Iterable[tf.Tensor],
) -> None:
    """Put (1 - share) * ends[0] + share * ends[1] into a network and reset its statistics.

    For every hidden convolution and dense layer, in the order of the graph, kernel and bias are
    scaled and shifted channel by channel so that the pre-activation has mean (1 - share) m_0 +
    share m_1 and deviation (1 - share) s_0 + share s_1 over `batches`, m_i and s_i being those of
    the ends. The last layer is left alone. Layers are reset one after the other, as each sees what
    those before it now put out.

    Args:
      model: the network, without batch norm, every such layer with a bias.
      ends: variables by path of two networks, aligned before.
      share: of the second end.
      batches: images [b, ...].

    Raises:
      ValueError: the network has batch norm, or a layer without a bias.
    """
    batches = list(batches)
    names = [layer.name for layer in model.layers if isinstance(layer, KINDS)][:-1]
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            raise ValueError("repair is for networks without batch norm: re-estimate that instead")
        if layer.name in names and not layer.use_bias:
            raise ValueError(f"{layer.name} has no bias that could be reset")
    measures = {name: _make_moments(model, name) for name in names}
    targets = []
    for weights in ends:
        alignment.put_weights(model, weights)
        targets.append({name: measures[name](batches) for name in names})
    alignment.put_weights(
        model, {path: (1 - share) * ends[0][path] + share * ends[1][path] for path in ends[0]}
    )
    for name in names:
        layer = model.get_layer(name)
        mean, deviation = measures[name](batches)
        wanted_mean, wanted_deviation = (
            (1 - share) * one + share * other
            for one, other in zip(targets[0][name], targets[1][name])
        )
        factor = wanted_deviation / np.maximum(deviation, 1e-12)
        layer.kernel.assign(layer.kernel.numpy() * factor)
        layer.bias.assign((layer.bias.numpy() - mean) * factor + wanted_mean)


def _make_moments(model: keras.Model, name: str):
    """Return `moments(batches)` -> mean and deviation of a layer's pre-activation, each [n]."""
    layer = model.get_layer(name)
    plain = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    plain.build(layer.input.shape)
    before = keras.Model(model.input, layer.input)

    @tf.function(reduce_retracing=True)
    def outputs(images):
        values = before(images, training=False)
        weights = [layer.kernel.value, layer.bias.value]
        return plain.stateless_call(weights, [], values)[0]

    def moments(batches):
        rows = [np.asarray(outputs(x), np.float64) for x in batches]
        rows = np.concatenate([x.reshape(-1, x.shape[-1]) for x in rows])
        return rows.mean(axis=0), rows.std(axis=0)

    return moments
