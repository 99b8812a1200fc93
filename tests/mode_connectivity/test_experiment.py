"""The mode connectivity binary: stages, the runs they find or make, resuming, and bad input."""

import contextlib
import gc
import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro import curvature
from repro.mode_connectivity import experiment as mode_connectivity
from repro.landscape import directions, points
from repro.mode_connectivity import measuring, names, planes, slices
from repro.mode_connectivity import training as mode_training
from repro.training import runs, snapshots, step

# All flags: a perceptron on 100 digits, a twentieth of the paper's epochs.
QUICK = {
    **dict.fromkeys(mode_connectivity.OF_STAGE), **dict.fromkeys(mode_connectivity.OF_MODE),
    "model": "mlp_1x512", "dataset": "digits", "train_split": None, "test_split": None,
    "train_examples": 100, "eval_examples": 50, "stage": "evaluate", "epoch_scale": 0.05,
    "batch_size": 50, "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4,
    "decayed": "all", "init_scale": 1.0, "init_spread": "std", "init_fan": "in",
    "init_dense": None, "schedule": None, "dropout_rate": 0.5, "augment": ["crop"],
    "eval_every": 100, "mode_seeds": "own", "seed": 0,
    "strategy": "default", "precision": "float32", "xla": False, "deterministic": False,
    "data_dir": None, "download": False, "checkpoint_every": 1, "wandb_project": None,
    "profile_dir": None, "run_dir": None, "large_batch_size": 100,
}  # fmt: skip
TIMES = ("seconds", "start", "end")


def values_of(**changes):
    unknown = set(changes) - set(QUICK) - {"output_dir"}
    assert not unknown, unknown
    return mode_connectivity.filled(dict(sorted({**QUICK, "output_dir": "", **changes}.items())))


def make(output_dir, **changes):
    """Go through a stage in this process, as the binary does after parsing."""
    gc.collect()  # a run broken off by an exception holds its directory until it is collected
    values = values_of(output_dir=str(output_dir), **changes)
    names.check(values)
    return mode_connectivity.make(values)


def directory(output_dir, start):
    (found,) = (p for p in (output_dir / "mode_connectivity").iterdir() if p.name.startswith(start))
    return found


def arrays_of(path):
    with np.load(path / "arrays.npz") as arrays:
        return dict(arrays)


class KilledError(BaseException):
    """Stands for a kill; no handler of ordinary errors may catch it."""


# --- evaluate, and what it needs ------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Curve and segment from G to A, made from nothing."""
    place = tmp_path_factory.mktemp("evaluated")
    return make(place, points=5, **{"from": "G", "to": "A"}), place


def test_one_command_makes_what_it_needs(evaluated):
    result, place = evaluated
    made = sorted(path.name.rsplit("-", 1)[0] for path in (place / "mode_connectivity").iterdir())
    tail = "mlp_1x512-digits-n100-seed0"
    assert made == [
        f"curve-GtoA-polychain-{tail}", f"endpoint-A-{tail}", f"endpoint-G-{tail}",
        f"evaluate-GtoA-polychain-{tail}",
    ]  # fmt: skip
    assert result["network_sizes"] == {"vgg16": 15_245_130, "vgg16_bn": 15_253_578}
    assert result["exactness"]["start"] == result["exactness"]["end"] == 0
    assert result["exactness"]["middle"] == 0
    assert result["exactness"]["untrained"] < 1e-6


def test_arrays_others_build_on(evaluated):
    arrays = arrays_of(directory(evaluated[1], "evaluate"))
    along = {"length", "train_loss", "train_nll", "train_error", "test_nll", "test_error"}
    assert {"t", *along, *(f"segment_{name}" for name in along)} <= set(arrays)
    np.testing.assert_array_equal(arrays["t"], [0, 0.25, 0.5, 0.75, 1])
    for name in along:
        assert arrays[name].shape == arrays[f"segment_{name}"].shape == (5,)
        for end in (0, -1):  # curve and segment share their ends
            if name != "length":
                assert arrays[name][end] == arrays[f"segment_{name}"][end]
    assert list(arrays["snapshot_epochs"]) == [20, 40, 60, 80]
    assert arrays["snapshot_test_nll"].shape == (4, 5)
    np.testing.assert_array_equal(arrays["snapshot_test_nll"][-1], arrays["test_nll"])
    assert arrays["length"][-1] > arrays["segment_length"][-1]


