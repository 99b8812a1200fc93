"""What the stages of mode connectivity share: the data and the network of a run."""

import keras
import tensorflow as tf

from repro import models
from repro.mode_connectivity import data as plain
from repro.mode_connectivity.mode_settings import Modes
from repro.models.layers import HeNormal
from repro.training import step


def prepare_data(
    settings: Modes,
    data_dir: str | None,
    download: bool,
    *,
    batch_size: int | None = None,
    augment: tuple[str, ...] | None = None,
    seed: int | None = None,
) -> plain.PlainData:
    """Return the data of a run; batch, augmentation and seed are its own unless given."""
    return plain.prepare(
        dataset=settings.dataset,
        data_dir=data_dir,
        download=download,
        train_split=settings.train_split,
        test_split=settings.test_split,
        train_examples=settings.train_examples,
        eval_examples=settings.eval_examples,
        batch_size=settings.batch_size if batch_size is None else batch_size,
        augment=settings.augment if augment is None else augment,
        seed=settings.seed if seed is None else seed,
    )


def build_network(
    settings: Modes,
    data: plain.PlainData,
    strategy: tf.distribute.Strategy,
    *,
    seed: int | None = None,
    init_scale: float = 1.0,
) -> keras.Model:
    """Return the network of a run, in the global precision.

    Args:
      settings, data: of the run.
      strategy: under which its variables are made.
      seed: of initial weights and dropout; None: that of the run.
      init_scale: factor on initial weights beside --init_scale.
    """
    keras.utils.set_random_seed(settings.seed if seed is None else seed)
    options = {
        "dropout_rate": settings.dropout_rate,
        "initializer": HeNormal(
            settings.init_scale * init_scale, settings.init_spread, settings.init_fan
        ),
    }
    if settings.init_dense == "torch":
        options["torch_dense"] = True
    with strategy.scope():
        return models.build(settings.model, data.image_shape, data.num_classes, **options)


def decayed_weights(settings: Modes, network: keras.Model) -> list:
    """Return the variables that L2 acts on."""
    return step.kernels(network) if settings.decayed == "kernels" else network.trainable_variables


def protocol(settings: Modes, data: plain.PlainData) -> str:
    """Describe in one line what numbers of this run rest on."""
    s, facts, modes = settings, data.facts, settings.modes()
    batch = s.large_batch_size if modes == {"A"} else s.batch_size
    rate = s.adam_learning_rate if modes == {"B"} else s.learning_rate
    special = {
        "A": f"A's batch {s.large_batch_size}",
        "B": f"B's rate {s.adam_learning_rate}",
        "sgdr": f"SGDR's rate moved every {s.sgdr_update}",
    }
    curve_rate = getattr(s, "curve_learning_rate", None)
    aligned = getattr(s, "align", "none")
    parts = [
        f"{s.model} on {s.dataset}, {facts['train_examples']:,} training images "
        f"(loss on {facts['eval_examples']:,}) and {facts['test_examples']:,} for validation",
        f"all epochs times {s.epoch_scale:g}",
        f"modes trained at {rate:g}",
        f"batch {batch}",
        *(text for mode, text in special.items() if mode in modes and len(modes) > 1),
        special["sgdr"] if modes == {"sgdr"} else "",
        f"dropout {s.dropout_rate:g}",
        f"curves at {curve_rate:g}" if curve_rate else "",
        f"aligned by {aligned}" if aligned != "none" else "",
        s.precision,
        f"seed {s.seed}",
    ]
    return ", ".join(part for part in parts if part)
