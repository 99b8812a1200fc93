"""Tables 1 to 4 of Zhang et al. 2017, the published numbers beside ours."""

from collections.abc import Sequence

from repro.randomization.measures import AVERAGE_LOSS, corruption_level, regularizers
from repro.reporting.results import Run, protocol, select
from repro.reporting.tables import Table, percent

# Table 1 of the paper: (network, crop, weight decay, random labels) -> train and test accuracy.
TABLE1 = {
    ("inception", True, True, False): (100.0, 89.05),
    ("inception", True, False, False): (100.0, 89.31),
    ("inception", False, True, False): (100.0, 86.03),
    ("inception", False, False, False): (100.0, 85.75),
    ("inception", False, False, True): (100.0, 9.78),
    ("inception_no_bn", False, True, False): (100.0, 83.00),
    ("inception_no_bn", False, False, False): (100.0, 82.00),
    ("inception_no_bn", False, False, True): (100.0, 10.12),
    ("alexnet", True, True, False): (99.90, 81.22),
    ("alexnet", True, False, False): (99.82, 79.66),
    ("alexnet", False, True, False): (100.0, 77.36),
    ("alexnet", False, False, False): (100.0, 76.07),
    ("alexnet", False, False, True): (99.82, 9.86),
    ("mlp_3x512", False, True, False): (100.0, 53.35),
    ("mlp_3x512", False, False, False): (100.0, 52.39),
    ("mlp_3x512", False, False, True): (100.0, 10.48),
    ("mlp_1x512", False, True, False): (99.80, 50.39),
    ("mlp_1x512", False, False, False): (100.0, 50.51),
    ("mlp_1x512", False, False, True): (99.34, 10.61),
}
# Table 4: (network, regulariser) -> train accuracy on random labels.
TABLE4 = {
    ("inception", "weight decay"): "100.0",
    ("alexnet", "weight decay"): "failed to converge",
    ("mlp_3x512", "weight decay"): "100.0",
    ("mlp_1x512", "weight decay"): "99.21",
    ("inception", "crop"): "99.93",
    ("inception", "flip, rotation"): "99.28",
}


def table1(runs: Sequence[Run]) -> Table:
    """Accuracies with and without random crops, weight decay and true labels."""
    rows = []
    for (model, crop, decay, random), (paper_train, paper_test) in TABLE1.items():
        chosen = [
            run
            for run in select(runs, model=model, augment=["crop"] if crop else [])
            if corruption_level(run) == random and (run.settings["weight_decay"] > 0) == decay
        ]
        for run in chosen or [None]:
            rows.append(
                [
                    f"{model} ({run.result['parameters']:,})" if run else model,
                    "random" if random else "true",
                    "yes" if crop else "no",
                    f"{run.settings['weight_decay']:g}" if run and decay else _yes(decay),
                    percent(run.result["train_accuracy"]) if run else "not run",
                    f"{paper_train:.2f}",
                    _tested(run) if run else "not run",
                    f"{paper_test:.2f}",
                    f"{run.result['train_examples']:,}" if run else "–",
                ]
            )
    columns = [
        "network (parameters)",
        "labels",
        "random crop",
        "weight decay",
        "train %",
        "published",
        "test %",
        "published",
        "training images",
    ]
    return Table(columns, rows, f"± is the standard error of the test set. {protocol(runs)}.")


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _tested(run: Run) -> str:
    """Return a test accuracy in percent ± the standard error of its test set."""
    accuracy = run.result["test_accuracy"]
    return percent(accuracy, (accuracy * (1 - accuracy) / run.result["test_examples"]) ** 0.5)


