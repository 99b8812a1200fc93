"""The mode connectivity binary: endpoints, curves, what is measured, resuming, opening."""

import json
import shutil
import signal

import numpy as np
import pytest

from repro.data import datasets
from repro.mode_connectivity import experiment
from repro.settings import settle
from repro.training import step
from repro.training.runs import RunDirectory
from repro.training.snapshots import Snapshots

TIMES = ("seconds", "start", "end")
ENDS = {"from": "G", "to": "A"}


# --- evaluate, and what it needs ------------------------------------------------------------------


def test_one_command_makes_what_it_needs(evaluated):
    result, place = evaluated
    made = sorted(path.name.rsplit("-", 1)[0] for path in (place / "mode_connectivity").iterdir())
    tail = "mlp_1x512-digits-n100-seed0"
    assert made == [
        f"curve-GtoA-polychain-{tail}",
        f"endpoint-A-{tail}",
        f"endpoint-G-{tail}",
        f"evaluate-GtoA-polychain-{tail}",
    ]
    assert result["status"] == "complete"
    assert result["network_sizes"] == {"vgg16": 15_245_130, "vgg16_bn": 15_253_578}
    assert result["exactness"]["start"] == result["exactness"]["end"] == 0
    assert result["exactness"]["middle"] == 0
    assert result["exactness"]["untrained"] < 1e-6


def test_arrays_others_build_on(evaluated, find):
    arrays = find(evaluated[1], "evaluate").arrays()
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


def test_the_ends_measure_what_the_endpoints_did(evaluated, find):
    """Same images, same weights: exact sums, the same numbers."""
    arrays = find(evaluated[1], "evaluate").arrays()
    for mode, end in (("G", 0), ("A", -1)):
        path = find(evaluated[1], f"endpoint-{mode}").path
        result = json.loads((path / "result.json").read_text())
        assert arrays["test_error"][end] == pytest.approx(1 - result["test_accuracy"], abs=1e-12)
        assert arrays["train_nll"][end] == pytest.approx(result["train_loss"], rel=1e-6)


def test_train_loss_holds_the_l2_term_at_the_point(evaluated, find):
    arrays, bend = find(evaluated[1], "evaluate").arrays(), find(evaluated[1], "curve")
    bend = bend.point("epoch_80/node_1")
    squares = sum((array.astype(np.float64) ** 2).sum() for array in bend.values())
    expected = arrays["train_nll"][2] + 5e-4 / 2 * squares
    assert arrays["train_loss"][2] == pytest.approx(expected, rel=1e-5)


def test_every_point_measured_has_a_row(evaluated, find, metrics_of):
    """All numbers of a point, in the order of measuring: snapshots, segment, curve."""
    found = find(evaluated[1], "evaluate")
    rows, arrays = metrics_of(found.path), found.arrays()
    assert [row["epoch"] for row in rows] == [*range(1, 26)]
    measured = np.array([row["train/nll"] for row in rows]).reshape(5, 5)
    np.testing.assert_array_equal(measured[:3], arrays["snapshot_train_nll"][:3])
    np.testing.assert_array_equal(measured[3], arrays["segment_train_nll"])
    np.testing.assert_array_equal(measured[4], arrays["train_nll"])


def test_runs_are_made_once_whoever_asks(make, evaluated, tmp_path):
    """Each run that evaluate made is found by its settings; a closer look trains nothing."""
    shutil.copytree(evaluated[1], tmp_path, dirs_exist_ok=True)
    home = tmp_path / "mode_connectivity"
    made = {path: (path / "result.json").stat().st_mtime_ns for path in home.iterdir()}
    make(tmp_path, "endpoint", mode="A")
    make(tmp_path, "curve")
    closer = make(tmp_path, points=3, snapshots=False)
    assert {*home.iterdir()} == {*made, home / closer.path.name}
    for path, before in made.items():
        assert (path / "result.json").stat().st_mtime_ns == before


def test_a_directory_can_be_an_end(make, evaluated, find, tmp_path):
    _, place = evaluated
    ends = {name: str(find(place, f"endpoint-{mode}").path) for name, mode in ENDS.items()}
    make(tmp_path, "curve", **ends)
    one, other = (find(p, "curve").point("epoch_80/node_1") for p in (place, tmp_path))
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


