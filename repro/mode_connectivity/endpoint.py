"""The stage `endpoint`: train one mode and keep its iterates."""

from collections.abc import Sequence

import keras
import numpy as np

from repro import curvature_on_request
from repro.landscape import batch_norm, points
from repro.mode_connectivity import kept, minima, schedules
from repro.mode_connectivity.data import PlainData
from repro.mode_connectivity.names import (
    AVERAGED_FROM,
    EPOCHS,
    FGE_LOWEST,
    MILESTONES,
    MODES,
    SGDR,
    kept_epochs,
    middles,
    scaled,
)
from repro.mode_connectivity.networks import (
    build_network,
    decayed_weights,
    prepare_data,
    protocol,
)
from repro.mode_connectivity.settings import Endpoint
from repro.training import loop, optimizers, step
from repro.training.runs import Job

SEEDS_APART = 1000  # more than there are modes: seeds of modes never meet
FORKED = 500  # what the seed of a fork's order is further


def run(settings: Endpoint, job: Job) -> dict:
    """Train one mode and keep its iterates."""
    s, mode, change = settings, settings.mode, MODES[settings.mode]
    seed = s.seed
    if s.mode_seeds == "own":
        seed = SEEDS_APART * seed + list(MODES).index(mode)

    def prepared(seed: int) -> PlainData:
        return prepare_data(
            s,
            job.data_dir,
            job.download,
            seed=seed,
            augment=change.get("augment"),
            batch_size=s.large_batch_size if mode == "A" else s.batch_size,
        )

    data = prepared(seed)
    forked = data if s.forked_at is None else prepared(seed + FORKED)
    shared = scaled(s.forked_at, s.epoch_scale) if s.forked_at else 0
    network = build_network(
        s, data, job.strategy, seed=seed, init_scale=change.get("init_scale", 1.0)
    )
    rates = learning_rates(s, data.train.steps)
    with job.strategy.scope():
        if mode == "B":
            optimizer = optimizers.adam(schedules.Rates(rates), s.precision)
        else:
            optimizer = optimizers.sgd(schedules.Rates(rates), s.momentum, s.precision)
        optimizer.build(network.trainable_variables)

    by_epoch = {scaled(e, s.epoch_scale): e for e in kept_epochs(mode, s.cycle_epochs)}

    def keep(epoch: int) -> None:
        if epoch in by_epoch and job.directory.chief:
            file = kept.iterate_file(job.checkpoints, by_epoch[epoch])
            kept.save_point(file, points.get(network))

    decayed = decayed_weights(s, network)
    weight_decay = s.weight_decay * change.get("weight_decay", 1.0)
    sharp = curvature_on_request.along(s, network, step.cross_entropy, data.arrays["train"])
    outcome = loop.fit(
        job,
        network,
        optimizer,
        data=lambda epoch: data if epoch <= shared else forked,
        train_steps=step.make_train_steps(
            network,
            optimizer,
            job.strategy,
            xla=s.xla,
            weight_decay=weight_decay,
            decayed=decayed,
        ),
        evaluate=step.make_evaluate(network, job.strategy),
        stop=loop.Stop(scaled(EPOCHS, s.epoch_scale)),
        eval_every=s.eval_every,
        keep=keep,
        others=sharp and sharp.variables(),
        along=sharp and sharp.row,
    )
    job.directory.save_arrays(learning_rate=rates)
    gathered = {}
    if outcome["status"] == "complete" and s.curvature_at_end:
        gathered |= minima.measure(s, job, network, data, weight_decay, decayed)
    if outcome["status"] == "complete" and mode in ("swa", "fge"):
        gathered |= gather(s, job, network, data)
    return {
        **loop.headline(outcome),
        "test_loss": outcome.get("test/loss"),
        "parameters": sum(int(np.prod(v.shape)) for v in network.trainable_variables),
        **gathered,
        **data.facts,
        "protocol": protocol(s, data),
    }


def learning_rates(settings: Endpoint, steps_per_epoch: int) -> np.ndarray:
    """Return the rate of each step of an endpoint, [steps]."""
    s, mode, rate = settings, settings.mode, settings.learning_rate
    update = s.sgdr_update if mode == "sgdr" else "step" if mode == "fge" else "epoch"
    at = schedules.positions(scaled(EPOCHS, s.epoch_scale), steps_per_epoch, update)
    at = np.round(at / s.epoch_scale, 9)  # in epochs of the paper; 12 / 0.2 must be 60

    def default(position):
        if s.schedule == "constant":
            return schedules.constant(position, rate)
        if s.schedule == "garipov":
            return schedules.towards(position, rate, rate / 100, EPOCHS)
        return schedules.step_decay(position, rate, MILESTONES.get(mode, MILESTONES["G"]))

    if mode == "B":
        return schedules.step_decay(at, s.adam_learning_rate, MILESTONES["G"])
    if mode == "C":
        return schedules.linear_decay(at, rate, EPOCHS)
    if mode == "sgdr":
        return schedules.sgdr(at, highest=rate, **SGDR)
    if mode == "swa":
        return schedules.towards(at, rate, s.swa_learning_rate, AVERAGED_FROM)
    if mode == "fge":
        cycles = {"highest": rate, "lowest": FGE_LOWEST, "cycle": s.cycle_epochs}
        return schedules.then(
            at, AVERAGED_FROM, default, lambda position: schedules.cyclic(position, **cycles)
        )
    return default(at)


def gather(settings: Endpoint, job: Job, network: keras.Model, data: PlainData) -> dict:
    """Return the test accuracy of what swa averages, which it keeps, or fge ensembles.

    And `member_test_accuracies`, those of the networks themselves, in the order of their epochs.
    """
    if settings.mode == "swa":
        epochs = kept_epochs(settings.mode)
    else:
        epochs = middles(settings.cycle_epochs)
    found = [kept.load_point(kept.iterate_file(job.checkpoints, epoch)) for epoch in epochs]
    reestimate = batch_norm.make_reestimate(network)

    def go_to(point: Sequence[np.ndarray]) -> None:
        points.put(network, point)
        reestimate(images for images, _ in data.statistics.epoch(1))

    evaluate, members = step.make_evaluate(network, job.strategy), []
    images, labels = data.arrays["test"]
    probabilities = 0.0
    for point in found:
        go_to(point)
        members.append(evaluate(data.evaluations["test"])["accuracy"])
        if settings.mode == "fge":
            logits = network.predict(images, batch_size=100, verbose=0)
            probabilities += np.exp(logits - np.logaddexp.reduce(logits, 1)[:, None])
    if settings.mode == "swa":
        average = points.combine([1 / len(found)] * len(found), found)
        if job.directory.chief:
            kept.save_point(kept.average_file(job.checkpoints), average)
        go_to(average)
        accuracy = evaluate(data.evaluations["test"])["accuracy"]
        together = {"averaged": len(found), "average_test_accuracy": accuracy}
    else:
        right = probabilities.argmax(axis=1) == labels
        together = {"ensembled": len(found), "ensemble_test_accuracy": float(right.mean())}
    return together | {"member_test_accuracies": members}
