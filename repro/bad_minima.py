r"""Liu, Papailiopoulos, Achlioptas (NeurIPS 2020): bad global minima exist and SGD can reach them.

    python -m repro.bad_minima --model=resnet18 --init=adversarial \
        --augment --l2=5e-4 --momentum=0.9

An adversarial start is a network pre-trained on random labels of the same images (Algorithm 1). It
is found again by its settings, beside the run, or trained first. From it "vanilla" SGD (no
augmentation, no L2, no momentum) ends in a bad global minimum; the three together, "SOTA", do not.
Figures and tables are grids of such runs, in configs/bad_minima/*.toml.

Where this departs from the authors' code for CIFAR-10, or fills what is not known:
* R and N: their generator says R=10, their trainers R=1; both N=0.1. Here R=1, N=0.1. N counts
  entries, as in their code; --zero_unit=pixels is the paper's text.
* Pre-training ends at 99.99 % in inference mode, looked at every --eval_every epochs, as theirs.
* The last batch of an epoch is filled up to full size (pipeline.epoch_order).
* Momentum is Keras's (v <- m v - lr g), which differs from PyTorch's for some steps after the rate
  drops; moving variances are those of the batch, without PyTorch's n / (n - 1).
* Train accuracy is measured without augmentation.
* A seed's pre-training and its random start begin at the same weights, and with R=1 the images of
  pre-training and main training come in the same order.
* Other datasets train as CIFAR-10 does: what the authors did there could not be read.
* --noshuffle, --batch_statistics and --reset_batch_norm do as seed 000's rerun in JAX did.
"""

import functools
from pathlib import Path

from absl import app, flags

from repro import common_flags
from repro.data import adversarial
from repro.data.datasets import DATASETS
from repro.models import WIDTHS

MODULE = "repro.bad_minima"
TUNED = Path(__file__).parent.parent / "configs" / "bad_minima" / "tuned.json"

SHARPNESS_BATCH = 100  # images whose activations are kept at a time
# Flags that are None, and no part of the run, where it does not pre-train, or starts at random.
PRETRAINING = (
    "replicas", "zero_out", "zero_unit", "pretrain_split", "pretrain_epochs", "pretrain_drop_at",
    "pretrain_learning_rate", "pretrain_accuracy",
)  # fmt: skip
HANDOVER = ("start", "reset_batch_norm")


def define_flags():
    common_flags.define(model="resnet18", dataset="cifar10")
    flags.adopt_module_key_flags(common_flags)
    flags.DEFINE_float("width", 1.0, "Multiplies the network's channels.", lower_bound=0.0)
    flags.DEFINE_enum("init", "random", ["random", "adversarial"], "Where training starts.")
    flags.DEFINE_bool("augment", False, "Random crops and flips.")
    flags.DEFINE_float("l2", 0.0, "Coefficient of L2 / 2, on all weights.", lower_bound=0.0)
    flags.DEFINE_float("momentum", 0.0, "Of SGD.", lower_bound=0.0, upper_bound=1.0)
    flags.DEFINE_integer("epochs", 350, "Of training; 0 measures the start.", lower_bound=0)
    flags.DEFINE_float("learning_rate", 0.1, "Before it drops.", lower_bound=0.0)
    flags.DEFINE_list("drop_at", ["150", "250"], "Epochs after which the rate drops.")
    flags.DEFINE_float("learning_rate_drop", 0.1, "Factor of each drop.", lower_bound=0.0)
    flags.DEFINE_integer("batch_size", 128, "Over all replicas.", lower_bound=1)
    flags.DEFINE_integer("eval_every", 25, "Epochs between evaluations.", lower_bound=1)
    flags.DEFINE_integer("replicas", 1, "R: copies of each image.")
    flags.DEFINE_float("zero_out", 0.1, "N: share of a copy made black.")
    flags.DEFINE_enum("zero_unit", "entries", list(adversarial.UNITS), "What N is a share of.")
    flags.DEFINE_string("pretrain_split", None, "Images to pre-train on. Default: the same.")
    flags.DEFINE_integer("pretrain_epochs", 350, "At most so many.", lower_bound=1)
    flags.DEFINE_float("pretrain_learning_rate", 0.1, "Before it drops.", lower_bound=0.0)
    flags.DEFINE_list("pretrain_drop_at", ["150", "250"], "As --drop_at.")
    flags.DEFINE_float("pretrain_accuracy", 0.9999, "Pre-training stops there; 0: only after all "
                       "its epochs.", lower_bound=0.0, upper_bound=1.0)  # fmt: skip
    flags.DEFINE_string("start", None, "Directory of a pre-trained run to start from, instead of "
                        "pre-training by --init=adversarial.")  # fmt: skip
    flags.DEFINE_bool("reset_batch_norm", False, "Forget the start's moving statistics.")
    flags.DEFINE_bool("shuffle", True, "Anew in every epoch, in the main training.")
    flags.DEFINE_bool("batch_statistics", False, "Test with the statistics of test batches.")
    flags.DEFINE_integer("sharpness_examples", 1000, "Measure the sharpness of the end on the "
                         "first so many; 0: do not.", lower_bound=0)  # fmt: skip