def test_the_ends_measure_what_the_endpoints_did(evaluated):
    """Same images, same weights: exact sums, the same numbers."""
    arrays = arrays_of(directory(evaluated[1], "evaluate"))
    for mode, end in (("G", 0), ("A", -1)):
        path = directory(evaluated[1], f"endpoint-{mode}")
        result = json.loads((path / "result.json").read_text())
        assert arrays["test_error"][end] == pytest.approx(1 - result["test_accuracy"], abs=1e-12)
        assert arrays["train_nll"][end] == pytest.approx(result["train_loss"], rel=1e-6)


def test_train_loss_holds_the_l2_term_at_the_point(evaluated):
    arrays, place = arrays_of(directory(evaluated[1], "evaluate")), directory(evaluated[1], "curve")
    bend = snapshots.load(place / "points" / "epoch_80" / "node_1")
    squares = sum((array.astype(np.float64) ** 2).sum() for array in bend.values())
    expected = arrays["train_nll"][2] + 5e-4 / 2 * squares
    assert arrays["train_loss"][2] == pytest.approx(expected, rel=1e-5)


def test_runs_are_found_by_their_settings_whatever_their_name(evaluated, tmp_path, capsys):
    """tools/reproduce names directories its own way."""
    _, place = evaluated
    home = tmp_path / "mode_connectivity"
    for start in ("endpoint-G", "endpoint-A"):
        source = directory(place, start)
        target = home / f"renamed-{start}"
        target.mkdir(parents=True)
        for file in ("flags.cfg", "result.json"):
            (target / file).write_bytes((source / file).read_bytes())
        point = target / "points" / "epoch_200"
        point.mkdir(parents=True)
        point.joinpath("state.npz").write_bytes(
            (source / "points" / "epoch_200" / "state.npz").read_bytes()
        )
    make(tmp_path, stage="curve", **{"from": "G", "to": "A"})
    assert "needs" not in capsys.readouterr().out
    one, other = (
        snapshots.load(directory(p, "curve") / "points" / "epoch_80" / "node_1")
        for p in (place, tmp_path)
    )
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


def test_a_directory_can_be_an_end(evaluated, tmp_path):
    _, place = evaluated
    ends = {"from": str(directory(place, "endpoint-G")), "to": str(directory(place, "endpoint-A"))}
    make(tmp_path, stage="curve", **ends)
    one, other = (
        snapshots.load(directory(p, "curve") / "points" / "epoch_80" / "node_1")
        for p in (place, tmp_path)
    )
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


def test_two_replicas_train_the_same_curve(evaluated, mirrored, tmp_path):
    """Without dropout, whose draws differ; sums of half batches differ by roundoff, which grows."""
    _, place = evaluated
    ends = {"from": str(directory(place, "endpoint-G")), "to": str(directory(place, "endpoint-A"))}
    found = []
    for strategy in ("default", "mirrored"):
        home = tmp_path / strategy
        flags = {"stage": "curve", "dropout_rate": 0.0, "strategy": strategy, "curve_epochs": 20}
        make(home, **flags, **ends)
        found.append(snapshots.load(directory(home, "curve") / "points" / "epoch_20" / "node_1"))
    for name, array in found[0].items():
        np.testing.assert_allclose(array, found[1][name], atol=1e-6)


# --- resuming -------------------------------------------------------------------------------------


@pytest.fixture
def killed(monkeypatch):
    """Run until a function has been called so often, and die there."""

    def run(place, owner, name, calls, **changes):
        function, count = getattr(owner, name), [0]

        def dying(*arguments, **options):
            value = function(*arguments, **options)
            count[0] += 1
            if count[0] == calls:
                raise KilledError
            return value

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, dying)
            with contextlib.suppress(KilledError):
                make(place, **changes)
        assert count[0] == calls

    return run