def test_ends_of_other_networks_and_data(asked, evaluated, find):
    end = str(find(evaluated[1], "endpoint-G").path)
    settle(asked(**{"from": end}))
    for changes, word in (
        ({"model": "mlp_3x512"}, "--model=mlp_1x512"),
        ({"train_examples": 99}, "--train_examples=100"),
        ({"train_split": "test"}, "--train_split=train"),
    ):
        with pytest.raises(ValueError, match=f"{word}.*one network and data set"):
            settle(asked(**changes, **{"from": end}))
    curve = str(find(evaluated[1], "curve").path)
    with pytest.raises(ValueError, match="is no endpoint"):
        settle(asked(**{"from": curve}))


def test_two_replicas_train_the_same_curve(make, evaluated, find, mirrored, tmp_path):
    """Without dropout, whose draws differ; sums of half batches differ by roundoff, which grows."""
    _, place = evaluated
    ends = {name: str(find(place, f"endpoint-{mode}").path) for name, mode in ENDS.items()}
    found = []
    for strategy in ("default", "mirrored"):
        home = tmp_path / strategy
        make(home, "curve", dropout_rate=0.0, strategy=strategy, curve_epochs=20, **ends)
        found.append(find(home, "curve").point("epoch_20/node_1"))
    for name, array in found[0].items():
        np.testing.assert_allclose(array, found[1][name], atol=1e-6)


def test_a_batch_that_replicas_cannot_share_is_one_line(make, mirrored, tmp_path):
    with pytest.raises(ValueError, match="batch_size=25 cannot be divided among 2 replicas") as e:
        make(tmp_path, "endpoint", batch_size=25, strategy="mirrored")
    assert "\n" not in str(e.value)


@pytest.mark.slow
def test_an_aligned_end_is_nearer_and_computes_the_same(make, evaluated, find, tmp_path):
    _, place = evaluated
    ends = {name: str(find(place, f"endpoint-{mode}").path) for name, mode in ENDS.items()}
    make(tmp_path, points=3, snapshots=False, align="weights", repair=True, **ends)
    found = find(tmp_path, "evaluate").arrays()
    plain = find(place, "evaluate").arrays()
    assert found["test_error"][-1] == plain["test_error"][-1]
    assert found["train_nll"][-1] == pytest.approx(plain["train_nll"][-1], rel=1e-5)
    assert found["segment_length"][-1] < plain["segment_length"][-1]
    for end in (0, -1):  # repairing leaves the ends as they are, but for rounding
        assert found["repaired_train_nll"][end] == pytest.approx(found["train_nll"][end], rel=1e-4)
    assert found["repaired_train_nll"][1] != found["segment_train_nll"][1]


# --- resuming -------------------------------------------------------------------------------------


class KilledError(BaseException):
    """Stands for a kill; no handler of ordinary errors may catch it."""


@pytest.fixture
def killed(monkeypatch, make):
    """Run until a method has been called so often, and die there."""

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
            with pytest.raises(KilledError):
                make(place, **changes)

    return run


def assert_same_runs(find, one, other):
    """All points kept and all arrays measured are the same bits."""
    for start in ("endpoint-A", "curve"):
        whole, again = (find(place, start) for place in (one, other))
        files = [*(whole.path / "checkpoints").rglob("epoch_*.npz")]
        files += (whole.path / "checkpoints").glob("*/node_*.npz")
        assert files
        for file in files:
            name = str(file.relative_to(whole.path / "checkpoints")).removesuffix(".npz")
            same = again.point(name)
            for key, array in whole.point(name).items():
                np.testing.assert_array_equal(array, same[key], err_msg=f"{start} {name} {key}")
    whole, again = (find(place, "evaluate").arrays() for place in (one, other))
    for name, array in whole.items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)


