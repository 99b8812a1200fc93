"""Verdicts on made-up runs of Theorem 1 and of kernels, whose right verdict is plain to see."""

import pytest

from repro import papers

CLAIMS = papers.claims("randomization")


def judged(id_, *runs):
    finding = CLAIMS[id_].judge(runs)
    return finding and finding.verdict


@pytest.fixture
def network(made_up):
    """Make a run of Theorem 1 with a largest error, a number of weights, proved or not.

    A deep one has a width and connections as well.
    """

    def make(error=1e-9, weights=2100, certified=False, layers=1, **deep):
        result = {
            "train_examples": 1000,
            "dimension": 100,
            "weights": weights,
            "max_error": error,
            "certified": certified,
            **deep,
        }
        return made_up(stage="theorem1", result=result, layers=layers)

    return make


@pytest.fixture
def kernel(made_up):
    """Make a run of a kernel: kernel(n, test error, result={...}, **settings)."""

    def make(n=1000, error=0.5, result=None, **settings):
        return made_up(
            stage="kernel",
            result={
                "train_examples": n,
                "test_error": error,
                "test_accuracy": 1 - error,
                "test_examples": 10_000,
                "train_errors": 0,
                "unavoidable_errors": 0,
                "largest_residual": 1e-9,
                "rkhs_norm": 20.0,
                **(result or {}),
            },
            **{"train_examples": n, **settings},
        )

    return make


@pytest.mark.parametrize(
    "changes, verdict",
    [
        ({}, "reproduced"),
        ({"certified": True, "error": 1e-60}, "reproduced"),
        ({"error": 1e-5}, "inconclusive"),  # beside one that fits
        ({"weights": 2101}, "inconclusive"),
    ],
)
def test_theorem_1_fits_with_2n_plus_d_weights(network, changes, verdict):
    assert judged("R21", network(), network(**changes)) == verdict
    alone = verdict if verdict == "reproduced" else "contradicted"
    assert judged("R21", network(**changes)) == alone


@pytest.mark.parametrize(
    "width, connections, verdict",
    [
        (205, 6680, "reproduced"),  # 2 * 1000 / 10 + 5 units, 6 * (1000 + 100) + 8 * 10 weights
        (206, 6680, "contradicted"),
        (205, 6681, "contradicted"),
    ],
)
def test_deep_networks_are_judged_by_their_own_width_and_weights(
    network, width, connections, verdict
):
    deep = network(layers=10, width=width, connections=connections)
    assert judged("R21", deep) == verdict
    finding = CLAIMS["R21"].judge([network(), deep])
    assert finding.verdict == ("reproduced" if verdict == "reproduced" else "inconclusive")
    assert "in 1 of 1 networks" in finding.measured
    assert f"10 layers for n = 1,000: width {width}, {connections:,} weights" in finding.measured


@pytest.mark.parametrize(
    "distance, residual, verdict",
    [
        (1e-4, 1e-9, "reproduced"),
        (0.3, 1e-9, "contradicted"),  # it fits and is elsewhere
        (0.3, 0.1, "inconclusive"),  # it has not come to an end
    ],
)
def test_gradient_descent_ends_at_the_shortest_solution(kernel, distance, residual, verdict):
    result = {
        "descent_from_zero": distance,
        "descent_residual_from_zero": residual,
        "descent_from_random": 0.9,
        "gradient_steps": 100,
    }
    run = kernel(kernel="linear", gradient_steps=100, result=result)
    assert judged("R22", run) == verdict
    assert judged("R22", kernel()) is None


@pytest.mark.parametrize(
    "id_, dataset, n, error, verdict",
    [
        ("R23", "mnist", 60_000, 0.0121, "reproduced"),
        ("R23", "mnist", 60_000, 0.0200, "contradicted"),
        ("R23", "mnist", 10_000, 0.0250, "inconclusive"),
        ("R23", "mnist", 10_000, 0.0050, "contradicted"),  # too good for a part of the images
        ("R24", "cifar10", 50_000, 0.465, "reproduced"),
        ("R24", "cifar10", 50_000, 0.40, "contradicted"),
        ("R24", "cifar10", 20_000, 0.50, "inconclusive"),
    ],
)
def test_published_errors_are_of_all_images(kernel, id_, dataset, n, error, verdict):
    assert judged(id_, kernel(n, error, dataset=dataset)) == verdict
    assert judged(id_, kernel(n, error, dataset="fashion_mnist")) is None
    assert judged(id_, kernel(n, error, dataset=dataset, corruption="random_labels")) is None


