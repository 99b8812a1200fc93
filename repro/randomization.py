"""Zhang, Bengio, Hardt, Recht, Vinyals (ICLR 2017): networks fit random labels and random pixels.

    python -m repro.randomization --model=inception --corrupt_prob=0.4

Figures 1a-c, 2a-b and Tables 1, 4 are grids of such runs, in configs/randomization/*.toml; draw
them with `tools/reproduce randomization/fig1a --scale=cpu`.

Where this departs from the paper, or fills what it does not say:
* Batch size 128: not stated, but Figure 1a has one point every 391 = ceil(50000 / 128) steps.
* Initial weights: Glorot uniform, TensorFlow's default of the time; --initializer chooses.
* Dropout and weight decay act only when asked for; their sizes are not in the paper.
* The last batch of an epoch is filled up to full size (pipeline.epoch_order).
* Batch norm keeps moving statistics with momentum 0.9, see models/layers.py.
* `train/loss` and `train/accuracy` are measured after the epoch, in inference mode, on the whole
  training set without augmentation. Figure 1a draws `train/running_loss`, the epoch's minibatches:
  at a learning rate of 0.1 batch norm's moving statistics lag behind the weights.
"""

from pathlib import Path

from absl import app, flags

from repro import common_flags
from repro.data import AUGMENTATIONS
from repro.data.corruption import CORRUPTIONS, GAUSSIAN_MOMENTS, PERMUTES

MODULE = "repro.randomization"
TUNED = Path(__file__).parent.parent / "configs" / "randomization" / "tuned.json"

# What the paper leaves unsaid, where no sweep has found a value.
UNSAID = {"batch_size": 128, "dropout_rate": 0.0, "weight_decay": 0.0}


def define_flags():
    common_flags.define(model="inception", dataset="cifar10")
    flags.adopt_module_key_flags(common_flags)
    flags.DEFINE_enum(
        "corruption", None, list(CORRUPTIONS),
        "Default: partial_labels where --corrupt_prob is given, else none.",
    )
    flags.DEFINE_float(
        "corrupt_prob", 0.0, "p of partial_labels.", lower_bound=0.0, upper_bound=1.0
    )
    flags.DEFINE_enum("permute", "entries", list(PERMUTES), "What pixel corruptions permute.")
    flags.DEFINE_enum(
        "gaussian_moments", "dataset", list(GAUSSIAN_MOMENTS), "Whose mean and variance noise has."
    )
    flags.DEFINE_bool("redraw", False, "Seed 003's bug: corrupt afresh at every access.")
    flags.DEFINE_list("augment", [], f"Any of {', '.join(AUGMENTATIONS)}.")
    flags.register_validator(
        "augment",
        lambda names: set(names) <= set(AUGMENTATIONS),
        f"choose from {', '.join(AUGMENTATIONS)}",
    )
    flags.DEFINE_integer("epochs", 100, "Train for at most so many epochs.", lower_bound=1)
    flags.DEFINE_float("stop_train_loss", None, "Stop at this loss over the training set.")
    flags.DEFINE_float("stop_train_accuracy", None, "Stop at this accuracy over the training set.")
    flags.DEFINE_float(
        "learning_rate", None, "Default: 0.1 for inception networks and wrn, else 0.01.",
        lower_bound=0.0,
    )
    flags.DEFINE_float("learning_rate_decay", 0.95, "Factor per epoch.", lower_bound=0.0)
    flags.DEFINE_float("momentum", 0.9, "Of SGD.", lower_bound=0.0, upper_bound=1.0)
    flags.DEFINE_integer("batch_size", None, "Over all replicas. Unsaid: 128.", lower_bound=1)
    flags.DEFINE_float(
        "dropout_rate", None, "Unsaid: 0.", lower_bound=0.0, upper_bound=0.99
    )
    flags.DEFINE_float("weight_decay", None, "Coefficient of L2 / 2. Unsaid: 0.", lower_bound=0.0)
    flags.DEFINE_string("initializer", None, "Keras initializer of kernels. Default: network's.")
    flags.DEFINE_integer("eval_every", 1, "Epochs between evaluations.", lower_bound=1)


