"""What the stages of repro.mode_connectivity share: data, network, points on disk."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from repro.mode_connectivity.names import (
    CURVE_SNAPSHOTS,
    EPOCHS,
    kept_epochs,
    modes_used,
    parse_point,
)


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
    from repro.mode_connectivity import data as plain

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
    options = {"torch_dense": True} if settings["init_dense"] == "torch" else {}
    with context.strategy.scope():
        return models.build(
            settings["model"], data.image_shape, data.num_classes,
            dropout_rate=settings["dropout_rate"], initializer=initializer, **options,
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
    modes = modes_used(s)
    batch = s["large_batch_size"] if modes == {"A"} else s["batch_size"]
    rate = s["adam_learning_rate"] if modes == {"B"} else s["learning_rate"]
    special = {
        "A": f"A's batch {s['large_batch_size']}", "B": f"B's rate {s['adam_learning_rate']}",
        "sgdr": f"SGDR's rate moved every {s['sgdr_update']}",
    }  # fmt: skip
    parts = [
        f"{s['model']} on {s['dataset']}, {facts['train_examples']:,} training images "
        f"(loss on {facts['eval_examples']:,}) and {facts['test_examples']:,} for validation",
        f"all epochs times {s['epoch_scale']:g}", f"modes trained at {rate:g}", f"batch {batch}",
        *(text for mode, text in special.items() if mode in modes and len(modes) > 1),
        special["sgdr"] if modes == {"sgdr"} else "",
        f"dropout {s['dropout_rate']:g}",
        f"curves at {s['curve_learning_rate']:g}" if s["curve_learning_rate"] else "",
        f"aligned by {s['align']}" if s["align"] not in (None, "none") else "",
        s["precision"], f"seed {s['seed']}",
    ]  # fmt: skip
    return ", ".join(part for part in parts if part)


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
    """Return the weights of a point, training its mode where it is not there yet.

    `swa` without an epoch is its average.
    """
    parsed = parse_point(text)
    if parsed is None:
        directory, epoch = Path(text), EPOCHS
    else:
        mode, following, epoch = parsed
        seed = context.settings["seed"] + following
        directory = context.need("endpoint", mode=mode, seed=seed)
        if mode == "swa" and epoch is None:
            return load_point(directory / "points" / "average")
    return load_point(directory / "points" / f"epoch_{epoch or EPOCHS}")


def trajectory(
    context: Context, mode: str, following: bool, until: int = EPOCHS
) -> tuple[list[int], list]:
    """Return epochs and iterates that a mode, or that of the next seed, keeps up to an epoch."""
    epochs = [e for e in kept_epochs(mode, context.settings["cycle_epochs"]) if e <= until]
    name = mode + "+1" * following
    return epochs, [load(context, f"{name}@{epoch}") for epoch in epochs]


def keeper(context: Context, place) -> Callable[[dict], None] | None:
    """Return a function that keeps arrays to go on from; None where another process writes."""
    from repro.training import snapshots

    if not context.run.chief:
        return None
    return lambda arrays: snapshots.save(place, **arrays)


def curve_snapshots(s: dict) -> list[int]:
    """Return the epochs, unscaled, at which a curve is kept: Figure 1's, and its last."""
    return [*(e for e in CURVE_SNAPSHOTS if e < s["curve_epochs"]), s["curve_epochs"]]


def load_nodes(directory, epoch: int, count: int) -> list[list[np.ndarray]]:
    """Return the nodes of a curve at an epoch, unscaled."""
    return [load_point(directory / "points" / f"epoch_{epoch}" / f"node_{k}") for k in range(count)]
