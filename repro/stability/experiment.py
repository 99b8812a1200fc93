"""Wu, Ma, E (NeurIPS 2018): how SGD selects the global minima, a dynamical stability view.

    python -m repro.stability --stage=train --model=fnn --dataset=fashion_mnist --learning_rate=0.1
    python -m repro.stability --stage=escape --learning_rate=0.1 --batch_size=4 --iterations=3000
    python -m repro.stability --stage=measure --run=outputs/stability/RUN
    python -m repro.stability --stage=toy

Losses are squared errors on one-hot targets, averaged over outputs as PyTorch does; every sharpness
is of this loss. With 1/2 of the sum over k outputs instead, both are k/2 times as large, and the
same steps have k/2 times smaller learning rates.

What follows the released code where the paper says nothing, and where this departs:
* The first n images are those tensorflow-datasets stores first, in an order of its own (by hash);
  the paper's are the first n of the original files.
* The first epoch takes the images in that order, all others shuffle, without replacement; the last
  batch of an epoch may be smaller. Shuffles are keyed by (seed, epoch).
* Training stops once a moving average of the minibatches' losses (0.9 of the old one) is below
  --stop_loss, 1e-4 in the paper and 5e-4 on corrupted labels; --stop_loss=0 --iterations=10000 is
  the fixed budget of the later release, which seed 001 ran.
* CIFAR-10 has two classes, airplane and automobile; wrong labels are drawn as in the released code.
* Momentum is PyTorch's heavy ball: v <- momentum v + gradient, w <- w - learning_rate v.
* Curvature is measured by Lanczos to a residual, on all training images, with frozen batch norm.
"""

from pathlib import Path

from absl import app, flags

from repro import common_flags

MODULE = "repro.stability"
CLASSES = {"cifar10": [0, 1]}  # of whose images the paper takes those of two classes
DEFAULTS = {  # stage -> flag -> value where none is given
    "train": {"learning_rate": 0.1, "iterations": 200_000, "measure_every": 1000},
    "escape": {"learning_rate": 0.1, "iterations": 3000, "measure_every": 40},
    "measure": {},
    "toy": {"learning_rate": 0.7, "iterations": 500},
}


def define_flags():
    common_flags.define_run(checkpoint_unit="Steps", checkpoint_every=1000)
    common_flags.define_images(model="fnn", dataset="fashion_mnist")
    flags.adopt_module_key_flags(common_flags)
    flags.DEFINE_enum("stage", "train", list(DEFAULTS), "escape: leave a minimum of GD.")
    flags.DEFINE_string("test_split", "test", "What to test on, such as train[40000:].")
    flags.DEFINE_list("classes", None, "Labels whose images are used. Default: 0,1 of cifar10.")
    flags.DEFINE_integer("train_examples", 1000, "The first n stored.", lower_bound=2)
    flags.DEFINE_integer("wrong_examples", 0, "So many more with wrong labels.", lower_bound=0)
    flags.DEFINE_float("learning_rate", None, "eta. Default: 0.1; toy: 0.7.", lower_bound=0.0)
    flags.DEFINE_integer("batch_size", None, "B. Default: all examples.", lower_bound=1)
    flags.DEFINE_float("momentum", 0.0, "Of the heavy ball.", lower_bound=0.0, upper_bound=1.0)
    flags.DEFINE_float("gain", 1.0, "Of the dense layers' initial kernels.", lower_bound=0.0)
    flags.DEFINE_float("stop_loss", 1e-4, "Stop once the moving average is below.", lower_bound=0.0)
    flags.DEFINE_integer("iterations", None, "At most so many steps.", lower_bound=1)
    flags.DEFINE_integer("measure_every", None, "Steps between two rows of metrics.", lower_bound=1)
    flags.DEFINE_float("start_learning_rate", 0.1, "escape: of GD to the start.", lower_bound=0.0)
    flags.DEFINE_integer("start_iterations", 200_000, "escape: of GD, at most.", lower_bound=1)
    flags.DEFINE_float("tolerance", 1e-4, "Relative, of residuals of eigenvalues.", lower_bound=0.0)
    flags.DEFINE_integer("max_iterations", 200, "Of Lanczos, per eigenvalue.", lower_bound=2)
    flags.DEFINE_string("run", None, "measure: a run's directory, of this or another binary.")
    flags.DEFINE_integer("eigenvalues", 10, "measure: how many at the top.", lower_bound=1)
    flags.DEFINE_integer("probes", 4, "measure: of the spectral density.", lower_bound=1)


