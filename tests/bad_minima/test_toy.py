"""The toy of Liu et al. 2020: its points, its panels, its resume."""

import contextlib
import inspect
import json

import numpy as np
import pytest

from repro import common_flags
from repro.bad_minima import toy as toy_minima
from repro.bad_minima import blobs
from repro.bad_minima import planar
from repro.training.runs import RunDirectory

SETTINGS = {
    "per_class": 10, "pretrain_epochs": 60, "vanilla_epochs": 40, "fine_tune_epochs": 30,
    "sota_epochs": 20, "seed": 0, "checkpoint_every": 1, "output_dir": "outputs",
    "wandb_project": None, "profile_dir": None,
}  # fmt: skip


class KilledError(BaseException):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def train():
    def run(run_dir, **changes):
        values = {**SETTINGS, **changes, "run_dir": str(run_dir)}
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(toy_minima, "PIECE", 20)
            patched.setattr(toy_minima, "GRID", (31, 21))
            return common_flags.run_binary(
                toy_minima.MODULE, values, {}, toy_minima.TUNED, "name", toy_minima.run
            )

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
    assert set(result["panels"]) == {
        "random_vanilla", "pretrained", "adversarial_vanilla", "adversarial_sota"
    }  # fmt: skip
    grid = blobs.window_grid(31, 21)
    right = (grid[:, 0] > 0.2).reshape(21, 31)
    for name, panel in result["panels"].items():
        assert arrays[name].shape == (21, 31)
        off = ((arrays[name] > 0.5) != right).mean()
        assert panel["disagreement_with_line"] == pytest.approx(off)
    assert result["panels"]["random_vanilla"]["disagreement_with_random_vanilla"] == 0


def test_vanilla_learns_the_blobs(complete):
    """Apart by 8.7 deviations: any network that learns is right everywhere."""
    result, _ = complete
    assert result["panels"]["random_vanilla"]["test_accuracy"] == 1


def test_the_maps_are_of_the_networks(complete):
    """The left edge of the window, seen by the network that the checkpoint holds."""
    _, run_dir = complete
    from repro.training import snapshots

    state = planar.weights_of(snapshots.load(run_dir / "checkpoints"), "adversarial_sota")
    found = planar.probabilities(state, np.array([[-1.25, -0.75]], np.float32))
    drawn = np.load(run_dir / "arrays.npz")["adversarial_sota"][0, 0]
    np.testing.assert_allclose(drawn, found[0], rtol=1e-5)  # float32, one point or many at a time


@pytest.mark.parametrize("piece", [1, 4, 6])
def test_in_parts_equals_in_full(complete, train, tmp_path, piece):
    result, run_dir = complete
    log = RunDirectory.log

    def log_and_die(directory, row):
        log(directory, row)
        if row["epoch"] == piece:
            raise KilledError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RunDirectory, "log", log_and_die)
        with contextlib.suppress(KilledError):
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


def test_run_takes_every_setting():
    settings = set(common_flags.settings({**SETTINGS, "run_dir": None}))
    supplied = {"run_directory", "environment", "checkpoint_every"}
    assert set(inspect.signature(toy_minima.run).parameters) == settings | supplied
