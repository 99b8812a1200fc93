"""Planes, slices, studies and offshoots on made-up points, with a network that is tiny."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro import curvature
from repro.landscape import directions, points
from repro.mode_connectivity import (
    endpoint,
    ensemble,
    experiment,
    kept,
    measuring,
    names,
    networks,
    planes,
    slices,
)
from repro.mode_connectivity.settings import Curve
from repro.settings import as_dict
from repro.training import step
from repro.training.runs import Job, RunDirectory


@dataclasses.dataclass(frozen=True)
class Made:
    """A made-up run."""

    path: Path


@pytest.fixture
def network(monkeypatch):
    """A tiny network with batch norm, which every stage here works with."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.AveragePooling2D(8)(inputs)
    x = keras.layers.Conv2D(4, 3, name="conv")(x)
    x = keras.layers.BatchNormalization(synchronized=True, momentum=0.9, name="norm")(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    tiny = keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))
    for room in (ensemble, planes, slices):
        monkeypatch.setattr(room, "build_network", lambda *_, **__: tiny)
    return tiny


@pytest.fixture
def settled(asked):
    """Return quick settings, settled."""
    return lambda stage, **changes: asked(stage, **changes).settled()


@pytest.fixture
def data(settled):
    return networks.prepare_data(settled("plane"), None, False)


@pytest.fixture
def job(tmp_path):
    """Return a job in a directory of its own, of these settings."""
    opened = []

    def make(settings, need=None):
        directory = RunDirectory(tmp_path / f"run{len(opened)}", as_dict(settings))
        opened.append(directory)
        return Job(
            directory=directory, strategy=tf.distribute.get_strategy(), download=False, need=need
        )

    yield make
    for directory in opened:
        directory.close()


@pytest.fixture
def stage(settled, job, made_up):
    """Call a stage on made-up runs: points and arrays instead of training."""

    def call(name, need=made_up, **changes):
        settings = settled(name, **changes)
        work = job(settings, need)
        result = experiment.run(settings, work)
        with np.load(work.directory.path / "arrays.npz") as arrays:
            return result, dict(arrays)

    return call


@pytest.fixture
def made_up(network, tmp_path):
    """need(settings) -> a run with random weights; those of a point are always the same."""
    shapes, seen = [w.shape for w in points.get(network)], {}

    def point(key):
        rng = np.random.default_rng(sum(map(ord, key)))
        return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]

    def need(settings):
        if settings in seen:
            return seen[settings]
        run = seen[settings] = Made(tmp_path / f"{settings.stage}{len(seen)}")
        checkpoints = run.path / "checkpoints"
        if settings.stage == "endpoint":
            for epoch in names.kept_epochs(settings.mode):
                file = kept.iterate_file(checkpoints, epoch)
                kept.save_point(file, point(f"{settings.mode}@{epoch}"))
            return run
        ends = [end if "@" in end else f"{end}@200" for end in (settings.from_, settings.to)]
        if settings.stage == "curve":
            for k, key in enumerate((ends[0], f"bend {ends}", ends[1])):
                kept.save_point(kept.node_file(checkpoints, 80, k), point(key))
        else:
            run.path.mkdir()
            rise = ord(settings.to) - ord("A")
            errors = np.array([0.1, 0.12 + rise / 100, 0.11])
            np.savez(run.path / "arrays.npz", test_error=errors)
        return run

    return need


def test_plane(stage):
    ends = {"from": "sgdr@30", "to": "sgdr@70"}
    result, arrays = stage("plane", grid=2, **ends)
    for name in ("alpha", "beta", "train_loss", "test_loss"):
        assert arrays[name].shape == (2, 2)
    np.testing.assert_allclose(arrays["alpha"][:, 0], [-0.2, 1.2])
    assert list(arrays["iterate_epochs"]) == [*range(10, 210, 10)]
    assert arrays["iterates"].shape == (20, 2) and arrays["residuals"].shape == (20,)
    # w30 and w70 are the plane's own; all others are random and far from it
    np.testing.assert_allclose(arrays["iterates"][2], [0, 0], atol=1e-9)
    np.testing.assert_allclose(arrays["iterates"][6], [1, 0], atol=1e-9)
    np.testing.assert_allclose(arrays["residuals"][[2, 6]], 0, atol=1e-9)
    assert np.delete(arrays["residuals"], [2, 6]).min() > 0.3 * result["axis_lengths"][0]
    assert np.abs(np.delete(arrays["residual_cosines"], [2, 6], axis=0)).max() < 1e-8
    assert arrays["anchor_train_nll"].shape == (3,)
    assert np.isfinite(arrays["train_loss"]).all()