def run(
    *,
    model: str,
    width: float,
    dataset: str,
    train_split: str,
    test_split: str,
    train_examples: int | None,
    init: str,
    augment: bool,
    l2: float,
    momentum: float,
    epochs: int,
    learning_rate: float,
    drop_at: list[str],
    learning_rate_drop: float,
    batch_size: int,
    eval_every: int,
    replicas: int | None,
    zero_out: float | None,
    zero_unit: str | None,
    pretrain_split: str | None,
    pretrain_epochs: int | None,
    pretrain_learning_rate: float | None,
    pretrain_drop_at: list[str] | None,
    pretrain_accuracy: float | None,
    start: str | None,
    reset_batch_norm: bool | None,
    shuffle: bool,
    batch_statistics: bool,
    sharpness_examples: int,
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
    """Train one network from a random or an adversarial start and return the result of the run.

    Arguments are the flags of the same names, None for those that a random start does not need;
    `strategy` is a tf.distribute.Strategy and `run_directory` a training.runs.RunDirectory.
    """
    import keras

    from repro import norms
    from repro.data import relabelled
    from repro.training import recipes, starts, step
    from repro.training.runs import settings_hash
    from repro.training.strategy import is_chief

    keras.mixed_precision.set_global_policy(precision)
    images = {
        "dataset": dataset, "train_split": train_split, "test_split": test_split,
        "train_examples": train_examples, "batch_size": batch_size, "seed": seed,
    }  # fmt: skip
    places = {"data_dir": data_dir, "download": download}
    recipe = {  # of both trainings
        "learning_rate_drop": learning_rate_drop, "eval_every": eval_every, "precision": precision,
        "xla": xla,
    }  # fmt: skip
    housekeeping = {
        "strategy": strategy, "environment": environment, "checkpoint_every": checkpoint_every,
    }  # fmt: skip
    build = functools.partial(_build, model=model, width=width, seed=seed, strategy=strategy)

    # --- the start: Algorithm 1
    copies = {
        **images, "train_split": pretrain_split or train_split,
        "replicas": replicas, "zero_out": zero_out, "zero_unit": zero_unit,
    }  # fmt: skip
    schedule = {
        "pretrain_epochs": pretrain_epochs, "pretrain_learning_rate": pretrain_learning_rate,
        "pretrain_drop_at": pretrain_drop_at, "pretrain_accuracy": pretrain_accuracy,
    }  # fmt: skip
    pretrained = None
    if start:
        pretrained = starts.read(start)
    elif init == "adversarial":
        settings = {
            "init": init, "model": model, "width": width, **copies, **schedule, **recipe,
            "deterministic": deterministic, "epochs": 0,
        }  # fmt: skip
        name = f"start-{model}-{dataset}-seed{seed}-{settings_hash(settings)}"
        pretrained = starts.find_or_train(
            run_directory.path.parent / name, settings,
            lambda directory: _pretrain(
                directory, build, {**copies, **places}, schedule, {**recipe, **housekeeping}
            ),
            chief=is_chief(strategy),
        )  # fmt: skip
    if pretrained:
        _check_reached(pretrained)

    # --- the main training
    data = relabelled.true_labels(**images, augment=augment, shuffle=shuffle, **places)
    network, architecture = build(data)
    if pretrained:
        starts.load(pretrained, network, architecture, reset_batch_norm=reset_batch_norm)
    weights, measure_norms = norms.snapshot(network), norms.readings(network)
    initial_norms = measure_norms()
    test_by_batch = step.make_evaluate(network, strategy, batch_statistics=True)
    evaluations = {
        **data.evaluations,
        "distance": lambda: norms.distances(weights, network),
        "norms": measure_norms,
        "margins": lambda: norms.margins(norms.logits_on(network, data.images), data.labels),
    }
    if batch_statistics:
        evaluations["test"] = lambda: test_by_batch(data.test_batches)
    outcome = recipes.fit_by_sgd(
        network, data.train, evaluations, run_directory, epochs=epochs, learning_rate=learning_rate,
        drop_at=drop_at, momentum=momentum, l2=l2, **recipe, **housekeeping,
    )  # fmt: skip
    result = {
        **outcome,
        "pretrain_accuracy": pretrained and pretrained.result["train_accuracy"],
        "pretraining": pretrained and {"directory": pretrained.path.name, **pretrained.result},
        "parameters": sum(v.value.shape.num_elements() for v in network.trainable_variables),
        **data.facts,
        "initial_norms": norms.nested(initial_norms),
    }
    if outcome["status"] == "complete":
        result["test_accuracy_batch_statistics"] = test_by_batch(data.test_batches)["accuracy"]
        result |= norms.summary(network, weights, data.images, data.labels)
        if sharpness_examples:
            result["sharpness"] = _sharpness(network, data, sharpness_examples)
    return result


def _build(data, *, model: str, width: float, seed: int, strategy):
    """Return the network for some data in its initial state, the same every time, and its shape."""
    import keras

    from repro import models, norms

    keras.utils.set_random_seed(seed)
    options = {"width": width} if model in models.WIDTHS else {}
    with strategy.scope():
        network = models.build(model, data.image_shape, data.num_classes, **options)
    norms.check_paths(network)  # before hours of training, not after them
    shape = {"image_shape": list(data.image_shape), "num_classes": data.num_classes}
    return network, {"model": model, "width": width, **shape}


def _pretrain(directory, build, copies: dict, schedule: dict, recipe: dict) -> dict:
    """Fit random labels on copies of the images, Algorithm 1; return the result of the start."""
    from repro.data import relabelled
    from repro.training import recipes

    data, asked = relabelled.random_labels(**copies), schedule["pretrain_accuracy"]
    network, architecture = build(data)
    outcome = recipes.fit_by_sgd(
        network, data.train, data.evaluations, directory, epochs=schedule["pretrain_epochs"],
        stop_accuracy=asked or None, learning_rate=schedule["pretrain_learning_rate"],
        drop_at=schedule["pretrain_drop_at"], **recipe,
    )  # fmt: skip
    fitted, ceiling = outcome["train_accuracy"], 1.0
    if not copies["zero_out"]:
        ceiling = adversarial.fit_ceiling(copies["replicas"], data.num_classes)
    return {
        **outcome, "reached": fitted is not None and fitted >= asked, "ceiling": ceiling,
        "architecture": architecture, **data.facts,
    }  # fmt: skip


def _check_reached(pretrained) -> None:
    """Refuse a start that diverged, and say so where one did not reach what it was asked for."""
    if pretrained.result["status"] == "diverged":
        raise RuntimeError(f"pre-training in {pretrained.path} diverged: lower its learning rate")
    if not pretrained.result.get("reached", True):
        print(f"the start in {pretrained.path} has not reached its pretrain_accuracy: "
              f"{pretrained.result['train_accuracy']:.2%}", flush=True)  # fmt: skip


def _sharpness(network, data, examples: int) -> dict:
    """Return the largest eigenvalue of the cross-entropy's Hessian on the first examples."""
    from repro import curvature, norms
    from repro.training import step

    first = (data.images[:examples], data.labels[:examples])
    copy = norms.at_dtype(network, "float32")  # whatever precision and devices trained it
    measured = curvature.sharpness(copy, step.cross_entropy, first, batch_size=SHARPNESS_BATCH)
    return measured.without_vector()


def main(argv):
    common_flags.reject_stray_arguments(argv)
    values = common_flags.values()
    if values["start"]:
        values |= {**dict.fromkeys(PRETRAINING), "init": "adversarial"}
    elif values["init"] == "random":
        values |= dict.fromkeys([*PRETRAINING, *HANDOVER])
    else:
        adversarial.check(values["replicas"], values["zero_out"], values["zero_unit"])
        adversarial.check_fittable(
            values["replicas"], values["zero_out"], DATASETS[values["dataset"]],
            values["pretrain_accuracy"],
        )  # fmt: skip
    for name in ("drop_at", "pretrain_drop_at"):
        epochs = values[name] or []
        numbers = [int(epoch) for epoch in epochs if epoch.isdigit() and int(epoch)]
        if len(numbers) < len(epochs) or numbers != sorted(set(numbers)):
            raise ValueError(f"{name}={','.join(epochs)} must be a list of rising epochs")
    if values["width"] == 0:
        raise ValueError("width=0 leaves no network: choose a number above 0")
    if values["width"] != 1 and values["model"] not in WIDTHS:
        raise ValueError(f"{values['model']} has no width; choose from {', '.join(WIDTHS)}")
    common_flags.run_binary(MODULE, values, {}, TUNED, _name(values), run)


def _name(values: dict) -> str:
    """Return the readable part of a run directory's name."""
    parts = [values["model"], values["dataset"], values["init"]]
    if values["width"] != 1:
        parts.append(f"w{values['width']:g}")
    if values["train_examples"]:
        parts.append(f"n{values['train_examples']}")
    parts += [name for name in ("augment", "l2", "momentum") if values[name]]
    return "-".join([*parts, f"seed{values['seed']}"])


if __name__ == "__main__":
    define_flags()
    app.run(common_flags.end_with_one_line(main))
