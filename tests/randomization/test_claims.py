"""Verdicts on made-up runs whose right verdict is plain to see."""

import pytest

from repro import papers
from repro.reporting import claims

CLAIMS = papers.claims("randomization")


@pytest.fixture
def run_of(made_up):
    """Make a run with these epoch losses and training accuracies."""

    def make(losses=(), accuracies=(), result=None, **settings):
        metrics = {"train/running_loss": losses} if losses else {"train/accuracy": accuracies}
        return made_up(result=result, metrics=metrics, **settings)

    return make


def judged(id_, *runs):
    finding = CLAIMS[id_].judge(runs)
    return finding and finding.verdict


def falling_at(epoch):
    """Return losses that reach 0.1 at an epoch."""
    return [1.0] * (epoch - 1) + [0.05]


def test_every_claim_of_the_issue_is_there():
    assert set(CLAIMS) == {f"R{number}" for number in [*range(1, 21), 27]}


@pytest.mark.parametrize("id_", CLAIMS)
def test_without_runs_nothing_is_claimed(id_):
    (record,) = claims.judge([CLAIMS[id_]], [], "cpu")
    assert (record["verdict"], record["measured"], record["runs"]) == ("not run", "", [])


@pytest.mark.parametrize(
    "epochs, verdict",
    [
        ((8, 13, 20, 21, 35), "reproduced"),
        ((8, 13, 20, 20, 35), "inconclusive"),  # a tie
        ((13, 8, 20, 21, 35), "contradicted"),
    ],
)
def test_order_of_learning_curves(epochs, verdict, run_of):
    kinds = ("none", "shuffled_pixels", "gaussian", "random_pixels", "random_labels")
    runs = [run_of(falling_at(e), corruption=kind) for kind, e in zip(kinds, epochs)]
    assert judged("R5", *runs) == verdict
    assert judged("R5", *runs[:-1]) is None


@pytest.mark.parametrize(
    "plateau, fit, steps, verdict",
    [
        (14, 22, 391, "reproduced"),  # the paper's own
        (10, 10, 391, "contradicted"),
        (14, 30, 391, "contradicted"),
        (10, 13, 40, "reproduced"),  # judged by its share on subsets
        (2, 13, 40, "contradicted"),
    ],
)
def test_plateau_of_random_labels(plateau, fit, steps, verdict, run_of):
    losses = [2.3] * plateau + [1.0] * fit + [0.01]
    result = {"epochs": len(losses), "steps": steps * len(losses)}
    run = run_of(losses, result=result, corruption="random_labels")
    assert judged("R6", run) == verdict


@pytest.mark.parametrize("accuracy, verdict", [(0.402, "reproduced"), (0.42, "contradicted")])
def test_ceiling_of_redrawn_labels(accuracy, verdict, run_of):
    run = run_of(
        corruption="partial_labels", corrupt_prob=2 / 3, redraw=True,
        result={"train_accuracy": accuracy},
    )
    assert judged("R8", run) == verdict


@pytest.mark.parametrize(
    "test, examples, verdict",
    [(0.80, 10_000, "reproduced"), (0.77, 1_000, "inconclusive"), (0.70, 10_000, "contradicted")],
)
def test_clean_accuracy_under_redrawn_labels(test, examples, verdict, run_of):
    """80 % at p = 0; a difference of 2 points is allowed, and two standard errors decide."""
    clean, noisy = (
        run_of(
            corruption="partial_labels", corrupt_prob=p, redraw=p > 0,
            result={"test_accuracy": accuracy, "test_examples": examples},
        )
        for p, accuracy in ((0.0, 0.8), (0.5, test))
    )
    assert judged("R9", clean, noisy) == verdict


@pytest.fixture
def label_noise(run_of):
    """Make runs of a network at p = 0, 0.5, 0.8, 1 that overfit after these epochs."""

    def make(model, epochs, **settings):
        return [
            run_of(
                accuracies=[0.5] * (epoch - 1) + [0.99], model=model, corrupt_prob=p,
                corruption="partial_labels", **settings,
            )
            for p, epoch in zip((0.0, 0.5, 0.8, 1.0), epochs)
        ]

    return make


