"""Sharpness, non-uniformity and the spectrum of what a complete run has trained."""

import dataclasses
import itertools
import json
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from repro import curvature, models
from repro.curvature import stability
from repro.curvature.stability import Measure


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a run trained, at its last checkpoint, and what it trained on."""

    network: keras.Model
    loss: Callable  # targets, outputs -> losses [b]
    data: tuple[np.ndarray, np.ndarray]  # inputs, targets of the training examples
    settings: dict


def open_run(path: str, *, data_dir: str | None, download: bool, examples: int) -> Trained:
    """Return the network of a run of repro.stability, repro.randomization or repro.bad_minima.

    Args:
      path: the run's directory.
      data_dir, download: where its data is now.
      examples: take no more than so many of its training examples, the first ones.

    Raises:
      ValueError: there is no complete run, or one that left no network or cannot be measured.
    """
    path = epath.Path(path)
    if not (path / "result.json").exists():
        raise ValueError(f"--run={path}: no complete run, there is no result.json")
    settings = json.loads((path / "result.json").read_text())["settings"]
    places = {"data_dir": data_dir, "download": download}
    if "wrong_examples" in settings:
        network, loss, data = _squared_errors(settings, places)
    elif "corruption" in settings:
        network, loss, data = _cross_entropies(settings, places, examples)
    elif "reset_batch_norm" in settings:
        network, loss, data = _true_labels(settings, places)
    else:
        raise ValueError(
            f"--run={path}: only runs of stability, randomization and bad_minima are measured"
        )
    state = path / "checkpoints" / "final"
    if not (path / "checkpoints" / "final.index").exists():
        raise ValueError(f"--run={path}: it left no network behind")
    checkpoint = tf.train.Checkpoint(model=network)
    checkpoint.restore(str(state)).expect_partial().assert_existing_objects_matched()
    return Trained(network, loss, tuple(a[:examples] for a in data), settings)


def _squared_errors(settings: dict, places: dict):
    from repro.stability import data as regression
    from repro.stability.descent import squared_error

    names = ("dataset", "classes", "train_split", "test_split", "train_examples", "wrong_examples")
    train, _ = regression.load(**{name: settings[name] for name in names}, **places)
    shape, outputs = train.images.shape[1:], train.targets.shape[1]
    network = models.build(settings["model"], shape, outputs, gain=settings["gain"])
    return network, squared_error, (train.images, train.targets)


def _cross_entropies(settings: dict, places: dict, examples: int):
    from repro.randomization import data as randomized
    from repro.training.step import cross_entropy

    names = (
        "dataset", "corruption", "corrupt_prob", "permute", "gaussian_moments", "redraw", "augment",
        "seed", "train_split", "test_split", "train_examples", "batch_size",
    )  # fmt: skip
    prepared = randomized.prepare(**{name: settings[name] for name in names}, **places)
    batches = prepared.epoch(1).evaluations["train"].dataset()
    rows = batches.unbatch().filter(lambda image, label, weight: weight > 0).as_numpy_iterator()
    images, labels, _ = zip(*itertools.islice(rows, examples))
    dropout = {"dropout_rate": settings["dropout_rate"]}
    shape, outputs = prepared.image_shape, prepared.num_classes
    network = models.build(settings["model"], shape, outputs, **dropout)
    return network, cross_entropy, (np.stack(images), np.array(labels))


def _true_labels(settings: dict, places: dict):
    from repro.bad_minima import data as relabelled
    from repro.training.step import cross_entropy

    names = ("dataset", "train_split", "test_split", "train_examples", "batch_size", "seed")
    data = relabelled.true_labels(**{name: settings[name] for name in names}, **places)
    options = {"width": settings["width"]} if settings["model"] in models.WIDTHS else {}
    network = models.build(settings["model"], data.image_shape, data.num_classes, **options)
    return network, cross_entropy, (data.images.numpy(), data.labels)


def measure(network, loss, data, *, starts=(None, None), **options) -> dict[str, Measure]:
    """Return sharpness and non-uniformity of a network's loss over examples, by name.

    Args:
      network, loss, data, **options: as for curvature.sharpness.
      starts: vectors to start Lanczos from, one for each; None: random.
    """
    measures = {"sharpness": curvature.sharpness, "nonuniformity": curvature.nonuniformity}
    return {
        name: function(network, loss, data, start=start, **options)
        for (name, function), start in zip(measures.items(), starts)
    }


def run(
    *,
    run: str,
    train_examples: int,
    tolerance: float,
    max_iterations: int,
    eigenvalues: int,
    probes: int,
    seed: int,
    strategy,
    run_directory,
    environment: dict,
    data_dir: str | None = None,
    download: bool = True,
    **_,
) -> dict:
    """Measure the network that a run of this or another binary trained, and draw its spectrum."""
    from repro.stability import figures as wu

    run_directory.begin(0, environment)
    with strategy.scope():
        trained = open_run(run, data_dir=data_dir, download=download, examples=train_examples)
    network, loss, data = trained.network, trained.loss, trained.data
    count = len(data[1])
    options = {"strategy": strategy, "seed": seed}
    limits = {"tolerance": tolerance, "max_iterations": max_iterations}
    top = curvature.top_eigenvalues(network, loss, data, eigenvalues, **limits, **options)
    low = curvature.top_eigenvalues(network, loss, data, which="smallest", **limits, **options)
    trace = curvature.trace(network, loss, data, max_iterations=max_iterations, **options)
    density = curvature.spectral_density(network, loss, data, probes=probes, **options)
    found = measure(network, loss, data, **limits, **options)
    outcome = {name: m.without_vector() for name, m in found.items()}
    run_directory.save_arrays(
        top=top.values, top_residuals=top.residuals, lowest=low.values,
        density_nodes=density.nodes, density_weights=density.weights,
    )  # fmt: skip
    for file in wu.draw_spectrum(density.nodes, density.weights, run_directory.path):
        print(f"drew {file}")
    rate, batch = (trained.settings[name] for name in ("learning_rate", "batch_size"))
    return {
        "status": "complete",
        **outcome,
        **margins(outcome, rate, min(batch, count), trained.settings["momentum"], count),
        "eigenvalues": top.values.tolist(),
        "eigenvalue_residuals": top.residuals.tolist(),
        "eigenvalues_converged": top.converged,
        "lowest_eigenvalue": float(low.values[0]),
        "lowest_eigenvalue_residual": float(low.residuals[0]),
        "trace": dataclasses.asdict(trace),
        "second_moment": density.moment(2),
        "parameters": network.count_params(),
        "train_examples": count,
        "test_examples": 0,
        "measured_settings": trained.settings,
    }


def margins(outcome, learning_rate, batch_size, momentum, examples) -> dict:
    """Return a and s over their bounds; None where training diverged."""
    if outcome["sharpness"] is None:
        return {"sharpness_margin": None, "nonuniformity_margin": None}
    a, s = (outcome[name]["value"] for name in ("sharpness", "nonuniformity"))
    return {
        "sharpness_margin": stability.sharpness_margin(a, learning_rate, momentum),
        "nonuniformity_margin": stability.nonuniformity_margin(
            s, learning_rate, batch_size, examples
        ),
    }