def table4(runs: Sequence[Run]) -> Table:
    """Training accuracy on random labels under regularisers."""
    rows = []
    for (model, regulariser), paper in TABLE4.items():
        chosen = [
            run
            for run in select(runs, model=model, corruption="random_labels")
            if regularizers(run).split(" at ")[0] == regulariser
        ]
        for run in chosen:
            accuracy, examples = run.result["train_accuracy"], run.result["train_examples"]
            rows.append([model, regularizers(run), percent(accuracy), paper, f"{examples:,}"])
        if not chosen:
            rows.append([model, regulariser, "not run", paper, "–"])
    columns = ["network", "regulariser", "train %", "published", "training images"]
    return Table(columns, rows, f"Accuracy on the un-augmented training set. {protocol(runs)}.")


# Table 2, in percent: (labels, augmentation, dropout, weight decay) -> top-1 and top-5 accuracy on
# training images, the same on test images, and the best test accuracies during training.
TABLE2 = {
    ("true", True, True, True): ((92.18, 99.21), (77.84, 93.92), None),
    ("true", True, False, False): ((92.33, 99.17), (72.95, 90.43), None),
    ("true", False, False, True): ((90.60, 100.0), (67.18, 86.44), (72.57, 91.31)),
    ("true", False, False, False): ((99.53, 100.0), (59.80, 80.38), (63.16, 84.49)),
    ("random", False, True, True): ((91.18, 97.95), (0.09, 0.49), None),
    ("random", False, False, True): ((87.81, 96.15), (0.12, 0.50), None),
    ("random", False, False, False): ((95.20, 99.14), (0.11, 0.56), None),
}


def table2(runs: Sequence[Run]) -> Table:
    """Top-1 and top-5 accuracies on ImageNet when training ends, and the best on test images."""
    rows = []
    for (labels, augmented, dropout, decay), published in TABLE2.items():
        chosen = [run for run in runs if _row_of_table2(run) == (labels, augmented, dropout, decay)]
        for run in chosen or [None]:
            yes = map(_yes, (augmented, dropout, decay))
            pairs = published if _is_imagenet(run) else [None] * 3
            stated = ["{:.2f}, {:.2f}".format(*pair) if pair else "–" for pair in pairs]
            ours = _top(run) if run else ["not run"] * 3
            rows.append([labels, *yes, *(cell for pair in zip(ours, stated) for cell in pair)])
    columns = [
        "labels",
        "augmented",
        "dropout",
        "weight decay",
        "train %",
        "published",
        "test %",
        "published",
        "best test %",
        "published",
    ]
    note = (
        "Top-1 and top-5 accuracies; AlexNet of 2012, which the paper quotes, has a top-5 accuracy "
        f"of 83.6 % on test images. {protocol(runs)}."
    )
    return Table(columns, rows, note)


def _is_imagenet(run: Run | None) -> bool:
    """Whether published numbers may stand beside a run, or beside a row that was not run."""
    return run is None or run.settings["dataset"] == "imagenet2012"


def _row_of_table2(run: Run) -> tuple:
    """Return labels, augmentation, dropout and weight decay of a run, as Table 2 has them."""
    s = run.settings
    labels = "random" if corruption_level(run) else "true"
    return labels, bool(s["augment"]), s["dropout_rate"] > 0, s["weight_decay"] > 0


def _top(run: Run) -> list[str]:
    """Return top-1 and top-5 accuracy at the end on training and test images, and the best."""
    last, cells = run.metrics[-1], []
    for split in ("train", "test"):
        cells.append(_percents(last[f"{split}/accuracy"], last.get(f"{split}/top5_accuracy")))
    best = [
        max((row[name] for row in run.metrics if name in row), default=None)
        for name in ("test/accuracy", "test/top5_accuracy")
    ]
    return [*cells, _percents(*best)]


def _percents(*shares: float | None) -> str:
    return ", ".join("–" if share is None else percent(share) for share in shares)


# The loss after one epoch, in the paper's Figure 1a and in the EPFL student rerun.
FIRST_EPOCH = {
    ("gaussian", "dataset"): "2.3055 (paper)",
    ("gaussian", "image"): "2.09 (student rerun)",
    ("random_pixels", "entries"): "2.3057 (paper)",
    ("random_pixels", "positions"): "2.01 (student rerun)",
}


