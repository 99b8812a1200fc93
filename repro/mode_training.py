"""The stages of repro.mode_connectivity that train: endpoints and curves.

Each takes a Context, trains or goes on training, and returns the result of the run.
"""

import dataclasses
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np

from repro.mode_points import (
    AVERAGED_FROM,
    CURVE_SNAPSHOTS,
    EPOCHS,
    FGE_LOWEST,
    MILESTONES,
    MODES,
    SGDR,
    kept_epochs,
    parse_point,
    scaled,
)

SEEDS_APART = 1000  # more than there are modes: seeds of modes never meet


@dataclasses.dataclass(frozen=True)
class Context:
    """What a stage works with: flags, places, where it writes, and how it gets other runs."""

    settings: dict
    places: dict
    strategy: object
    run: object  # training.runs.RunDirectory
    environment: dict
    checkpoint_every: int
    need: Callable  # (stage, **changed flags) -> directory of that complete run


# --- what stages share ----------------------------------------------------------------------------


def prepare_data(context: Context, **changes):
    from repro.data import plain

    names = ("dataset", "train_split", "test_split", "train_examples", "eval_examples",
             "batch_size", "augment", "seed")  # fmt: skip
    settings = {name: context.settings[name] for name in names}
    return plain.prepare(**{**settings, **context.places, **changes})


def build_network(context: Context, data, seed: int | None = None, init_scale: float = 1.0):
    """Return the network of a run, its weights and dropout keyed by the seed, or by another."""
    import keras

    from repro import models
    from repro.models.layers import HeNormal

    settings = context.settings
    keras.utils.set_random_seed(settings["seed"] if seed is None else seed)
    keras.mixed_precision.set_global_policy(settings["precision"])
    initializer = HeNormal(
        settings["init_scale"] * init_scale, settings["init_spread"], settings["init_fan"]
    )
    with context.strategy.scope():
        return models.build(
            settings["model"], data.image_shape, data.num_classes,
            dropout_rate=settings["dropout_rate"], initializer=initializer,
        )  # fmt: skip


def decayed_weights(context: Context, network) -> list:
    from repro.training import step

    return network.trainable_variables if context.settings["decayed"] == "all" else (
        step.kernels(network)
    )


def protocol(context: Context, data) -> str:
    """Describe in one line what numbers of this run rest on."""
    s, facts = context.settings, data.facts
    return (
        f"{s['model']} on {s['dataset']}, {facts['train_examples']:,} training images "
        f"(loss on {facts['eval_examples']:,}) and {facts['test_examples']:,} for validation, "
        f"all epochs times {s['epoch_scale']:g}, batch {s['batch_size']}, "
        f"learning rate {s['learning_rate']:g}, {s['precision']}, seed {s['seed']}"
    )


def save_point(directory, arrays) -> None:
    from repro.training import snapshots

    snapshots.save(directory, **{f"{place:04d}": array for place, array in enumerate(arrays)})


def load_point(directory) -> list[np.ndarray]:
    from repro.training import snapshots

    arrays = snapshots.load(directory)
    if arrays is None:
        raise ValueError(f"there is no point in {directory}")
    return [arrays[name] for name in sorted(arrays)]


# --- endpoint -------------------------------------------------------------------------------------


def endpoint(context: Context) -> dict:
    """Train one mode and keep its iterates."""
    from repro.training import checkpoints, loop, optimizers, schedules, step

    s, mode = context.settings, context.settings["mode"]
    change = {key: value for key, value in MODES[mode].items() if key != "schedule"}
    batch_size = s["large_batch_size"] if mode == "A" else s["batch_size"]
    seed = s["seed"]
    if s["mode_seeds"] == "own":
        seed = SEEDS_APART * seed + list(MODES).index(mode)
    data = prepare_data(
        context, batch_size=batch_size, augment=change.get("augment", s["augment"]), seed=seed
    )
    network = build_network(context, data, seed, change.get("init_scale", 1.0))
    epochs = scaled(EPOCHS, s["epoch_scale"])
    rates = learning_rates(s, data.train.steps)
    with context.strategy.scope():
        if mode == "B":
            optimizer = optimizers.adam(schedules.Rates(rates), s["precision"])
        else:
            optimizer = optimizers.sgd(schedules.Rates(rates), s["momentum"], s["precision"])
        optimizer.build(network.trainable_variables)

    kept = {scaled(e, s["epoch_scale"]): e for e in kept_epochs(mode, s["cycle_epochs"])}

    def keep(epoch: int) -> None:
        if epoch in kept and context.run.chief:
            save_point(context.run.path / "points" / f"epoch_{kept[epoch]}", _weights(network))

    outcome = loop.fit(
        data=lambda epoch: data,
        train_steps=step.make_train_steps(
            network, optimizer, context.strategy, xla=s["xla"],
            weight_decay=s["weight_decay"] * change.get("weight_decay", 1.0),
            decayed=decayed_weights(context, network),
        ),
        evaluate=step.make_evaluate(network, context.strategy), strategy=context.strategy,
        stop=loop.Stop(epochs), run=context.run,
        checkpoints=checkpoints.Checkpoints(
            context.run.path / "checkpoints", network, optimizer, chief=context.run.chief
        ),
        environment=context.environment, eval_every=s["eval_every"],
        checkpoint_every=context.checkpoint_every, keep=keep,
    )  # fmt: skip
    context.run.save_arrays(learning_rate=rates)
    return {
        "status": outcome["status"], "epochs": outcome["epoch"], "steps": outcome["step"],
        **{f"{split}_{quantity}": outcome.get(f"{split}/{quantity}")
           for split in ("train", "test") for quantity in ("loss", "accuracy")},
        "parameters": sum(int(np.prod(v.shape)) for v in network.trainable_variables),
        **_gathered(context, network, data, mode), **data.facts,
        "protocol": protocol(context, data), "seconds": outcome["seconds"],
    }  # fmt: skip