def run(
    *,
    stage: str,
    model: str,
    dataset: str,
    classes: list[int] | None,
    train_split: str,
    test_split: str,
    train_examples: int,
    wrong_examples: int,
    learning_rate: float,
    batch_size: int,
    momentum: float,
    gain: float,
    stop_loss: float,
    iterations: int,
    measure_every: int,
    start_learning_rate: float,
    start_iterations: int,
    tolerance: float,
    max_iterations: int,
    seed: int,
    strategy,
    run_directory,
    environment: dict,
    data_dir: str | None = None,
    download: bool = True,
    checkpoint_every: int = 1000,
    **_,
) -> dict:
    """Train a network, or let it leave a minimum of GD, and measure where it ends.

    Arguments are the flags of the same names. Returns the result: losses, accuracies, and
    `sharpness` and `nonuniformity` with residual, iterations and whether Lanczos converged.
    """
    import keras

    from repro import measurement, models
    from repro.stability import data as regression
    from repro.stability import descent, phases

    if strategy.num_replicas_in_sync > 1:
        raise ValueError("1,000 images train on one device; --strategy is for --stage=measure")
    keras.utils.set_random_seed(seed)
    train, test = regression.load(
        dataset, data_dir, download=download, classes=classes, train_split=train_split,
        test_split=test_split, train_examples=train_examples, wrong_examples=wrong_examples,
    )  # fmt: skip
    if batch_size > len(train):
        raise ValueError(f"batch_size={batch_size} is larger than the {len(train)} examples")
    network = models.build(model, train.images.shape[1:], train.targets.shape[1], gain=gain)

    # GD to a minimum first, where the subject is how another optimiser leaves it.
    plan = [descent.Phase(learning_rate, batch_size, momentum, iterations, stop_loss)]
    if stage == "escape":
        to_minimum = descent.Phase(
            start_learning_rate, len(train), 0.0, start_iterations, stop_loss
        )
        plan = [to_minimum, descent.Phase(learning_rate, batch_size, momentum, iterations, 0.0)]

    def observe(vectors, curvature):
        row = {}
        for split, examples in (("train", train), ("test", test)):
            means = descent.evaluate(network, examples, descent.squared_error)
            row |= {f"{split}/{name}": value for name, value in means.items()}
        if curvature:
            data = train.images, train.targets
            found = measurement.measure(
                network, descent.squared_error, data, starts=vectors,
                tolerance=tolerance, max_iterations=max_iterations,
            )  # fmt: skip
            row |= {f"curvature/{name}": m.value for name, m in found.items()}
            return row, found
        return row, None

    outcome = phases.run(
        network, train, plan,
        loss=descent.squared_error, seed=seed, observe=observe, measure_every=measure_every,
        curvature_along_the_way=stage == "escape", run=run_directory, environment=environment,
        checkpoint_every=checkpoint_every,
    )  # fmt: skip
    return {
        **outcome,
        "parameters": network.count_params(),
        "train_examples": len(train),
        "test_examples": len(test),
        **measurement.margins(outcome, learning_rate, batch_size, momentum, len(train)),
    }


def toy(
    *, learning_rate: float, iterations: int, seed: int, run_directory, environment: dict, **_
) -> dict:
    """Let GD and SGD of batch size 1 start beside the minimum x = 1 of the toy, 2,000 times."""
    import numpy as np

    from repro.stability import toy as problem

    run_directory.begin(0, environment)
    start = {"iterations": iterations, "start": 1 + 1e-5}
    gd = problem.descend(learning_rate, runs=1, seed=None, **start)[:, 0]
    sgd = problem.descend(learning_rate, runs=2000, seed=seed, **start)
    away = np.abs(sgd - 1) > 0.3
    left = away.any(0)
    run_directory.save_arrays(gd=gd, sgd=sgd[:, :20])
    a, s = problem.SHARPNESS, problem.NONUNIFORMITY
    return {
        "status": "complete",
        "sgd_at_0": float(np.mean(np.abs(sgd[-1]) < 1e-3)),
        "sgd_at_1": float(np.mean(np.abs(sgd[-1] - 1) < 1e-3)),
        "gd_end": float(gd[-1]),
        "escape_steps": np.quantile(away[:, left].argmax(0), [0.05, 0.5, 0.95]).tolist()
        if left.any() else None,
        "sharpness": a,
        "nonuniformity": s,
        "condition": (1 - learning_rate * a) ** 2 + (learning_rate * s) ** 2,
        "thresholds": problem.thresholds(),
        "train_examples": 2,
        "test_examples": 0,
    }  # fmt: skip


def main(argv):
    common_flags.reject_stray_arguments(argv)
    values = common_flags.values()
    stage = values["stage"]
    if stage == "measure" and not values["run"]:
        raise ValueError("--stage=measure wants --run, the directory of a complete run")
    for name, value in DEFAULTS[stage].items():
        values[name] = value if values[name] is None else values[name]
    if stage == "toy":
        values |= {"model": None, "dataset": None}  # it has none
    elif stage != "measure":
        chosen = values["classes"] or CLASSES.get(values["dataset"])
        values["classes"] = [int(label) for label in chosen] if chosen else None
        examples = values["train_examples"] + values["wrong_examples"]
        values["batch_size"] = values["batch_size"] or examples
    common_flags.run_binary(MODULE, values, {}, Path("none"), _name(values), EXPERIMENTS[stage])


def _measure(**settings) -> dict:
    from repro import measurement

    return measurement.run(**settings)


EXPERIMENTS = {"train": run, "escape": run, "measure": _measure, "toy": toy}


def _name(values: dict) -> str:
    """Return the readable part of a run directory's name."""
    if values["stage"] == "measure":
        return f"measure-{Path(values['run']).name}"
    shown = [] if values["stage"] == "toy" else [values["model"], values["dataset"]]
    shown += [f"lr{values['learning_rate']:g}"]
    shown += [f"B{values['batch_size']}"] if values["batch_size"] else []
    return "-".join([values["stage"], *shown, f"seed{values['seed']}"])


if __name__ == "__main__":
    define_flags()
    app.run(common_flags.end_with_one_line(main))
