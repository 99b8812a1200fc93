"""Verdicts on made-up runs whose right verdict is plain to see."""

import pytest

from repro import papers
from repro.randomization import measures
from repro.reporting import claims
from repro.tools import verdicts

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


def test_every_claim_is_there():
    assert set(CLAIMS) == {f"R{number}" for number in range(1, 35)}


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
    for run in runs:  # the same on a part of the images: an epoch is another unit
        run.result.update(steps=40 * run.result["epochs"], train_examples=5_000)
    finding = CLAIMS["R5"].judge(runs)
    assert finding.verdict == "inconclusive" and "5,000 of 50,000" in finding.measured


@pytest.mark.parametrize(
    "plateau, fit, steps, verdict",
    [
        (14, 22, 391, "reproduced"),  # the paper's own
        (10, 10, 391, "contradicted"),
        (14, 30, 391, "contradicted"),
        (14, 22, 40, "inconclusive"),  # on a part of the images, whichever way it points
        (2, 30, 40, "inconclusive"),
    ],
)
def test_plateau_of_random_labels(plateau, fit, steps, verdict, run_of):
    losses = [2.3] * plateau + [1.0] * fit + [0.01]
    result = {"epochs": len(losses), "steps": steps * len(losses)}
    run = run_of(losses, result=result, corruption="random_labels")
    assert judged("R6", run) == verdict


@pytest.mark.parametrize(
    "accuracy, verdict",
    [
        (0.402, "reproduced"),
        (0.37, "reproduced"),
        (0.36, "inconclusive"),
        (0.34, "contradicted"),
        (0.46, "contradicted"),
    ],
)
def test_ends_near_the_ceiling_of_redrawn_labels(accuracy, verdict, run_of):
    """The ceiling is 40 %, and 4 points are allowed; 50,000 images leave an error of 0.2."""
    run = run_of(
        corruption="partial_labels",
        corrupt_prob=2 / 3,
        redraw=True,
        result={"train_accuracy": accuracy},
    )
    assert judged("R8", run) == verdict
    chance = run_of(corruption="random_labels", redraw=True, result={"train_accuracy": 0.1})
    assert judged("R8", run, chance) == verdict  # which all meet at p = 1
    run.settings["model"] = "mlp_1x512"  # the rerun's numbers are those of Inception
    assert judged("R8", run) == "inconclusive"
    run.settings["model"] = "inception"
    run.result["epochs"] = 30  # fewer than the rerun's 40
    assert judged("R8", run) == "inconclusive"


def test_random_labels_that_are_not_fitted_yet(run_of):
    """After the paper's 64 epochs this contradicts, before them it says nothing."""
    for epochs, verdict in ((64, "contradicted"), (50, "inconclusive")):
        result = {"train_accuracy": 0.6, "epochs": epochs, "steps": 391 * epochs}
        assert judged("R3", run_of(corruption="random_labels", result=result)) == verdict
    assert judged("R3", run_of(corruption="random_labels")) == "reproduced"
    for epochs, verdict in ((64, "contradicted"), (20, "inconclusive")):  # 99 % are not all
        result = {"train_accuracy": 0.995, "epochs": epochs, "steps": 391 * epochs}
        assert judged("R3", run_of(corruption="random_labels", result=result)) == verdict


def first_epochs(run_of, *losses):
    kinds = (
        {"corruption": "gaussian", "gaussian_moments": "dataset"},
        {"corruption": "gaussian", "gaussian_moments": "image", "redraw": True},
        {"corruption": "random_pixels", "permute": "entries"},
        {"corruption": "random_pixels", "permute": "positions", "redraw": True},
    )
    return [
        run_of([loss], result={"epochs": 1, "steps": 391}, **kind)
        for kind, loss in zip(kinds, losses)
    ]


def test_losses_after_one_epoch(run_of):
    right = first_epochs(run_of, 2.30, 2.10, 2.31, 2.02)
    assert judged("R7", *right) == "reproduced"
    assert judged("R7", *right[:2]) == "inconclusive"  # a part
    assert judged("R7", *first_epochs(run_of, 2.30, 2.10, 2.31, 2.31)) == "inconclusive"
    assert judged("R7", *first_epochs(run_of, 2.0, 2.3, 2.0, 2.3)) == "contradicted"
    first = {"corruption": "gaussian", "result": {"epochs": 1, "steps": 391}}
    for change in ({"dataset": "cifar100"}, {"learning_rate": 0.01}, {"augment": ("crop",)}):
        assert judged("R7", run_of([1.0], **first, **change), *right) == "reproduced"
    late = run_of([1.0], **first)
    late.metrics[0]["epoch"] = 5  # of a run that is measured every five epochs
    assert judged("R7", late, *right) == "reproduced"
    for run in right:
        run.result["steps"] = 40
    assert judged("R7", *right) is None