@pytest.mark.slow
def test_a_killed_chain_of_runs_ends_the_same(make, evaluated, killed, find, metrics_of, tmp_path):
    """Killed in an endpoint, in the curve, and while measuring: the same bits at the end.

    The newest state of the measurement is damaged, so it goes on at the one before.
    """
    killed(tmp_path, RunDirectory, "log", 3, points=5)  # in G, whose third epoch is lost
    killed(tmp_path, RunDirectory, "log", 8 + 10 + 2, points=5)  # G's other 8, A's 10; the curve
    killed(tmp_path, Snapshots, "save", 13, points=5)
    home = find(tmp_path, "evaluate").path
    newest = home / "checkpoints" / "state-13.npz"
    newest.write_bytes(newest.read_bytes()[:100])
    result = make(tmp_path, points=5).result()
    record = json.loads((home / "environment.json").read_text())
    assert record["resumed_after_epoch"] == 12
    assert_same_runs(find, evaluated[1], tmp_path)
    assert metrics_of(home) == metrics_of(find(evaluated[1], "evaluate").path)
    assert {k: v for k, v in result.items() if k not in TIMES} == {
        k: v for k, v in evaluated[0].items() if k not in TIMES
    }


@pytest.mark.slow
def test_sigterm_while_measuring(stopped, evaluated, find, metrics_of, tmp_path):
    """It ends with 143 within 10 seconds, and all that was measured is saved."""
    ends = {name: find(evaluated[1], f"endpoint-{mode}").path for name, mode in ENDS.items()}
    flags = (
        "--model=mlp_1x512",
        "--dataset=digits",
        "--train_examples=100",
        "--eval_examples=50",
        "--epoch_scale=0.05",
        "--batch_size=50",
        "--points=1001",
        "--snapshots=false",
        "--download=false",
        f"--output_dir={tmp_path}",
        "--checkpoint_every=1000",
        *(f"--{name}={path}" for name, path in ends.items()),
    )
    home = tmp_path / "mode_connectivity"

    def rows():
        paths = list(home.glob("evaluate-*"))
        return metrics_of(paths[0]) if paths else []

    ended = stopped(
        "-m", "repro.mode_connectivity", *flags, when=lambda: len(rows()) >= 5, by=signal.SIGTERM
    )
    assert ended.returncode == 143, ended.stderr
    assert ended.seconds < 10
    saved = find(tmp_path, "evaluate").point(f"state-{len(rows())}")
    np.testing.assert_array_equal(saved["train_nll"], [row["train/nll"] for row in rows()])


# --- opening --------------------------------------------------------------------------------------


def test_an_endpoint_opens_at_its_last_weights(evaluated, find):
    """The loss over the images that training loss was measured on is the result's."""
    path = find(evaluated[1], "endpoint-G").path
    opened = experiment.open_run(path, download=False)
    assert len(opened.data[0]) == len(opened.data[1]) == 100
    seen = datasets.class_balanced_subset(opened.data[1], 50, 0)
    images, labels = (x[seen] for x in opened.data)
    loss = float(np.mean(step.cross_entropy(labels, opened.network(images))))
    result = json.loads((path / "result.json").read_text())
    assert loss == pytest.approx(result["train_loss"], rel=1e-5)
    assert opened.settings.mode == "G"


def test_a_curve_opens_in_its_middle_or_anywhere(evaluated, find):
    arrays, path = find(evaluated[1], "evaluate").arrays(), find(evaluated[1], "curve").path
    for t, place in ((0.5, 2), (0.25, 1)):
        opened = experiment.open_run(path, download=False, t=t)
        seen = datasets.class_balanced_subset(opened.data[1], 50, 0)
        images, labels = (x[seen] for x in opened.data)
        loss = float(np.mean(opened.loss(labels, opened.network(images))))
        assert loss == pytest.approx(arrays["train_nll"][place], rel=1e-5)
    assert len(experiment.open_run(path, download=False, examples=7).data[1]) == 7
    with pytest.raises(ValueError, match="t=2 lies on no curve"):
        experiment.open_run(path, download=False, t=2.0)


def test_what_cannot_be_opened_says_why(evaluated, find, tmp_path):
    path = find(evaluated[1], "evaluate").path
    with pytest.raises(ValueError, match="--stage=evaluate, which trains no network"):
        experiment.open_run(path)
    with pytest.raises(ValueError, match="there is no result"):
        experiment.open_run(tmp_path)
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("endpoint-G", "curve"):
        for file in ("flags.cfg", "result.json"):
            shutil.copy(find(evaluated[1], name).path / file, bare)
        with pytest.raises(ValueError, match="outputs/reference"):
            experiment.open_run(bare, download=False)
