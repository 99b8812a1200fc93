"""The toy of Liu et al. 2020: its points, its panels, its resume."""

import json

import numpy as np
import pytest

from repro.bad_minima import blobs, opening, planar, toy
from repro.bad_minima.settings import Toy

SETTINGS = Toy(
    per_class=10, pretrain_epochs=60, vanilla_epochs=40, fine_tune_epochs=30, sota_epochs=20
)


@pytest.fixture(scope="module")
def train(make):
    def run(run_dir):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(toy, "PIECE", 20)
            patched.setattr(toy, "GRID", (31, 21))
            return make(SETTINGS, run_dir)

    return run


@pytest.fixture(scope="module")
def complete(train, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("toy") / "run"
    return train(run_dir), run_dir


def test_points_are_the_papers():
    """50 a class around (0.85, 0.2) and (-0.45, 0.2), deviation 0.15; means within 4 sigma."""
    points, labels = blobs.two_blobs(50, 0)
    for label, centre in ((1, (0.85, 0.2)), (0, (-0.45, 0.2))):
        cloud = points[labels == label]
        assert len(cloud) == 50
        assert abs(cloud.mean(0) - centre).max() < 4 * 0.15 / 50**0.5
        assert abs(cloud.std(0) - 0.15).max() < 4 * 0.15 / 100**0.5
    test_points, _ = blobs.two_blobs(50, 0, test=True)
    assert (test_points != points).all()


def test_augmentation_triples_the_points():
    points, labels = blobs.two_blobs(50, 0)
    everything, theirs = blobs.with_jittered_copies(points, labels, 2, 0)
    assert everything.shape == (300, 2)
    np.testing.assert_array_equal(everything[:100], points)
    np.testing.assert_array_equal(theirs, np.tile(labels, 3))
    shifts = everything[100:] - np.tile(points, (2, 1))
    assert abs(shifts.std() - 0.1) < 4 * 0.1 / 800**0.5


def test_panels(complete):
    result, run_dir = complete
    arrays = np.load(run_dir / "arrays.npz")
    assert list(result["panels"]) == [
        "random_vanilla",
        "pretrained",
        "adversarial_vanilla",
        "adversarial_sota",
    ]
    grid = blobs.window_grid(31, 21)
    right = (grid[:, 0] > 0.2).reshape(21, 31)
    for name, panel in result["panels"].items():
        assert arrays[name].shape == (21, 31)
        off = ((arrays[name] > 0.5) != right).mean()
        assert panel["disagreement_with_line"] == pytest.approx(off)
    assert result["panels"]["random_vanilla"]["disagreement_with_random_vanilla"] == 0


def test_panels_train_for_their_epochs_in_order(complete):
    """60 epochs in pieces of 20 are three rows, 30 are two."""
    rows = [json.loads(line) for line in (complete[1] / "metrics.jsonl").read_text().splitlines()]
    trained = [(next(k for k in row if "/" in k).split("/")[0], row["step"]) for row in rows]
    assert trained == [
        ("random_vanilla", 20),
        ("random_vanilla", 40),
        ("pretrained", 20),
        ("pretrained", 40),
        ("pretrained", 60),
        ("adversarial_vanilla", 20),
        ("adversarial_vanilla", 30),
        ("adversarial_sota", 20),
    ]


def test_vanilla_learns_the_blobs(complete):
    """Apart by 8.7 deviations: any network that learns is right everywhere."""
    result, _ = complete
    assert result["panels"]["random_vanilla"]["test_accuracy"] == 1


def test_the_maps_are_of_the_networks(complete):
    """The left edge of the window, seen by the network that the run left."""
    _, run_dir = complete
    state = toy.read_state(run_dir, "adversarial_sota")
    found = planar.probabilities(state, np.array([[-1.25, -0.75]], np.float32))
    drawn = np.load(run_dir / "arrays.npz")["adversarial_sota"][0, 0]
    np.testing.assert_allclose(drawn, found[0], rtol=1e-5)  # float32, one point or many at a time


@pytest.mark.parametrize("piece", [1, 4, 6])
def test_in_parts_equals_in_full(complete, train, killed, tmp_path, piece):
    result, run_dir = complete
    with killed(piece):
        train(tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()
    assert train(tmp_path / "run") == result
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == (
        run_dir / "metrics.jsonl"
    ).read_text()
    one, other = np.load(run_dir / "arrays.npz"), np.load(tmp_path / "run" / "arrays.npz")
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_the_record(complete):
    result, run_dir = complete
    assert result == json.loads((run_dir / "result.json").read_text())
    assert "20 points, 60 epochs on random labels" in result["protocol"]


def test_the_bad_minimum_can_be_opened(complete):
    """The Keras network draws the figure's map, and its loss is the logistic one."""
    _, run_dir = complete
    trained = opening.open_run(run_dir)
    grid = blobs.window_grid(31, 21)
    logits = trained.network(grid).numpy()
    drawn = np.load(run_dir / "arrays.npz")["adversarial_vanilla"].ravel()
    np.testing.assert_allclose(1 / (1 + np.exp(-logits[:, 0])), drawn, rtol=1e-4)
    points, labels = trained.data
    z = trained.network(points).numpy()[:, 0].astype(np.float64)
    expected = np.log1p(np.exp(np.where(labels > 0.5, -z, z)))
    found = trained.loss(labels, trained.network(points))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_batches_must_divide_the_points():
    with pytest.raises(ValueError, match="--per_class=7 must be a multiple of 5"):
        Toy(per_class=7).check()