def test_three_points_on_one_line(stage, made_up):
    def on_a_line(settings):
        run = made_up(settings)
        if settings.stage == "curve":
            files = [kept.node_file(run.path / "checkpoints", 80, k) for k in range(3)]
            ends = [kept.load_point(files[k]) for k in (0, 2)]
            kept.save_point(files[1], [(one + other) / 2 for one, other in zip(*ends)])
        return run

    with pytest.raises(ValueError, match="on one line"):
        stage("plane", on_a_line, grid=3, **{"from": "sgdr@30", "to": "sgdr@70"})


@pytest.mark.slow
def test_random_slices(stage, network, data, settled, job, made_up):
    """Every point measured is the network there: one axis, and a second orthogonal to it."""
    changes = {"points": 3, "reach": 0.5, "dimensions": 2, "directions": "layer", "from": "G"}
    settings = settled("slice", **changes)
    centre = kept.load(settings, job(settings, made_up), "G")
    one, other = (directions.random(network, centre, [0, number], "layer") for number in (0, 1))
    share = points.dot(one, other) / points.dot(one, one)
    other = [b - share * a for a, b in zip(one, other)]
    assert points.dot(one, other) == pytest.approx(0, abs=1e-9)
    _, grid = stage("slice", **changes)
    assert grid["alpha"].shape == grid["beta"].shape == grid["test_error"].shape == (3, 3)
    measure = measuring.make_measure(settings, network, data, tf.distribute.get_strategy())
    for place in ((1, 1), (0, 1), (1, 2), (2, 0)):
        a, b = (grid[name][place] for name in ("alpha", "beta"))
        assert (a, b) == tuple(0.5 * (k - 1) for k in place)
        there = [(w + a * x + b * y).astype(np.float32) for w, x, y in zip(centre, one, other)]
        assert grid["train_nll"][place] == pytest.approx(measure(there)["train_nll"], rel=1e-5)


@pytest.mark.slow
def test_principal_slices_hold_the_iterates(stage):
    result, arrays = stage("slice", points=3, dimensions=2, directions="pca", **{"from": "sgdr@50"})
    assert list(arrays["iterate_epochs"]) == [10, 20, 30, 40, 50]
    np.testing.assert_array_equal(arrays["iterates"][-1], [0, 0])  # the point itself
    for name in ("explained", "explained_centred"):
        assert 0 < result[name][1] <= result[name][0] < 1
    for axis, name in enumerate(("alpha", "beta")):
        along = arrays["iterates"][:, axis]
        around = 0.2 * np.ptp(along)
        ends = [along.min() - around, along.max() + around]
        np.testing.assert_allclose([arrays[name].min(), arrays[name].max()], ends)


def test_networks_along_a_curve_vote(stage, network, data, made_up, settled, job):
    """Against probabilities by hand: of the ends, of the middle, and of all three together."""
    result, arrays = stage("ensemble", points=3)
    settings = settled("ensemble", points=3)
    curve = made_up(settings.of_stage(Curve)).path / "checkpoints"
    found = [kept.load_point(kept.node_file(curve, 80, k)) for k in range(3)]
    images, labels = data.arrays["test"]
    norm, before = network.get_layer("norm"), keras.Model(network.input, network.layers[2].output)
    said = []
    for point in found:
        points.put(network, point)
        maps = before(data.arrays["train"][0]).numpy()
        norm.moving_mean.assign(maps.mean((0, 1, 2)))
        norm.moving_variance.assign(maps.var((0, 1, 2)))
        said.append(tf.nn.softmax(network(images, training=False)).numpy())

    def wrong(*together):
        return (sum(together).argmax(1) != labels).mean()

    # float32: an image or two may be undecided
    near = {"abs": 0.006}
    assert arrays["test_error"] == pytest.approx([wrong(each) for each in said], **near)
    assert arrays["test_pair"] == pytest.approx([wrong(said[0], each) for each in said], **near)
    assert result["ends_error"] == arrays["test_pair"][-1]
    assert result["ensemble_error"] == pytest.approx(wrong(*said), **near)