def test_a_killed_chain_of_runs_ends_the_same(evaluated, killed, tmp_path):
    """Killed in an endpoint, in the curve, and while measuring: the same bits at the end."""
    flags = {"points": 5, "from": "G", "to": "A"}
    killed(tmp_path, runs.RunDirectory, "log", 1, **flags)
    killed(tmp_path, runs.RunDirectory, "log", 3, **flags)
    killed(tmp_path, snapshots, "save", 13, **flags)
    result = make(tmp_path, **flags)
    for start in ("endpoint-A", "curve"):
        one, other = (directory(p, start) for p in (evaluated[1], tmp_path))
        for state in one.glob("points/**/state.npz"):
            again = snapshots.load((other / state.relative_to(one)).parent)
            for name, array in snapshots.load(state.parent).items():
                np.testing.assert_array_equal(array, again[name], err_msg=f"{state} {name}")
    whole, resumed = (arrays_of(directory(p, "evaluate")) for p in (evaluated[1], tmp_path))
    for name, array in whole.items():
        np.testing.assert_array_equal(array, resumed[name], err_msg=name)
    assert {k: v for k, v in result.items() if k not in TIMES} == {
        k: v for k, v in evaluated[0].items() if k not in TIMES
    }


# --- planes, studies, offshoots, alignment --------------------------------------------------------


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A context whose network is tiny and has batch norm, that network, and the data."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.AveragePooling2D(8)(inputs)
    x = keras.layers.Conv2D(4, 3, name="conv")(x)
    x = keras.layers.BatchNormalization(synchronized=True, momentum=0.9, name="norm")(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    network = keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))
    for room in (measuring, planes, slices):
        monkeypatch.setattr(room, "build_network", lambda *_, **__: network)
    settings = values_of(stage="plane", hessian_examples=50, **{"from": "G", "to": "A"})
    context = types.SimpleNamespace(
        settings=settings, places={"data_dir": None, "download": False},
        strategy=tf.distribute.get_strategy(),
        run=types.SimpleNamespace(path=tmp_path, chief=True),
    )  # fmt: skip
    return context, network, measuring.prepare_data(context)


@pytest.fixture
def stage(tmp_path):
    """Call a stage on made-up runs: points and arrays instead of training."""

    def call(name, need, **changes):
        values = values_of(stage=name, **changes)
        directory = runs.RunDirectory(tmp_path / "run", values)
        context = types.SimpleNamespace(
            settings=values, places={"data_dir": None, "download": False}, run=directory,
            strategy=tf.distribute.get_strategy(), environment={},
            checkpoint_every=1, need=need,
        )  # fmt: skip
        stages = {
            "plane": planes.plane, "slice": slices.through, "study": measuring.study,
        }  # fmt: skip
        try:
            return stages[name](context), arrays_of(tmp_path / "run")
        finally:
            directory.close()

    return call


@pytest.fixture
def made_up(small, tmp_path):
    """need(stage, ...) -> a directory with random weights; those of G are always the same."""
    shapes, seen = [w.shape for w in points.get(small[1])], {}

    def point(key):
        rng = np.random.default_rng(sum(map(ord, key)))
        return {f"{k:04d}": rng.standard_normal(shape).astype(np.float32)
                for k, shape in enumerate(shapes)}  # fmt: skip

    def need(stage, **changes):
        ends = (changes.get("from", "sgdr@30"), changes.get("to", "sgdr@70"))
        key = "-".join([stage, *map(str, changes.values())])
        if key in seen:
            return seen[key]
        path = seen[key] = tmp_path / key
        if stage == "endpoint":
            for epoch in names.kept_epochs(changes["mode"]):
                name = f"{changes['mode']}@{epoch}"
                snapshots.save(path / "points" / f"epoch_{epoch}", **point(name))
        elif stage == "curve":
            for k, name in enumerate((ends[0], f"bend {ends}", ends[1])):
                name = name if "@" in name or "bend" in name else f"{name}@200"
                snapshots.save(path / "points" / "epoch_80" / f"node_{k}", **point(name))
        else:
            path.mkdir(exist_ok=True)
            rise = ord(ends[1]) - ord("A")
            np.savez(path / "arrays.npz", test_error=np.array([0.1, 0.12 + rise / 100, 0.11]))
        return path

    return need