def test_an_extrapolation_is_named_as_such(kernel):
    """Of 6 n^-0.3 the value at 50,000 is 23.4 %; the better of two widths is judged."""
    runs = [kernel(n, 6 * n**-0.3, gamma=0.005) for n in (4000, 1000, 2000)]
    finding = CLAIMS["R24"].judge([*runs, kernel(4000, 0.9)])
    assert "49.83 ± 0.98 % on 4,000 images (gamma 0.005)" in finding.measured
    assert "23.4% there by extrapolation of a power law, which proves nothing" in finding.measured
    assert finding.verdict == "inconclusive"


@pytest.mark.parametrize(
    "errors, unavoidable, verdict",
    [(0, 0, "reproduced"), (2, 2, "reproduced"), (3, 2, "contradicted")],
)
def test_random_labels_are_taken(kernel, errors, unavoidable, verdict):
    result = {"train_errors": errors, "unavoidable_errors": unavoidable}
    assert judged("R25", kernel(corruption="random_labels", result=result)) == verdict
    assert judged("R25", kernel(result=result)) is None


@pytest.mark.parametrize(
    "norm, error, verdict",
    [
        (39.0, 0.4, "reproduced"),
        (39.0, 0.499, "inconclusive"),
        (39.0, 0.6, "contradicted"),
        (10.0, 0.4, "contradicted"),
    ],
)
def test_a_higher_norm_and_a_lower_error(kernel, norm, error, verdict):
    """Norms of 20 and an error of 50 % on pixels; two errors of 10,000 images are 1.4 points."""
    other = kernel(error=error, features="gabor", result={"rkhs_norm": norm})
    assert judged("R26", kernel(), other) == verdict
    assert judged("R26", kernel(2000), other) is None  # other images
    assert judged("R26", kernel(gamma=0.1), other) is None  # another kernel
    better = kernel(error=0.3, features="filters", filters=9, result={"rkhs_norm": 30.0})
    assert judged("R26", kernel(), other, better) == "reproduced"  # one is enough


# --- random filters -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "n, filters, error, verdict",
    [
        (50_000, 32_000, 0.172, "reproduced"),
        (50_000, 32_000, 0.25, "contradicted"),
        (50_000, 2_000, 0.172, "inconclusive"),
        (5_000, 32_000, 0.25, "inconclusive"),
    ],
)
def test_errors_on_filters_are_of_all_images_and_filters(kernel, n, filters, error, verdict):
    """Of two runs the one on more images counts; a penalty is another row of the table."""
    of_filters = {"kernel": "linear", "features": "filters", "dataset": "cifar10"}
    run = kernel(n, error, filters=filters, **of_filters)
    assert judged("R33", run) == verdict
    assert judged("R33", run, kernel(1000, 0.172, filters=filters, **of_filters)) == verdict
    assert judged("R33", kernel(n, error, filters=filters, **of_filters, weight_decay=1.0)) is None
    assert judged("R33", kernel(n, error, dataset="cifar10")) is None  # of pixels


@pytest.mark.parametrize(
    "errors, n, verdict",
    [
        ((0.17, 0.15), 50_000, "reproduced"),
        ((0.17, 0.168), 50_000, "inconclusive"),
        ((0.15, 0.17), 50_000, "contradicted"),
        ((0.17, 0.15), 5_000, "inconclusive"),
    ],
)
def test_a_penalty_on_filters(kernel, errors, n, verdict):
    """Of 10,000 test images; of two penalties the better one counts."""
    of_filters = {"kernel": "linear", "features": "filters", "dataset": "cifar10", "filters": 32000}
    plain, best = (
        kernel(n, error, weight_decay=decay, **of_filters)
        for error, decay in zip(errors, (0.0, 1e-3))
    )
    worse = kernel(n, 0.5, weight_decay=1.0, **of_filters)
    assert judged("R34", plain, best, worse) == verdict
    assert judged("R34", best) is None
    assert judged("R34", plain, kernel(n // 2, 0.1, weight_decay=1e-3, **of_filters)) is None
