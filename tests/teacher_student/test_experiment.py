"""Runs of the three stages, what they leave, and the flags they refuse."""

import numpy as np
import pytest

from repro import command_line, papers
from repro.critical import escapes, newton
from repro.reporting import figures
from repro.settings import settle
from repro.teacher_student import family, slides
from repro.teacher_student.opening import open_run
from repro.teacher_student.settings import STAGES, Census, Slides
from repro.teacher_student.verify import verify
from repro.tools import plans


def test_census(census, load):
    path, result = census
    arrays = load(path).arrays()
    assert arrays["incoming"].shape == (6, 4, 2) and arrays["outgoing"].shape == (6, 4)
    for name in ("loss", "gradient_norm", "lambda_min", "index", "class"):
        assert arrays[name].shape == (6,)
    counted = {name: c["count"] for name, c in result["counts"].items()}
    assert sum(counted.values()) == 6
    assert list(counted) == ["global", "local", "plateau", "saddle", "channel", "undecided"]
    for name, c in result["counts"].items():
        assert c["count"] == (arrays["class"] == name).sum()
        assert c["wilson"][0] <= c["share"] <= c["wilson"][1]
    assert "6 students of width 4, teacher alternating" in result["protocol"]
    assert result["status"] == "complete" and result["seconds"] > 0
    assert verify(path / "certificates.json") == sum(p["certified"] for p in result["points"])


@pytest.mark.parametrize("name", ["classes", "widths", "trajectories", "eigenvalues", "channels"])
def test_figures_of_a_census(census, load, name, tmp_path):
    files = figures.draw(
        papers.figure("teacher_student", name), [load(census[0])], name, tmp_path / name
    )
    assert [file.suffix for file in files] == [".png", ".pdf"]
    assert all(file.exists() for file in files)


@pytest.mark.slow
def test_census_with_biases(make, load, tmp_path):
    """One student: its arrays have a bias for each neuron, its run is opened, named, and proved."""
    settings = Census(hidden=1, num_students=2, adam_steps=1000, learning_rate=1e-2, biases=True)
    path = tmp_path / "teacher_student" / "run"
    result = make(settings.replace(newton_iterations=200), path)
    arrays = load(path).arrays()
    assert arrays["incoming"].shape == (2, 1, 3) and arrays["spectrum"].shape == (2, 4)
    assert "2 students of width 1 with biases, teacher alternating" in result["protocol"]
    assert [w.shape for w in open_run(path).network.get_weights()] == [(2, 1), (1,), (1, 1)]
    certified = sum(point["certified"] for point in result["points"])
    assert certified and verify(path / "certificates.json") == certified
    assert "biases" in settings.label()
    assert settle(settings.replace(biases=False)) == settle(settings.replace(biases=None))


@pytest.mark.slow
def test_graph(short, short_graph, make, load, tmp_path):
    path = tmp_path / "teacher_student" / "run"
    result, run = make(short["graph"], path), load(path)
    for name in ("graph", "transition", "levels"):
        make_figure = papers.figure("teacher_student", name)
        assert figures.draw(make_figure, [run], name, tmp_path / name)
    nodes = {node["id"]: node for node in result["nodes"]}
    assert "4 students of each width up to 2, teacher alternating" in result["protocol"]
    assert list(result["counts"]) == ["1", "2"]
    assert [row["epoch"] for row in run.metrics] == [1, 2]  # one a width
    for node in nodes.values():
        assert node["class"] in ("local", "plateau", "saddle")
        if "parent" in node:
            parent = nodes[node["parent"]]
            assert node["level"] == node["width"] - parent["width"] > 0
            assert node["loss"] == parent["loss"]
            assert all(c >= p for c, p in zip(node["inertia"], parent["inertia"]))
    assert any("parent" in node for node in nodes.values())
    assert all(edge["from"] in nodes for edge in result["edges"])
    certified = sum(node["certified"] for node in nodes.values())
    assert verify(path / "certificates.json") == certified
    assert result["exact"]["G"] == [240, 150, 30] and result["exact"]["T"] == 360
    assert result["exact"]["half_grid_error"] < 1e-12
    arrays = run.arrays()
    points = len(arrays["transition_name"])
    assert arrays["transition_share"].shape == (points, 2)
    assert arrays["transition_slides_loss"].shape == (points, 2, 4)