def test_plane(stage, made_up):
    ends = {"from": "sgdr@30", "to": "sgdr@70"}
    result, arrays = stage("plane", made_up, grid=2, **ends)
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


def test_random_slices(stage, small, made_up):
    """Every point measured is the network there: one axis, and a second orthogonal to it."""
    context, network, data = small
    centre = measuring.load(types.SimpleNamespace(settings={"seed": 0}, need=made_up), "G")
    one, other = (directions.random(centre, [0, number], "layer") for number in (0, 1))
    share = points.dot(one, other) / points.dot(one, one)
    other = [b - share * a for a, b in zip(one, other)]
    assert points.dot(one, other) == pytest.approx(0, abs=1e-9)
    _, grid = stage("slice", made_up, points=3, reach=0.5, dimensions=2, directions="layer",
                    **{"from": "G"})  # fmt: skip
    assert grid["alpha"].shape == grid["beta"].shape == grid["test_error"].shape == (3, 3)
    measure = measuring.make_measure(context, network, data)
    for place in ((1, 1), (0, 1), (1, 2), (2, 0)):
        a, b = (grid[name][place] for name in ("alpha", "beta"))
        assert (a, b) == tuple(0.5 * (k - 1) for k in place)
        there = [(w + a * x + b * y).astype(np.float32) for w, x, y in zip(centre, one, other)]
        assert grid["train_nll"][place] == pytest.approx(measure(there)["train_nll"], rel=1e-5)


def test_principal_slices_hold_the_iterates(stage, made_up):
    result, arrays = stage("slice", made_up, points=3, dimensions=2, directions="pca",
                           **{"from": "sgdr@50"})  # fmt: skip
    assert list(arrays["iterate_epochs"]) == [10, 20, 30, 40, 50]
    np.testing.assert_array_equal(arrays["iterates"][-1], [0, 0])  # the point itself
    for name in ("explained", "explained_centred"):
        assert 0 < result[name][1] <= result[name][0] < 1
    for axis, name in enumerate(("alpha", "beta")):
        along = arrays["iterates"][:, axis]
        around = 0.2 * np.ptp(along)
        ends = [along.min() - around, along.max() + around]
        np.testing.assert_allclose([arrays[name].min(), arrays[name].max()], ends)


def test_study(stage, made_up):
    result, arrays = stage("study", made_up)
    assert list(arrays["names"][:3]) == ["G", "A", "bend GA"] and len(arrays["names"]) == 13
    assert arrays["positions"].shape == (13, 2) and np.isfinite(arrays["positions"]).all()
    assert result["pairs"] == 21 == len({tuple(pair) for pair in arrays["pairs"]})
    np.testing.assert_allclose(arrays["distances"], arrays["distances"].T)
    worst = dict(zip(map("".join, arrays["pairs"]), arrays["pair_worst_test_error"]))
    assert worst["GA"] == pytest.approx(0.12)  # made up above: 0.12, 0.13, ... for A, B, ...
    assert worst["BD"] == worst["GD"] == pytest.approx(0.15)


def test_an_aligned_end_is_nearer_and_computes_the_same(evaluated, tmp_path):
    _, place = evaluated
    ends = {"from": str(directory(place, "endpoint-G")), "to": str(directory(place, "endpoint-A"))}
    make(tmp_path, points=3, snapshots=False, align="weights", repair=True, **ends)
    found, plain = (arrays_of(directory(p, "evaluate")) for p in (tmp_path, place))
    assert found["test_error"][-1] == plain["test_error"][-1]
    assert found["train_nll"][-1] == pytest.approx(plain["train_nll"][-1], rel=1e-5)
    assert found["segment_length"][-1] < plain["segment_length"][-1]
    for end in (0, -1):  # repairing leaves the ends as they are, but for rounding
        assert found["repaired_train_nll"][end] == pytest.approx(found["train_nll"][end], rel=1e-4)
    assert found["repaired_train_nll"][1] != found["segment_train_nll"][1]