@pytest.mark.parametrize(
    "test, examples, verdict",
    [(0.80, 10_000, "reproduced"), (0.77, 1_000, "inconclusive"), (0.70, 10_000, "contradicted")],
)
def test_clean_accuracy_under_redrawn_labels(test, examples, verdict, run_of):
    """80 % at p = 0; a difference of 2 points is allowed, and two standard errors decide."""
    clean, noisy = (
        run_of(
            corruption="partial_labels",
            corrupt_prob=p,
            redraw=p > 0,
            result={"test_accuracy": accuracy, "test_examples": examples},
        )
        for p, accuracy in ((0.0, 0.8), (0.5, test))
    )
    noise = run_of(corruption="gaussian", result={"test_accuracy": 0.1})
    assert judged("R9", noise, clean, noisy) == verdict
    assert judged("R9", noise, noisy) is None  # true labels of noise are not the clean ones


@pytest.fixture
def label_noise(run_of):
    """Make runs of a network at p = 0, 0.5, 0.8, 1 that overfit after these epochs."""

    def make(model, epochs, **settings):
        return [
            run_of(
                accuracies=[0.5] * (epoch - 1) + [0.99],
                model=model,
                corrupt_prob=p,
                corruption="partial_labels",
                **settings,
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
        *label_noise("alexnet", (31, 39, 44, 48)),
        *label_noise("mlp_1x512", (28, 50, 55, 55)),
    ]
    assert judged("R10", *runs) == "inconclusive"


@pytest.mark.parametrize(
    "accuracy, examples, verdict",
    [
        (0.103, 10_000, "reproduced"),
        (0.1, 1_000, "inconclusive"),
        (0.109, 10_000, "inconclusive"),
        (0.12, 500, "inconclusive"),
        (0.2, 10_000, "contradicted"),
    ],
)
def test_chance_is_judged_by_the_size_of_the_test_set(accuracy, examples, verdict, run_of):
    """A point either way is allowed, and shown: 1,000 images, with an error of 1, cannot."""
    result = {"test_accuracy": accuracy, "test_examples": examples}
    run = run_of(corruption="random_labels", result=result)
    assert judged("R4", run) == judged("R12", run) == verdict
    run.result["train_accuracy"] = 0.7  # cut short
    assert judged("R4", run) == judged("R12", run) == "inconclusive"


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
def test_order_of_test_errors_needs_more_than_the_interval(alexnet, verdict, run_of):
    """At 10,000 images the difference of two accuracies near 0.5 has an error of 0.7 points."""
    accuracies = {"mlp_1x512": 0.5, "alexnet": alexnet, "inception": 0.7}
    runs = [
        run_of(
            model=model,
            corruption="partial_labels",
            corrupt_prob=p,
            result={"test_accuracy_corrupted_labels": accuracy},
        )
        for model, accuracy in accuracies.items()
        for p in (0.3, 0.6)
    ]
    assert judged("R13", *runs) == verdict
    for run in runs:  # the order turned around
        run.result["test_accuracy_corrupted_labels"] = (
            1 - run.result["test_accuracy_corrupted_labels"]
        )
    assert judged("R13", *runs) == ("contradicted" if alexnet == 0.6 else "inconclusive")
    for run in runs:  # the MLP alone on all images
        if run.settings["model"] != "mlp_1x512":
            run.result["train_examples"] = 5_000
    assert judged("R13", *runs) == "inconclusive"


def test_networks_are_compared_on_the_largest_number_of_images_all_three_saw(label_noise):
    few = {"train_examples": 5_000}
    runs = [
        *label_noise("inception", (10, 25, 31, 36), result=few),
        *label_noise("alexnet", (31, 39, 44, 48), result=few),
        *label_noise("mlp_1x512", (28, 50, 55, 55), result=few),
    ]
    assert judged("R10", *runs) == "reproduced"
    others = label_noise("mlp_1x512", (28, 28, 28, 28))  # on all images
    assert judged("R10", *others, *runs) == "reproduced"
    near = label_noise("mlp_1x512", (28, 40, 44, 45), result=few)  # 1.61 against AlexNet's 1.55
    assert judged("R10", *runs[:8], *near) == "inconclusive"  # an epoch would change it


@pytest.mark.parametrize(
    "off, verdict",
    [(0.005, "reproduced"), (0.02, "inconclusive"), (0.06, "contradicted")],
)
def test_accuracies_of_table_1(off, verdict, run_of):
    published = {
        "inception": 85.75,
        "inception_no_bn": 82.00,
        "alexnet": 76.07,
        "mlp_3x512": 52.39,
        "mlp_1x512": 50.51,
    }
    runs = [run_of(model=m, result={"test_accuracy": p / 100 + off}) for m, p in published.items()]
    assert judged("R14", *runs) == verdict
    assert judged("R14", *runs[1:]) == "inconclusive"  # four of five


@pytest.mark.parametrize("spread, verdict", [(0.01, "reproduced"), (0.2, "inconclusive")])
def test_which_labels_figure_1c_counts_errors_on(spread, verdict, run_of):
    """Errors on corrupted labels are the published but for `spread`, clean ones 10 points off."""
    published = measures.published("fig1bc")
    errors = dict(zip(published["p"], published["MLP1x512_test_error"]))
    runs = [
        run_of(
            model="mlp_1x512",
            corruption="partial_labels",
            corrupt_prob=p,
            result={
                "test_accuracy_corrupted_labels": 1 - errors[p] - spread * sign,
                "test_accuracy": 1 - errors[p] + 0.1,
            },
        )
        for p, sign in ((0.1, 0), (0.3, 1), (0.6, 0), (0.8, 1))
    ]
    assert judged("R16", *runs) == verdict
    for run in runs:
        result = run.result
        result["test_accuracy"], result["test_accuracy_corrupted_labels"] = (
            result["test_accuracy_corrupted_labels"],
            result["test_accuracy"],
        )
    assert judged("R16", *runs) == ("contradicted" if verdict == "reproduced" else verdict)


@pytest.mark.parametrize(
    "best, verdict", [(0.805, "reproduced"), (0.82, "inconclusive"), (0.85, "contradicted")]
)
def test_gain_of_early_stopping(best, verdict, made_up):
    run = made_up(model="inception", metrics={"test/accuracy": [0.5, best, 0.8]})
    assert judged("R20", run) == verdict
    run.result["train_accuracy"] = 0.7
    assert judged("R20", run) == "inconclusive"


@pytest.mark.parametrize(
    "epochs, accuracy, verdict",
    [
        (50, 0.995, "reproduced"),
        (50, 0.1, "inconclusive"),
        (64, 0.1, "contradicted"),
        (64, 0.7, "inconclusive"),
    ],
)
def test_training_without_batch_norm(epochs, accuracy, verdict, run_of):
    result = {"epochs": epochs, "train_accuracy": accuracy}
    run = run_of(model="inception_no_bn", result=result)
    assert judged("R17", run) == verdict
    ended = {"status": "diverged", "epochs": 3, "train_accuracy": 0.1}
    other = run_of(model="inception_no_bn", seed=1, result=ended)
    assert judged("R17", run, other) == verdict  # one that trains is enough
    finding = CLAIMS["R17"].judge([other])
    assert finding.verdict == "contradicted" and "diverged in epoch 3" in finding.measured


def test_claims_see_what_diverged_where_they_ask_for_it(run_of):
    """The figures of this paper leave such runs out, and so do its other claims."""
    ended = {"status": "diverged", "epochs": 3, "train_accuracy": None, "test_accuracy": None}
    runs = [run_of(model="inception_no_bn", result=ended)]
    record = verdicts.record("randomization/fig2b", "", ["R15", "R17"], "cpu", runs, runs)
    assert [claim["verdict"] for claim in record["claims"]] == ["not run", "contradicted"]
    assert record["runs"] == 0 and verdicts.counted("randomization", runs) == []


@pytest.mark.parametrize(
    "fits, verdict",
    [
        ({}, "reproduced"),
        ({"alexnet": 1.0}, "inconclusive"),
        ({"alexnet": 1.0, "inception": 0.5, "mlp_3x512": 0.5, "mlp_1x512": 0.5}, "contradicted"),
    ],
)
def test_weight_decay_against_random_labels(fits, verdict, run_of):
    ends = {"inception": 1.0, "alexnet": 0.5, "mlp_3x512": 1.0, "mlp_1x512": 0.99} | fits
    runs = [
        run_of(
            model=model,
            corruption="random_labels",
            weight_decay=5e-4,
            result={"train_accuracy": accuracy, "epochs": 100},
        )
        for model, accuracy in ends.items()
    ]
    assert judged("R19", *runs) == verdict
    assert judged("R19", *runs[1:]) == "inconclusive"  # three of four
    for run in runs:
        run.result["epochs"] = 20  # what fits not may fit yet
    assert judged("R19", *runs) == "inconclusive"


def test_parameters_of_some_networks_are_not_all(run_of):
    counts = {
        "inception": 1_649_402,
        "inception_no_bn": 1_649_402,
        "alexnet": 1_387_786,
        "mlp_3x512": 1_735_178,
        "mlp_1x512": 1_209_866,
    }
    runs = [run_of(model=m, result={"parameters": c}) for m, c in counts.items()]
    assert judged("R1", *runs) == "reproduced"
    assert judged("R1", runs[0]) == "inconclusive"
    wrong = run_of(model="alexnet", result={"parameters": 796_490})
    assert judged("R1", *runs, wrong) == "contradicted"  # one is enough
    assert judged("R1", run_of(result={"parameters": 1_652_826})) == "contradicted"
    gray = run_of(model="mlp_1x512", dataset="fashion_mnist", result={"parameters": 407_050})
    assert judged("R1", *runs, gray) == "reproduced"  # whose images have other shapes
