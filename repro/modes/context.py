"""What the stages of repro.mode_connectivity share: data, network, points on disk."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from repro.modes.names import CURVE_SNAPSHOTS, EPOCHS, kept_epochs, parse_point


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


def prepare_data(context: Context, **changes):
    """Return the data of a run, data.plain.PlainData, with some flags changed."""
    from repro.data import plain

    names = ("dataset", "train_split", "test_split", "train_examples", "eval_examples",
             "batch_size", "augment", "seed")  # fmt: skip
    settings = {name: context.settings[name] for name in names}
    return plain.prepare(**{**settings, **context.places, **changes})


def build_network(
    context: Context, data, seed: int | None = None, init_scale: float = 1.0,
    precision: str | None = None,
):  # fmt: skip
    """Return the network of a run, its weights and dropout keyed by the seed.

    Seed and precision are those of the run unless others are given.
    """
    import keras

    from repro import models
    from repro.models.layers import HeNormal

    settings = context.settings
    keras.utils.set_random_seed(settings["seed"] if seed is None else seed)
    keras.mixed_precision.set_global_policy(precision or settings["precision"])
    initializer = HeNormal(
        settings["init_scale"] * init_scale, settings["init_spread"], settings["init_fan"]
    )
    with context.strategy.scope():
        return models.build(
            settings["model"], data.image_shape, data.num_classes,
            dropout_rate=settings["dropout_rate"], initializer=initializer,
        )  # fmt: skip


def decayed_weights(context: Context, network) -> list:
    """Return the variables that L2 acts on."""
    from repro.training import step

    if context.settings["decayed"] == "kernels":
        return step.kernels(network)
    return network.trainable_variables


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
    """Write a point of weight space into a directory."""
    from repro.training import snapshots

    snapshots.save(directory, **{f"{place:04d}": array for place, array in enumerate(arrays)})


def load_point(directory) -> list[np.ndarray]:
    """Read what save_point wrote.

    Raises:
      ValueError: there is none, as where training diverged.
    """
    from repro.training import snapshots

    arrays = snapshots.load(directory)
    if arrays is None:
        raise ValueError(f"{directory} holds no point: did the run diverge before it?")
    return [arrays[name] for name in sorted(arrays)]


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


def trajectory(
    context: Context, mode: str, following: bool, until: int = EPOCHS
) -> tuple[list[int], list]:
    """Return epochs and iterates that a mode, or that of the next seed, keeps up to an epoch."""
    epochs = [e for e in kept_epochs(mode, context.settings["cycle_epochs"]) if e <= until]
    name = mode + "+1" * following
    return epochs, [load(context, f"{name}@{epoch}") for epoch in epochs]


def curve_snapshots(s: dict) -> list[int]:
    """Return the epochs, unscaled, at which a curve is kept: Figure 1's, and its last."""
    return [*(e for e in CURVE_SNAPSHOTS if e < s["curve_epochs"]), s["curve_epochs"]]


def load_nodes(directory, epoch: int, count: int) -> list[list[np.ndarray]]:
    """Return the nodes of a curve at an epoch, unscaled."""
    return [load_point(directory / "points" / f"epoch_{epoch}" / f"node_{k}") for k in range(count)]