def test_networks_with_batch_norm_are_measured_with_statistics_of_the_point(small):
    context, network, data = small
    measure = measuring.make_measure(context, network, data)
    first = measure(points.get(network))
    network.get_layer("norm").moving_mean.assign([100.0] * 4)  # forgotten at once
    assert measure(points.get(network)) == first


def test_eigenvalues_of_a_plane_are_those_of_the_whole_hessian(small):
    context, network, data = small
    largest, smallest = planes.make_eigenvalues(context, network, data)()
    pair = tuple(x[:50] for x in data.arrays["train"])
    matrix = curvature.dense(curvature.hessian(network, step.cross_entropy, pair))
    exact = np.linalg.eigvalsh(matrix)
    assert largest == pytest.approx(exact[-1], rel=0.01)
    assert smallest == pytest.approx(exact[0], abs=0.01 * exact[-1])


def test_swa_averages_and_fge_ensembles(small):
    context, network, data = small
    context.settings |= {"cycle_epochs": 20}
    rng, found = np.random.default_rng(0), {}
    for epoch in range(165, 205, 5):
        found[epoch] = [w + 0.3 * rng.standard_normal(w.shape) for w in points.get(network)]
        snapshots.save(
            context.run.path / "points" / f"epoch_{epoch}",
            **{f"{k:04d}": w.astype(np.float32) for k, w in enumerate(found[epoch])},
        )
    images, labels = data.arrays["test"]

    def probabilities(point):
        points.put(network, [w.astype(np.float32) for w in point])
        norm = network.get_layer("norm")
        before = keras.Model(network.input, network.get_layer("conv").output)
        maps = before(data.arrays["train"][0]).numpy()  # one batch: its moments are the statistics
        norm.moving_mean.assign(maps.mean((0, 1, 2)))
        norm.moving_variance.assign(maps.var((0, 1, 2)))
        return tf.nn.softmax(network(images, training=False)).numpy()

    averaged = mode_training.gathered(context, network, data, "swa")
    mean = [np.mean(same, axis=0) for same in zip(*found.values())]
    right = (probabilities(mean).argmax(1) == labels).mean()
    assert averaged == {"averaged": 8, "average_test_accuracy": pytest.approx(right, abs=0.006)}
    ensembled = mode_training.gathered(context, network, data, "fge")
    total = sum(probabilities(found[epoch]) for epoch in (170, 190))  # the middles of two cycles
    right = (total.argmax(1) == labels).mean()
    # float32: two of 359 images may be undecided
    assert ensembled == {"ensembled": 2, "ensemble_test_accuracy": pytest.approx(right, abs=0.006)}


# --- learning rates, names, bad input -------------------------------------------------------------


def rates(mode, **changes):
    values = values_of(stage="endpoint", mode=mode, epoch_scale=1.0, **changes)
    return mode_training.learning_rates(values, 10)


def test_learning_rates_of_the_modes():
    at = np.array([0, 59, 60, 120, 160, 199]) * 10
    for mode in "GADEF":
        np.testing.assert_allclose(rates(mode)[at], [0.05, 0.05, 0.01, 0.002, 0.0004, 0.0004])
    np.testing.assert_allclose(rates("B")[at][:3], [1e-3, 1e-3, 2e-4])
    np.testing.assert_allclose(rates("C")[at], 0.05 * (1 - at / 2000))
    np.testing.assert_allclose(rates("step")[at], [0.05, 0.05, 0.01, 0.01, 0.002, 0.002])
    assert rates("sgdr")[99] == pytest.approx(1.2246e-3, rel=1e-4)
    assert rates("sgdr", sgdr_update="step")[99] < 2e-5
    assert set(rates("G", schedule="constant")) == {0.05}
    garipov = rates("G", schedule="garipov")
    assert list(garipov[[0, 999, 1900]]) == pytest.approx([0.05, 0.05, 0.0005])
    assert rates("swa")[-1] == pytest.approx(0.01)
    assert rates("fge")[1600:1640:10] == pytest.approx([0.05, 0.02505, 0.0001, 0.02505])


