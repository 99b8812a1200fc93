"""Resetting the statistics of an interpolated network (Jordan et al. 2022, REPAIR).

Between two aligned networks the activations of the average network have too little variance. REPAIR
gives each neuron's pre-activation the mean and deviation that lie between those of the two ends.
Networks with batch norm need only batch_norm.make_reestimate.
"""

from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.landscape import alignment, batches
from repro.models import graph as graphs

KINDS = (keras.layers.Conv2D, keras.layers.Dense)


def repair(
    model: keras.Model,
    ends: tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
    share: float,
    dataset: Iterable,
) -> None:
    """Put (1 - share) * ends[0] + share * ends[1] into a network and reset its statistics.

    For every hidden convolution and dense layer, in the order of the graph, kernel and bias are
    scaled and shifted channel by channel so that the pre-activation has mean (1 - share) m_0 +
    share m_1 and deviation (1 - share) s_0 + share s_1 over all batches, m_i and s_i being those of
    the ends. A channel that is constant between the ends is only shifted. Layers behind which no
    other comes before an output are left alone. Layers are reset one after the other, as each sees
    what those before it now put out.

    Args:
      model: the network, without batch norm, every such layer with a bias and used once.
      ends: weights of two networks, as of `alignment.get_weights`, aligned before.
      share: of the second end.
      dataset: batches of images [b, ...], or of pairs (images, labels).

    Raises:
      ValueError: the network has batch norm, a layer without a bias, used twice or a subclass whose
        call may be its own; the ends are another network's; there are no batches; pre-activations
        are not finite.
    """
    graph = graphs.trace(model)
    examples = list(batches.inputs_of(model, dataset))
    for layer in graphs.all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            raise ValueError("repair is for networks without batch norm: re-estimate that instead")
    calls = _hidden(graph)
    for call in calls:
        _check(call, calls)
    measures = {call.name: _make_moments(graph, call) for call in calls}
    targets = []
    for weights in ends:
        alignment.put_weights(model, weights)
        targets.append({name: measure(examples) for name, measure in measures.items()})
    alignment.put_weights(
        model, [(1 - share) * one + share * other for one, other in zip(*ends, strict=True)]
    )
    for call in calls:
        layer, name = call.operation, call.name
        mean, deviation = measures[name](examples)
        wanted_mean, wanted_deviation = (
            (1 - share) * one + share * other
            for one, other in zip(targets[0][name], targets[1][name])
        )
        factor = np.where(deviation > 0, wanted_deviation, 1) / np.where(
            deviation > 0, deviation, 1
        )
        layer.kernel.assign(layer.kernel.numpy() * factor)
        layer.bias.assign((layer.bias.numpy() - mean) * factor + wanted_mean)


def _hidden(graph: graphs.Graph) -> list[graphs.Call]:
    """Return the calls of convolutions and dense layers that reach outputs only through others."""
    last = {t.number for t in keras.tree.flatten(graph.outputs)}  # no other lies behind these
    for call in reversed(graph.calls):
        if not isinstance(call.operation, KINDS) and any(t.number in last for t in call.outputs):
            last |= {t.number for t in call.inputs}
    return [
        call
        for call in graph.calls
        if isinstance(call.operation, KINDS) and call.outputs[0].number not in last
    ]


def _check(call: graphs.Call, calls: list[graphs.Call]) -> None:
    layer = call.operation
    if type(layer) not in KINDS:
        raise ValueError(f"{call.name} ({type(layer).__name__}) may have a call of its own")
    if getattr(layer, "data_format", None) == "channels_first":
        raise ValueError(f"{call.name} has its channels before the pixels: use channels_last")
    if not layer.use_bias:
        raise ValueError(f"{call.name} has no bias that could be reset")
    if sum(other.name == call.name for other in calls) > 1:
        raise ValueError(f"{call.name} is used more than once and cannot suit all its uses")


def _make_moments(graph: graphs.Graph, call: graphs.Call):
    """Return `moments(examples)` -> mean and deviation of a layer's pre-activation, each [n].

    The deviation of what varies by less than float32 rounds is 0.
    """
    layer = call.operation
    plain = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    plain.build(call.inputs[0].shape)

    @tf.function(autograph=False, reduce_retracing=True)
    def outputs(images):
        (values,) = graphs.run(graph, images, [call.inputs[0]])
        weights = [layer.kernel.value, layer.bias.value]
        return plain.stateless_call(weights, [], values)[0]

    def moments(examples):
        rows = [np.asarray(outputs(x), np.float64) for x in examples]
        rows = np.concatenate([x.reshape(-1, x.shape[-1]) for x in rows])
        if not np.isfinite(rows).all():
            raise ValueError(
                f"what {call.name} puts out is not finite: is there a NaN in `dataset`, or have "
                "the weights of `ends` diverged?"
            )
        deviation = rows.std(axis=0)
        constant = deviation <= 1e-6 * np.abs(rows).max(axis=0)
        return rows.mean(axis=0), np.where(constant, 0, deviation)

    return moments
