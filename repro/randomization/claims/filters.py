"""Claims of Zhang et al. 2017 on random convolutional features, of Table 3: R33 and R34."""

import dataclasses
from collections.abc import Sequence

from repro.randomization.measures import kernel_error
from repro.reporting import statistics
from repro.reporting.claims import Claim, Finding, undecided
from repro.reporting.results import Run, select

PAPERS = (50_000, 32_000)  # training images, filters
PUBLISHED = (0.17, 0.02)  # R33: test error, tolerance


def r33(runs):
    chosen = _best(runs, penalised=False)
    if not chosen:
        return None
    error = kernel_error(chosen)
    off = dataclasses.replace(error, value=error.value - PUBLISHED[0])

    def judged(margin: float) -> str:
        return statistics.no_difference(off, margin)

    finding = Finding(
        f"{error.text(100, '%')}{_sizes(chosen)}",
        judged(PUBLISHED[1]),
        [chosen],
        error.method,
        statistics.sensitivity(judged, PUBLISHED[1]),
    )
    return undecided(finding, _part(chosen))


def r34(runs):
    plain, penalised = (_best(runs, each) for each in (False, True))
    if not plain or not penalised or _size(plain) != _size(penalised):
        return None
    errors = kernel_error(plain), kernel_error(penalised)
    lower = statistics.difference(*errors)
    without, with_l2 = (error.text(100, "%") for error in errors)
    penalty = f"an l2 term of {penalised.settings['weight_decay']:g}"
    measured = f"{without} without and {with_l2} with {penalty}{_sizes(plain)}"
    method = f"{lower.method}, taken as independent"
    finding = Finding(measured, statistics.above(lower, 0), [plain, penalised], method)
    return undecided(finding, _part(plain))


def _best(runs: Sequence[Run], penalised: bool) -> Run | None:
    """Return the run on most images and filters, of several penalties that of the least error."""
    chosen = [
        run
        for run in select(
            runs, stage="kernel", dataset="cifar10", features="filters", corruption="none"
        )
        if run.settings["kernel"] == "linear" and (run.settings["weight_decay"] > 0) == penalised
    ]
    most = max(map(_size, chosen), default=None)
    largest = [run for run in chosen if _size(run) == most]
    return min(largest, key=lambda run: run.result["test_error"], default=None)


def _size(run: Run) -> tuple[int, int]:
    return run.result["train_examples"], run.settings["filters"]


def _sizes(run: Run) -> str:
    return " on {:,} images with {:,} filters".format(*_size(run))


def _part(run: Run) -> str:
    """Say that the paper had more of both; empty where it had not."""
    if all(ours >= theirs for ours, theirs in zip(_size(run), PAPERS)):
        return ""
    return "the paper has {:,} and {:,}".format(*PAPERS)


CLAIMS = (
    Claim(
        "R33",
        "A linear model on random convolutional filters interpolates CIFAR-10 with less error.",
        "Table 3",
        "17 % on 50,000 images with 32,000 filters",
        r33,
        "On 50,000 images with 32,000 filters an error of 17 % within 2 points, by an equivalence "
        "test; fewer of either decide nothing.",
        to_decide="All images and filters: `randomization/kernels` at scale paper.",
        scale="paper",
    ),
    Claim(
        "R34",
        "On random filters an l2 term lowers the error.",
        "Table 3",
        "17 to 15 %",
        r34,
        "On 50,000 images with 32,000 filters the error with the best of the l2 terms is lower, "
        "beyond the 95 % interval of two test sets; fewer of either decide nothing.",
        to_decide="All images and filters: `randomization/kernels` at scale paper.",
        scale="paper",
    ),
)