def learning_rates(s: dict, steps_per_epoch: int) -> np.ndarray:
    """Return the rate of each step of an endpoint, [steps], from its flags."""
    from repro.training import schedules

    mode, rate = s["mode"], s["learning_rate"]
    update = s["sgdr_update"] if mode == "sgdr" else "step" if mode == "fge" else "epoch"
    at = schedules.positions(scaled(EPOCHS, s["epoch_scale"]), steps_per_epoch, update)
    at = np.round(at / s["epoch_scale"], 9)  # in epochs of the paper; 12 / 0.2 must be 60

    def default(position):
        return schedules.step_decay(position, rate, MILESTONES.get(mode, MILESTONES["G"]))

    if mode == "B":
        return schedules.step_decay(at, s["adam_learning_rate"], MILESTONES["G"])
    if mode == "C":
        return schedules.linear_decay(at, rate, EPOCHS)
    if mode == "sgdr":
        return schedules.sgdr(at, **{**SGDR, "highest": rate})
    if mode == "swa":
        return schedules.towards(at, rate, s["swa_learning_rate"], AVERAGED_FROM)
    if mode == "fge":
        cycles = {"highest": rate, "lowest": FGE_LOWEST, "cycle": s["cycle_epochs"]}
        return schedules.then(
            at, AVERAGED_FROM, default, lambda position: schedules.cyclic(position, **cycles)
        )
    return default(at)


def _gathered(context: Context, network, data, mode: str) -> dict:
    """Return test accuracies of what swa averages and fge ensembles; nothing for other modes."""
    return {}


def _weights(network) -> list[np.ndarray]:
    from repro.landscape import points

    return points.get(network)


def load(context: Context, text: str) -> list[np.ndarray]:
    """Return the weights of a point, training its mode where it is not there yet."""
    parsed = parse_point(text)
    if parsed is None:
        directory, epoch = Path(text), EPOCHS
    else:
        mode, following, epoch = parsed
        seed = context.settings["seed"] + following
        directory = context.need("endpoint", mode=mode, seed=seed)
    place = directory / "points" / f"epoch_{epoch or EPOCHS}"
    return load_point(place)


# --- curve ----------------------------------------------------------------------------------------


def curve(context: Context) -> dict:
    """Train a curve between two points and keep its nodes at several epochs."""
    from repro.landscape import curve_training, curves
    from repro.training import checkpoints, loop, optimizers, schedules, step

    s = context.settings
    start, end = (load(context, s[name]) for name in ("from", "to"))
    data = prepare_data(context)
    network = build_network(context, data)
    end = _aligned(context, network, start, end, data)
    epochs = scaled(s["curve_epochs"], s["epoch_scale"])
    at = schedules.positions(epochs, data.train.steps, "epoch")
    rate = s["curve_learning_rate"]
    last = rate / 100 if s["curve_schedule"] == "garipov" else rate
    rates = schedules.towards(at, rate, last, epochs)
    nodes = curves.straight_nodes(start, end, s["bends"])
    with context.strategy.scope():
        variables = curve_training.CurveVariables(nodes, free_ends=s["free_ends"])
        optimizer = optimizers.sgd(schedules.Rates(rates), s["momentum"], s["precision"])
        optimizer.build(variables.trainable)
    decayed = {v.path for v in decayed_weights(context, network)}
    curve_step = curve_training.make_curve_step(
        network, variables, optimizer, step.cross_entropy, kind=s["curve"],
        decayed=[v.path in decayed for v in network.trainable_variables],
        weight_decay=s["weight_decay"], seed=s["seed"], sampling=s["curve_t"],
        replicas=context.strategy.num_replicas_in_sync, xla=s["xla"],
    )  # fmt: skip
    kept = {scaled(e, s["epoch_scale"]): e for e in curve_snapshots(s)}

    def keep(epoch: int) -> None:
        for number, node in enumerate(variables.get() if epoch in kept else ()):
            place = context.run.path / "points" / f"epoch_{kept[epoch]}" / f"node_{number}"
            if context.run.chief:
                save_point(place, node)

    unmeasured = types.SimpleNamespace(train=data.train, evaluations={})
    outcome = loop.fit(
        data=lambda epoch: unmeasured, train_steps=step.repeated(curve_step, context.strategy),
        evaluate=None, strategy=context.strategy, stop=loop.Stop(epochs), run=context.run,
        checkpoints=checkpoints.Checkpoints(
            context.run.path / "checkpoints", network, optimizer, chief=context.run.chief,
            others=variables.trainable,
        ),
        environment=context.environment, checkpoint_every=context.checkpoint_every, keep=keep,
    )  # fmt: skip
    return {
        "status": outcome["status"], "epochs": outcome["epoch"], "steps": outcome["step"],
        "running_loss": outcome.get("train/running_loss"), **data.facts,
        "protocol": protocol(context, data), "seconds": outcome["seconds"],
    }  # fmt: skip


def curve_snapshots(s: dict) -> list[int]:
    """Return the epochs, unscaled, at which a curve is kept: Figure 1's, and its last."""
    return [*(e for e in CURVE_SNAPSHOTS if e < s["curve_epochs"]), s["curve_epochs"]]


def _aligned(context: Context, network, start, end, data):
    return end


def load_nodes(directory, epoch: int, count: int) -> list[list[np.ndarray]]:
    """Return the nodes of a curve at an epoch, unscaled."""
    return [load_point(directory / "points" / f"epoch_{epoch}" / f"node_{k}") for k in range(count)]