def test_cycles_of_fge():
    """The last middle may be the last epoch; every middle is kept and ensembled."""
    assert names.middles(4) == [*range(162, 200, 4)]
    assert names.middles(16) == [168, 184, 200]
    assert names.kept_epochs("fge", 16) == [168, 184, 200]
    assert names.kept_epochs("fge", 20) == [170, 190, 200]


@pytest.mark.parametrize("scale", [0.2, 0.4])
def test_scaled_schedules_change_where_the_papers_do(scale):
    values = values_of(stage="endpoint", mode="G", epoch_scale=scale)
    found = mode_training.learning_rates(values, 10)
    changes = (np.flatnonzero(np.diff(found)) + 1) / 10 / scale
    np.testing.assert_allclose(changes, [60, 120, 160])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"from": "H"}, ["unknown point 'H'", "G, A, B", "sgdr@70"]),
        ({"from": "sgdr@31", "epoch_scale": 0.1}, ["sgdr keeps the epochs 10, 20"]),
        ({"from": "A"}, ["the same point, A"]),
        ({"from": "G@200", "to": "G"}, ["the same point, G"]),
        ({"stage": "study", "to": None, "free_ends": True}, ["--free_ends would move it"]),
        ({"init_dense": "torch"}, ["--init_dense is for vgg16"]),
        ({"repair": True, "model": "wrn_28_1"}, ["--repair is for vgg16_quarter"]),
        ({"stage": "endpoint", "to": None, "mode": "fge", "cycle_epochs": 100}, ["no cycle fits"]),
        ({"epoch_scale": 0.001}, ["which is not whole", "0.2"]),
        ({"points": 10}, ["--points=10 must be odd"]),
        ({"mode": "G"}, ["--mode is not for --stage=evaluate"]),
        ({"from": "./nowhere"}, ["--from=nowhere holds no complete run"]),
        ({"stage": "study", "to": None, "perplexity": 13.0}, ["below the 13 points"]),
        ({"stage": "slice", "to": None, "directions": "pca"}, ["more than 1", "G keeps 1"]),
        ({"stage": "endpoint", "to": None, "mode": "fge"}, ["epoch 162 8.1, which is not whole"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_mistakes_are_named_before_anything_starts(changes, words):
    with pytest.raises(ValueError) as error:
        names.check(values_of(**{"to": "A", **changes}))
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_ends_of_other_networks_and_data(evaluated):
    end = str(directory(evaluated[1], "endpoint-G"))
    for changes, word in (
        ({"model": "mlp_3x512"}, "--model=mlp_1x512"), ({"train_examples": 99}, "--train_examples"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"{word}.*one network and data set"):
            names.check(values_of(**changes, **{"from": end, "to": "A"}))
    curve = str(directory(evaluated[1], "curve"))
    with pytest.raises(ValueError, match="is no endpoint"):
        names.check(values_of(**{"from": curve, "to": "A"}))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--from=H"], "error: unknown point 'H'"),
        (["--stage=plane", "--grid=1"], "--grid=1"),
        (["--stage=plane", "--from=G", "--to=A", "--third=G"], "error: --third=G is --from"),
    ],
)
def test_one_line_at_the_command(python, tmp_path, arguments, word):
    done = python("-m", "repro.mode_connectivity", *arguments, f"--output_dir={tmp_path}")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert word in done.stderr
    assert not list(tmp_path.iterdir())


def test_three_points_on_one_line(stage, made_up):
    def on_a_line(stage, **changes):
        path = made_up(stage, **changes)
        if stage == "curve":
            ends = [snapshots.load(path / "points" / "epoch_80" / f"node_{k}") for k in (0, 2)]
            middle = {name: (ends[0][name] + ends[1][name]) / 2 for name in ends[0]}
            snapshots.save(path / "points" / "epoch_80" / "node_1", **middle)
        return path

    with pytest.raises(ValueError, match="on one line"):
        stage("plane", on_a_line, grid=3, **{"from": "sgdr@30", "to": "sgdr@70"})
