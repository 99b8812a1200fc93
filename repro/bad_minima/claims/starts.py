"""Claims of Liu et al. 2020 on pre-training, B3 and B4."""

from collections.abc import Sequence

from repro.bad_minima.measures import grouped, start_cut_short
from repro.reporting import statistics
from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    of_seeds,
    worst,
)
from repro.reporting.results import Run, select
from repro.reporting.statistics import Estimate

FITS = 0.9999  # train accuracy at which the authors' pre-training stops
CHANCE_MARGIN = 0.015
# What a start's training depends on. One training may lie in two directories, as earlier code had
# other names for them.
OF_A_START = (
    *("model", "width", "dataset", "train_split", "train_examples", "batch_size", "precision"),
    *("replicas", "zero_out", "zero_unit", "pretrain_split", "pretrain_epochs"),
    *("pretrain_learning_rate", "pretrain_drop_at", "learning_rate_drop", "pretrain_accuracy"),
    *("eval_every", "seed"),
)


def starts(runs: Sequence[Run]) -> list[Run]:
    """Return one run for each pre-trained start that could be fitted.

    A start whose training was made twice is one, unless `--start` named the directory.
    """
    found: dict[str, Run] = {}
    for run in select(runs, init="adversarial", initializer=None):
        stage = run.result.get("pretraining")
        if stage and stage["ceiling"] == 1:
            found[stage["directory"]] = run
    made: dict[str, Run] = {}
    for directory, run in found.items():
        settings = [run.settings.get(name) for name in OF_A_START]
        made.setdefault(directory if run.settings.get("start") else repr(settings), run)
    return list(made.values())


def b3(runs):
    chosen = starts(runs)
    if not chosen:
        return None
    stages = [run.result["pretraining"] for run in chosen]
    accuracies = [stage["train_accuracy"] for stage in stages]
    outcomes = [
        REPRODUCED if accuracy >= FITS else INCONCLUSIVE if start_cut_short(run) else CONTRADICTED
        for run, accuracy in zip(chosen, accuracies)
    ]
    reach = "start reaches" if len(chosen) == 1 else "starts reach"
    measured = (
        f"{len(chosen)} {reach} {min(accuracies):.2%} to {max(accuracies):.2%}, after "
        f"{min(s['epochs'] for s in stages)} to {max(s['epochs'] for s in stages)} epochs"
    )
    short = outcomes.count(INCONCLUSIVE)
    if short:
        measured += f", {short} cut short"
    return of_seeds(Finding(measured, worst(outcomes), chosen))


def b4(runs):
    chosen = starts(runs)
    if not chosen:
        return None
    above, shown, used = [], [], []
    groups = grouped(chosen, ("model", "dataset", "replicas"))
    for (model, dataset, copies), group in groups.items():
        stages = [run.result["pretraining"] for run in group]
        accuracies = [stage["test_accuracy"] for stage in stages]
        tested = min(run.result["test_examples"] for run in group)
        found = statistics.accuracy(accuracies, tested)
        chance = Estimate(1 / stages[0]["architecture"]["num_classes"], 0.0, float("inf"), "")
        above.append(statistics.difference(found, chance))
        shown.append(f"{model} on {dataset}, R={copies}: {found.text(100, '%')}")
        used += group

    def near(margin: float) -> str:
        return agreed([statistics.no_difference(each, margin) for each in above])

    finding = Finding(
        f"test accuracy of the starts {'; '.join(shown)}",
        near(CHANCE_MARGIN),
        used,
        above[0].method.rstrip("; "),
        statistics.sensitivity(near, CHANCE_MARGIN),
    )
    return of_seeds(finding)


CLAIMS = (
    Claim(
        "B3",
        "Vanilla SGD fits random labels to 99.99 % in at most 350 epochs.",
        "authors' code",
        "yes",
        b3,
        "Every start of three seeds or more at 99.99 %; one that had 350 epochs, or its own end "
        "before them, and is below contradicts.",
        everywhere=True,
    ),
    Claim(
        "B4",
        "The network fitted to random labels is at chance on the test set.",
        "Section 3",
        "chance",
        b4,
        "Within 1.5 points of chance, by an equivalence test over three seeds and the test images.",
        to_decide="Starts tested on some 20,000 images: three more trainings on random labels.",
    ),
)