def test_relative_time_to_overfit(label_noise):
    inception = label_noise("inception", (10, 25, 31, 36))
    alexnet = label_noise("alexnet", (31, 39, 44, 48))
    mlp = label_noise("mlp_1x512", (28, 50, 55, 55))
    assert judged("R10", *inception, *alexnet, *mlp) == "reproduced"
    assert judged("R10", *inception, *alexnet, *label_noise("mlp_1x512", (28, 29, 30, 31))) == (
        "contradicted"
    )
    assert judged("R11", *inception, *alexnet, *mlp) == "reproduced"
    falling = label_noise("mlp_1x512", (28, 20, 15, 10))
    assert judged("R11", *inception, *alexnet, *falling) == "inconclusive"


def test_networks_on_different_numbers_of_images_are_not_compared(label_noise):
    runs = [
        *label_noise("inception", (10, 25, 31, 36), result={"train_examples": 5_000}),
        *label_noise("alexnet", (31, 39, 44, 48)), *label_noise("mlp_1x512", (28, 50, 55, 55)),
    ]
    assert judged("R10", *runs) == "inconclusive"


@pytest.mark.parametrize(
    "accuracy, examples, verdict",
    [(0.105, 10_000, "reproduced"), (0.12, 500, "inconclusive"), (0.2, 10_000, "contradicted")],
)
def test_chance_is_judged_by_the_size_of_the_test_set(accuracy, examples, verdict, run_of):
    result = {"test_accuracy": accuracy, "test_examples": examples}
    assert judged("R4", run_of(corruption="random_labels", result=result)) == verdict


@pytest.mark.parametrize(
    "difference, verdict",
    [(0.05, "reproduced"), (0.002, "inconclusive"), (-0.05, "contradicted")],
)
def test_gain_of_batch_norm(difference, verdict, run_of):
    """Two test sets of 10,000 at 80 percent: the difference has a standard error of 0.57 points."""
    without = run_of(model="inception_no_bn", result={"test_accuracy": 0.8 - difference})
    assert judged("R15", run_of(), without) == verdict
    without.result["train_accuracy"] = 0.7  # cut short: its test accuracy says nothing yet
    assert judged("R15", run_of(), without) == "inconclusive"


@pytest.mark.parametrize(
    "alexnet, verdict",
    [(0.6, "reproduced"), (0.505, "inconclusive"), (0.8, "inconclusive"), (0.4, "inconclusive")],
)
def test_order_of_test_errors_needs_two_standard_errors(alexnet, verdict, run_of):
    """At 10,000 images the difference of two accuracies near 0.5 has an error of 0.7 points."""
    accuracies = {"mlp_1x512": 0.5, "alexnet": alexnet, "inception": 0.7}
    runs = [
        run_of(model=model, corruption="partial_labels", corrupt_prob=p,
                result={"test_accuracy_corrupted_labels": accuracy})
        for model, accuracy in accuracies.items() for p in (0.3, 0.6)
    ]
    assert judged("R13", *runs) == verdict
    for run in runs:  # the order turned around
        run.result["test_accuracy_corrupted_labels"] = (
            1 - run.result["test_accuracy_corrupted_labels"]
        )
    assert judged("R13", *runs) == ("contradicted" if alexnet == 0.6 else "inconclusive")


def test_parameters_of_some_networks_are_not_all(run_of):
    counts = {"inception": 1_649_402, "inception_no_bn": 1_649_402, "alexnet": 1_387_786,
              "mlp_3x512": 1_735_178, "mlp_1x512": 1_209_866}
    runs = [run_of(model=m, result={"parameters": c}) for m, c in counts.items()]
    assert judged("R1", *runs) == "reproduced"
    assert judged("R1", runs[0]) == "inconclusive"
    assert judged("R1", run_of(result={"parameters": 1_652_826})) == "contradicted"