def run(
    *,
    model: str,
    dataset: str,
    corruption: str,
    corrupt_prob: float,
    permute: str,
    gaussian_moments: str,
    redraw: bool,
    augment: list[str],
    train_split: str,
    test_split: str,
    train_examples: int | None,
    epochs: int,
    stop_train_loss: float | None,
    stop_train_accuracy: float | None,
    learning_rate: float,
    learning_rate_decay: float,
    momentum: float,
    batch_size: int,
    dropout_rate: float,
    weight_decay: float,
    initializer: str | None,
    eval_every: int,
    seed: int,
    strategy,
    precision: str,
    xla: bool,
    deterministic: bool,
    run_directory,
    environment: dict,
    data_dir: str | None = None,
    download: bool = True,
    checkpoint_every: int = 1,
) -> dict:
    """Train one network on one corruption of a dataset and return the result of the run.

    Arguments are the flags of the same names, all filled in; `strategy` is a tf.distribute.Strategy
    and `run_directory` a training.runs.RunDirectory.
    """
    import keras

    from repro import models
    from repro.data import randomized
    from repro.training import checkpoints, loop, optimizers, step

    keras.utils.set_random_seed(seed)
    keras.mixed_precision.set_global_policy(precision)

    data = randomized.prepare(
        dataset=dataset, corruption=corruption, corrupt_prob=corrupt_prob, permute=permute,
        gaussian_moments=gaussian_moments, redraw=redraw, augment=augment, seed=seed,
        train_split=train_split, test_split=test_split, train_examples=train_examples,
        batch_size=batch_size, data_dir=data_dir, download=download,
    )

    # Network and optimiser, made where they will train.
    options = {"dropout_rate": dropout_rate}
    if initializer is not None:
        options["initializer"] = initializer
    steps_per_epoch = -(-data.facts["train_examples"] // batch_size)
    with strategy.scope():
        network = models.build(model, data.image_shape, data.num_classes, **options)
        schedule = optimizers.exponential_decay(learning_rate, learning_rate_decay, steps_per_epoch)
        optimizer = optimizers.sgd(schedule, momentum, precision)
        optimizer.build(network.trainable_variables)  # before restoring, see checkpoints.py

    evaluate = step.make_evaluate(network, strategy)
    outcome = loop.fit(
        data=data.epoch,
        train_steps=step.make_train_steps(
            network, optimizer, strategy, weight_decay=weight_decay, xla=xla
        ),
        evaluate=evaluate,
        strategy=strategy,
        stop=loop.Stop(epochs, stop_train_loss, stop_train_accuracy),
        run=run_directory,
        checkpoints=checkpoints.Checkpoints(
            run_directory.path / "checkpoints", network, optimizer, chief=run_directory.chief
        ),
        environment=environment,
        eval_every=eval_every,
        checkpoint_every=checkpoint_every,
    )
    with_corrupted_labels = evaluate(data.test_with_corrupted_labels)
    return {
        **loop.headline(outcome),
        "test_accuracy_corrupted_labels": with_corrupted_labels["accuracy"],
        "parameters": sum(v.value.shape.num_elements() for v in network.trainable_variables),
        **data.facts,
    }


def main(argv):
    common_flags.reject_stray_arguments(argv)
    values = common_flags.values()
    if values["corruption"] is None:
        values["corruption"] = "partial_labels" if values["corrupt_prob"] else "none"
    elif values["corrupt_prob"] and values["corruption"] != "partial_labels":
        raise ValueError(f"--corrupt_prob is for partial_labels, not {values['corruption']}")
    if values["learning_rate"] is None:
        values["learning_rate"] = 0.1 if values["model"].startswith(("inception", "wrn")) else 0.01
    common_flags.run_binary(MODULE, values, UNSAID, TUNED, _name(values), run)


def _name(values: dict) -> str:
    """Return the readable part of a run directory's name."""
    parts = [values["model"], values["dataset"], values["corruption"]]
    if values["corruption"] == "partial_labels":
        parts.append(f"p{values['corrupt_prob']:g}")
    if values["train_examples"]:
        parts.append(f"n{values['train_examples']}")
    parts += values["augment"]
    if values["redraw"]:
        parts.append("redraw")
    return "-".join([*parts, f"seed{values['seed']}"])


if __name__ == "__main__":
    define_flags()
    app.run(common_flags.end_with_one_line(main))