def test_slides_without_slsqp(make, tmp_path):
    settings = Slides(hidden=2, num_students=3, adam_steps=1000, slsqp_students=0)
    result = make(settings, tmp_path)
    assert result["slsqp_positive"] == {"count": 0, "of": 0, "wilson": None}
    assert result["negative"]["of"] == 3
    assert "no SLSQP" in result["protocol"]
    # flags that do not matter without SLSQP make no other run of it
    other = settle(settings.replace(epsilon=0.5))[0]
    assert other == settle(settings)[0]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--hidden=0"], "--hidden=0 must be 1 or more"),
        (["--teacher=two"], "--teacher=two is none of alternating, ones"),
        (["--stage=slides", "--epsilon=0"], "--epsilon=0.0 must be above 0"),
        (["--stage=slides", "--slsqp_ftol=-1"], "--slsqp_ftol=-1.0 must be above 0"),
        (["--epsilon=0.1"], "--epsilon is not for --stage=census, but for --stage=slides"),
        (["--stage=graph", "--epsilon=0.1"], "--epsilon is not for --stage=graph"),
        (
            ["--strategy=tpu"],
            "not for teacher_student: a TPU wants batches of one size, and has no",
        ),
        (["--stage=graph", "--learning_rate=0"], "--learning_rate=0.0 must be above 0"),
        (["--stage=tree"], "choose from census, slides, graph"),
        (["--protocol=seed"], "--protocol is gone: say .*--stage=slides"),
        (["--width=5"], "--width is gone: say --hidden"),
        (["--stage=slides", "--seed_students=3"], "--slsqp_students"),
        (["--verify=file"], r"python -m repro\.teacher_student\.verify FILE"),
        (["extra"], "unexpected arguments: extra"),
    ],
)
def test_bad_flags_are_one_clear_line(flags, message):
    with pytest.raises(ValueError, match=message) as error:
        command_line.parse(STAGES, flags)
    assert "\n" not in str(error.value)


def test_flags_of_a_machine_do_not_stop_a_figure(tmp_path):
    """tools/reproduce passes --strategy and --data_dir to runs that have such flags."""
    passed = {"strategy": "mirrored", "data_dir": "nowhere", "download": "false"}
    runs = [{"stage": "graph", "hidden": 2}]
    (planned,) = plans.plan("teacher_student", runs, tmp_path, passed)
    settings, place = command_line.parse(STAGES, planned.command[3:])
    assert settle(settings)[0] == planned.settings
    assert (place.data_dir, place.download) == ("nowhere", False)


@pytest.mark.slow
def test_two_replicas_equal_one_device(make, tmp_path, monkeypatch, mirrored):
    """Adam's blocks of two students are shared as 4 and 1, Newton's students as 3 and 2.

    A student's numbers do not depend on the others'; what is compiled for other shapes may round
    otherwise, 2^-53 an operation, which Newton's method damps.
    """
    monkeypatch.setattr("repro.critical.adam.BLOCK", 2)
    asked = Census(hidden=1, num_students=5, adam_steps=1200, learning_rate=1e-2)
    found = []
    for strategy in ("default", "mirrored"):
        path = tmp_path / strategy
        result = make(asked.replace(newton_iterations=200, strategy=strategy), path)
        with np.load(path / "arrays.npz") as arrays:
            found.append((result["counts"], dict(arrays)))
    (one_counts, one), (two_counts, two) = found
    assert two_counts == one_counts
    assert one["trajectory"].shape == (3, 5, 3, 1)
    for name in ("trajectory", "adam_theta", "incoming", "outgoing", "lambda_min"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-12, atol=1e-14, err_msg=name)


def test_slsqp_at_a_saddle(given, short_graph):
    """At width 2 a neuron and its reflection are a saddle, index 1 or more.

    scipy's default tolerance leaves it where it is; a tiny one descends, as its losses of 1e-3
    are far above 1e-30.
    """
    start = [[[0.3799, -0.3799], [-0.0122, 0.0122], [0.7421, -0.7421]]]
    saddle = newton.to_critical_point(np.array(start), given)[0]
    level = newton.evaluate(saddle[None], given)[0][0]
    moved = saddle + 1e-3 * np.random.default_rng(0).standard_normal(saddle.shape)
    stayed, left = (slides.slsqp(moved, given, ftol) for ftol in (1e-6, 1e-30))
    assert stayed.iterations == 1 and stayed.loss == pytest.approx(level, rel=1e-3)
    assert stayed.lambda_min < 0
    assert left.loss < 0.9 * level
    settings = Slides(slsqp_ftol=1e-6, epsilon=1e-8, max_perturbations=3)
    still, attempts = slides.until_positive(stayed, 0, given, settings)
    assert attempts == 3 and still.lambda_min < 0
    plot = family.losses_after_slsqp([escapes.Example("a", "saddle", saddle)], given, seed=0)
    assert plot.shape == (1, 2, 4)
    np.testing.assert_allclose(plot[0, 0], level, rtol=1e-6)  # moved by 1e-8
