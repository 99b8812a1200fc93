"""What flat minima are good for, judged on made-up runs whose answers are known."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from made_up import judge, trained

from repro.stability import theory_figures
from repro.stability.claims.generalization import rank_correlation


@pytest.fixture
def make(tmp_path):
    return lambda *arguments, **changes: trained(tmp_path, *arguments, **changes)


def networks(tmp_path, slope, count=30, **changes):
    """SGD of three seeds and two rates, whose test accuracy falls, or rises, with log a."""
    noise = np.random.default_rng(0).normal(size=count)
    return [
        trained(
            tmp_path,
            (0.1, 0.5)[i % 2],
            10,
            np.exp(i / 10),
            2 * np.exp(i / 10),
            test_accuracy=0.8 + slope * i / 10 + 0.001 * noise[i],
            **{"seed": i % 3, **changes},
        )
        for i in range(count)
    ]


def test_error_of_a_rank_correlation():
    """Ranks of normal pairs correlated by 0.5 have 6/pi asin(0.25); the error is their spread."""
    rng = np.random.default_rng(1)
    pairs = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=(2000, 40))
    found = [rank_correlation(pair[:, 0], pair[:, 1]) for pair in pairs]
    assert np.tanh(np.mean([f.value for f in found])) == pytest.approx(
        6 / np.pi * np.arcsin(0.25), abs=0.02
    )
    assert np.mean([f.error for f in found]) == pytest.approx(
        np.std([f.value for f in found]), rel=0.1
    )


def test_flat_minima_that_test_better(tmp_path):
    assert judge("P15", networks(tmp_path, -0.01)) == "reproduced"
    assert judge("P15", networks(tmp_path, 0.01)) == "contradicted"
    assert judge("P15", networks(tmp_path, 0.0)) == "inconclusive"
    assert judge("P15", networks(tmp_path, -0.01, count=9)) is None
    assert judge("P15", networks(tmp_path, -0.01, seed=0)) == "inconclusive"  # one seed
    short = networks(tmp_path, 0.01, fitted=False, stop_loss=0.0)
    assert judge("P15", [*short, *networks(tmp_path, -0.01)]) == "reproduced"  # and no end


def arms(make, train, test, eta=0.5, seeds=5):
    """Seeds of GD and SGD: train accuracies around `train`, test accuracies around `test`."""
    spread = (-0.00002, 0.00002, 0.0, -0.00001, 0.00001)[:seeds]
    return [
        make(eta, batch, 1.0, 2.0, seed=seed, train_accuracy=fit + off, test_accuracy=tested + off)
        for batch, fit, tested in zip((1000, 10), train, test)
        for seed, off in enumerate(spread)
    ]


def test_gd_beside_sgd(make):
    assert judge("S4", arms(make, (0.998, 0.993), (0.8, 0.8))) == "reproduced"
    assert judge("S4", arms(make, (0.993, 0.998), (0.8, 0.8))) == "contradicted"
    assert judge("S4", arms(make, (0.998, 0.993), (0.8, 0.85))) == "contradicted"
    assert judge("S4", arms(make, (0.995, 0.995), (0.8, 0.8))) == "inconclusive"
    assert judge("S4", arms(make, (0.998, 0.993), (0.8, 0.8))[:5]) is None  # GD alone
    fair = arms(make, (0.998, 0.993), (0.8, 0.8))
    larger = make(0.5, 10, 1.0, 1.0, gain=1.5, train_accuracy=0.5, test_accuracy=0.1)
    assert judge("S4", [*fair, larger]) == "reproduced"  # other initial weights do not count
    few = arms(make, (0.998, 0.993), (0.8, 0.8), eta=1.0, seeds=2)
    assert judge("S4", [*fair, *few]) == "inconclusive"  # of one rate


@pytest.mark.parametrize(
    "shares, expected",
    [((0.5, 0.6, 0.7), "reproduced"), ((0.7, 0.6, 0.5), "contradicted"), ((0.5, 0.5, 0.7), None)],
)
def test_shares_of_the_bound(make, shares, expected):
    runs = []
    for batch, share in zip((4, 10, 25), shares):
        limit = np.sqrt(batch * 999 / (1000 - batch)) / 0.5
        for seed, off in enumerate((-0.01, 0.0, 0.01)):
            runs.append(make(0.5, batch, 1.0, (share + off) * limit, seed=seed))
    assert judge("S5", runs) == (expected or "inconclusive")
    assert judge("S5", runs[:3]) is None


def test_rectangles_of_theory(tmp_path):
    """For B = 1 and a rate of 0.2 a minimum is stable up to a = 10, s = 5 at most."""
    figure = theory_figures.theory([])
    corners = {line.get_label(): line.get_xydata()[1] for line in figure.axes[1].lines}
    np.testing.assert_allclose(corners["η = 0.2"], [10, 5])
    corners = {line.get_label(): line.get_xydata()[1] for line in figure.axes[0].lines}
    np.testing.assert_allclose(corners["B = 3"], [20, np.sqrt(3) / 0.1])
    plt.close(figure)


def test_every_network_is_a_point(tmp_path):
    runs = networks(tmp_path, -0.01)
    for draw in (theory_figures.accuracy, theory_figures.gd_sgd):
        figure = draw(runs)
        for axes in figure.axes[:2]:
            drawn = sum(len(points.get_offsets()) for points in axes.collections)
            drawn += sum(len(line.get_xdata()) for line in axes.lines)
            assert drawn == len(runs)
        plt.close(figure)
