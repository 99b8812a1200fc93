"""The stage `curve`: train a curve between two points and keep its nodes at several epochs."""

import types
from collections.abc import Sequence

import keras
import numpy as np

from repro.landscape import (
    alignment,
    batch_norm,
    curve_training,
    curves,
    permutations,
    points,
)
from repro.mode_connectivity import kept, schedules
from repro.mode_connectivity.data import PlainData
from repro.mode_connectivity.names import curve_epochs_kept, scaled
from repro.mode_connectivity.networks import (
    build_network,
    decayed_weights,
    prepare_data,
    protocol,
)
from repro.mode_connectivity.settings import Curve
from repro.training import loop, optimizers, step
from repro.training.runs import Job


def run(settings: Curve, job: Job) -> dict:
    """Train a curve between two points and keep its nodes at several epochs."""
    s = settings
    start, end = (kept.load(s, job, point) for point in (s.from_, s.to))
    data = prepare_data(s, job.data_dir, job.download)
    network = build_network(s, data, job.strategy)
    kept.check(network, {s.from_: start, s.to: end})
    end = aligned(s, network, start, end, data)
    rates = learning_rates(s, data.train.steps)
    nodes = curves.straight_nodes(start, end, s.bends)
    with job.strategy.scope():
        variables = curve_training.CurveVariables(nodes, free_ends=s.free_ends)
        optimizer = optimizers.sgd(schedules.Rates(rates), s.momentum, s.precision)
        optimizer.build(variables.trainable)
    decayed = {v.path for v in decayed_weights(s, network)}
    curve_step = curve_training.make_curve_step(
        network,
        variables,
        optimizer,
        step.cross_entropy,
        kind=s.curve,
        decayed=[v.path in decayed for v in network.trainable_variables],
        weight_decay=s.weight_decay,
        seed=s.seed,
        sampling=s.curve_t,
        replicas=job.strategy.num_replicas_in_sync,
        xla=s.xla,
    )
    by_epoch = {scaled(e, s.epoch_scale): e for e in curve_epochs_kept(s.curve_epochs)}

    def keep(epoch: int) -> None:
        if epoch in by_epoch and job.directory.chief:
            for number, node in enumerate(variables.get()):
                kept.save_point(kept.node_file(job.checkpoints, by_epoch[epoch], number), node)

    unmeasured = types.SimpleNamespace(train=data.train, evaluations={})
    outcome = loop.fit(
        job,
        network,
        optimizer,
        data=lambda epoch: unmeasured,
        train_steps=step.repeated(curve_step, job.strategy),
        evaluate=step.make_evaluate(network, job.strategy),
        stop=loop.Stop(scaled(s.curve_epochs, s.epoch_scale)),
        keep=keep,
        others={"nodes": variables.trainable},
    )
    return {
        "status": outcome["status"],
        "epochs": outcome["epoch"],
        "steps": outcome["step"],
        "running_loss": outcome.get("train/running_loss"),
        **data.facts,
        "protocol": protocol(s, data),
        "seconds": outcome["seconds"],
    }


def learning_rates(settings: Curve, steps_per_epoch: int) -> np.ndarray:
    """Return the rate of each step of a curve, [steps]."""
    rate, epochs = settings.curve_learning_rate, scaled(settings.curve_epochs, settings.epoch_scale)
    last = rate / 100 if settings.curve_schedule == "garipov" else rate
    at = schedules.positions(epochs, steps_per_epoch, "epoch")
    return schedules.towards(at, rate, last, epochs)


def aligned(
    settings: Curve,
    network: keras.Model,
    start: Sequence[np.ndarray],
    end: Sequence[np.ndarray],
    data: PlainData,
) -> Sequence[np.ndarray]:
    """Return `end` with its neurons in the order of those of `start`, as --align says."""
    if settings.align == "none":
        return end
    symmetry, reestimate = permutations.find(network), batch_norm.make_reestimate(network)
    images = [images for images, _ in data.statistics.epoch(1)]
    weights = []
    for point in (start, end):
        points.put(network, point)
        reestimate(images)
        weights.append(alignment.get_weights(network))
    if settings.align == "weights":
        found = alignment.match_weights(symmetry, *weights, seed=settings.seed)
    else:
        found = alignment.match_activations(network, symmetry, *weights, images[:10])
    moved = permutations.permute(symmetry, found, weights[1])
    return [value for v, value in zip(network.weights, moved) if v.trainable]
