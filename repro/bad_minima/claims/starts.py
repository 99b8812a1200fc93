"""Claims of Liu et al. 2020 on pre-training, B3 and B4."""

from collections.abc import Sequence

from repro.bad_minima.measures import grouped, start_cut_short
from repro.reporting import statistics
from repro.reporting.claims import (
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    of_seeds,
    undecided,
    verdict,
)
from repro.reporting.results import Run, select
from repro.reporting.statistics import Estimate

CHANCE_MARGIN = 0.015


def starts(runs: Sequence[Run]) -> dict[str, Run]:
    """Return one run for each pre-trained start that could be fitted, by its directory."""
    return {
        run.result["pretraining"]["directory"]: run
        for run in select(runs, init="adversarial", initializer=None)
        if run.result.get("pretraining") and run.result["pretraining"]["ceiling"] == 1
    }


def b3(runs):
    chosen = list(starts(runs).values())
    if not chosen:
        return None
    stages = [run.result["pretraining"] for run in chosen]
    accuracies = [stage["train_accuracy"] for stage in stages]
    reach = "start reaches" if len(chosen) == 1 else "starts reach"
    measured = (
        f"{len(chosen)} {reach} {min(accuracies):.2%} to {max(accuracies):.2%}, after "
        f"{min(s['epochs'] for s in stages)} to {max(s['epochs'] for s in stages)} epochs"
    )
    finding = Finding(measured, verdict([a >= 0.9999 for a in accuracies]), chosen)
    if finding.verdict != REPRODUCED and all(map(start_cut_short, chosen)):
        finding = undecided(finding, "cut short")
    return of_seeds(finding)


def b4(runs):
    chosen = list(starts(runs).values())
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