def first_epoch(runs: Sequence[Run]) -> Table:
    """Loss over the first epoch on noise and on permuted pixels, by how they were drawn."""
    rows = []
    for (corruption, drawn), stated in FIRST_EPOCH.items():
        setting = "gaussian_moments" if corruption == "gaussian" else "permute"
        for run in select(runs, corruption=corruption, **{setting: drawn}):
            loss = run.metrics[0][AVERAGE_LOSS]
            afresh = "at every access" if run.settings["redraw"] else "once"
            examples = f"{run.result['train_examples']:,}"
            rows.append([corruption, drawn, afresh, f"{loss:.4f}", stated, examples])
    columns = [
        "data",
        "moments or permutation of",
        "drawn",
        "loss after epoch 1",
        "published",
        "training images",
    ]
    return Table(columns, rows, f"Mean over the minibatches of the epoch. {protocol(runs)}.")


# Table 3, in percent: (dataset, kernel, features, with an l2 term) -> test error.
TABLE3 = {
    ("mnist", "gaussian", "pixels", False): "1.2 (60,000 images)",
    ("mnist", "gaussian", "gabor", False): "0.6 (60,000 images)",
    ("mnist", "quartic", "normalized", False): "1.18 (60,000 images; Recht)",
    ("cifar10", "gaussian", "pixels", False): "46 (50,000 images)",
    ("cifar10", "linear", "filters", False): "17 (50,000 images, 32,000 filters)",
    ("cifar10", "linear", "filters", True): "15 (50,000 images, 32,000 filters)",
}


def kernels(runs: Sequence[Run]) -> Table:
    """Table 3: test errors of kernels that interpolate, with norm, margin and conditioning."""
    chosen, rows = select(runs, stage="kernel"), []
    for run in chosen:
        settings, result = run.settings, run.result
        features = settings["features"]
        if settings["filters"]:
            features = f"{settings['filters']:,} {features} ({settings['filters_from']})"
        gamma = "" if settings["gamma"] is None else f" (gamma {settings['gamma']:g})"
        key = (
            settings["dataset"],
            settings["kernel"],
            settings["features"],
            (settings["weight_decay"] > 0),
        )
        paper = TABLE3.get(key, "–") if settings["corruption"] == "none" else "–"
        rows.append(
            [
                settings["dataset"],
                settings["kernel"] + gamma,
                features,
                "random" if settings["corruption"] == "random_labels" else "true",
                f"{settings['weight_decay']:g}" if settings["weight_decay"] else "no",
                _with(result["train_examples"], result["merged"], "merged"),
                _with(result["train_errors"], result["unavoidable_errors"], "unavoidable"),
                f"{result['rkhs_norm']:.3g}",
                f"{result['normalized_margin']:.2e}",
                f"{result['test_margin']:.2f}",
                f"{result['condition_number']:.1e}",
                percent(result["test_error"], result["test_error_se"]),
                paper,
            ]
        )
    columns = [
        "images",
        "kernel",
        "of",
        "labels",
        "weight decay",
        "n",
        "training errors",
        "norm",
        "training margin / norm",
        "mean test margin",
        "condition number",
        "test error %",
        "published",
    ]
    note = (
        "± is the standard error of the test set. The norm is the root of the summed squared RKHS "
        "norms of the outputs; a margin is by how much the right output is the largest"
    )
    if any(run.result["merged"] for run in chosen):
        note += (
            ". Equal images are merged into one point with the mean of their labels; where those "
            "differ, errors cannot be avoided"
        )
    return Table(columns, rows, f"{note}. {protocol(runs)}.")


def _with(number: int, other: int, what: str) -> str:
    """Return a number, and in brackets another one where it is not 0."""
    return f"{number:,}" + (f" ({other:,} {what})" if other else "")


TABLES = {
    "kernels": kernels,
    "table1": table1,
    "table2": table2,
    "table4": table4,
    "first_epoch": first_epoch,
}