def test_study(stage):
    result, arrays = stage("study")
    assert list(arrays["names"][:3]) == ["G", "A", "bend GA"] and len(arrays["names"]) == 13
    assert arrays["positions"].shape == (13, 2) and np.isfinite(arrays["positions"]).all()
    assert result["pairs"] == 21 == len({tuple(pair) for pair in arrays["pairs"]})
    np.testing.assert_allclose(arrays["distances"], arrays["distances"].T)
    worst = dict(zip(map("".join, arrays["pairs"]), arrays["pair_worst_test_error"]))
    assert worst["GA"] == pytest.approx(0.12)  # made up above: 0.12, 0.13, ... for A, B, ...
    assert worst["BD"] == worst["GD"] == pytest.approx(0.15)


def test_networks_with_batch_norm_are_measured_with_statistics_of_the_point(network, data, settled):
    strategy = tf.distribute.get_strategy()
    measure = measuring.make_measure(settled("plane"), network, data, strategy)
    first = measure(points.get(network))
    network.get_layer("norm").moving_mean.assign([100.0] * 4)  # forgotten at once
    assert measure(points.get(network)) == first


@pytest.mark.slow
def test_eigenvalues_of_a_plane_are_those_of_the_whole_hessian(network, data, settled, job):
    settings = settled("plane", hessian_examples=50)
    largest, smallest = planes.make_eigenvalues(settings, network, data)()
    pair = tuple(x[:50] for x in data.arrays["train"])
    matrix = curvature.dense(curvature.hessian(network, step.cross_entropy, pair))
    exact = np.linalg.eigvalsh(matrix)
    assert largest == pytest.approx(exact[-1], rel=0.01)
    assert smallest == pytest.approx(exact[0], abs=0.01 * exact[-1])


def test_swa_averages_and_fge_ensembles(network, data, settled, job):
    rng, found = np.random.default_rng(0), {}
    images, labels = data.arrays["test"]
    for epoch in range(165, 205, 5):
        found[epoch] = [w + 0.3 * rng.standard_normal(w.shape) for w in points.get(network)]

    def gathered(mode, **changes):
        settings = settled("endpoint", mode=mode, **changes)
        work = job(settings)
        for epoch, point in found.items():
            file = kept.iterate_file(work.checkpoints, epoch)
            kept.save_point(file, [w.astype(np.float32) for w in point])
        return endpoint.gather(settings, work, network, data), work

    def probabilities(point):
        points.put(network, [w.astype(np.float32) for w in point])
        norm = network.get_layer("norm")
        before = keras.Model(network.input, network.get_layer("conv").output)
        maps = before(data.arrays["train"][0]).numpy()  # one batch: its moments are the statistics
        norm.moving_mean.assign(maps.mean((0, 1, 2)))
        norm.moving_variance.assign(maps.var((0, 1, 2)))
        return tf.nn.softmax(network(images, training=False)).numpy()

    averaged, work = gathered("swa")
    mean = [np.mean(same, axis=0) for same in zip(*found.values())]
    for one, other in zip(kept.load_point(kept.average_file(work.checkpoints)), mean):
        np.testing.assert_allclose(one, other, atol=1e-6)
    right = (probabilities(mean).argmax(1) == labels).mean()
    # float32: two of 359 images may be undecided
    members = averaged.pop("member_test_accuracies")
    assert len(members) == 8 and all(0 <= member <= 1 for member in members)
    assert averaged == {"averaged": 8, "average_test_accuracy": pytest.approx(right, abs=0.006)}
    ensembled, _ = gathered("fge", cycle_epochs=20)
    total = sum(probabilities(found[epoch]) for epoch in (170, 190))  # the middles of two cycles
    right = (total.argmax(1) == labels).mean()
    assert len(ensembled.pop("member_test_accuracies")) == 2
    assert ensembled == {"ensembled": 2, "ensemble_test_accuracy": pytest.approx(right, abs=0.006)}
