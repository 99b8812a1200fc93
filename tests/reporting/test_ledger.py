"""The ledger: every claim once, with the evidence that counts and the command that repeats it."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from repro.reporting import blocks, claims, evidence, learning, ledger, pages, rows, sweeps
from repro.reporting.results import Run

STRANGE = """<script>alert("1")</script> & 'x'"""
SWEPT = {
    "says": STRANGE,
    "judged_by": STRANGE,
    "objective": 1.0,
    "applies_to": {STRANGE: STRANGE},
    "values": {STRANGE: STRANGE},
    "trials": [{"values": {STRANGE: STRANGE}, "epochs": 1, "objective": 1.0}],
}


def claim(id_, **fields):
    return claims.Claim(id_, f"Statement {id_}.", "Figure 1", "3", lambda runs: None, **fields)


def paper(*ids, main=None):
    main = main and claims.Main(main, "Zebras have stripes.", "all of them")
    return ledger.Paper("zoo", "Ape (2020): zebras", {i: claim(i) for i in ids}, main)


def judged(id_, verdict, runs=(), **fields):
    return {
        "id": id_,
        "verdict": verdict,
        "measured": verdict and f"{id_} {verdict}",
        "protocol": "seed 0/2",
        "runs": list(runs),
        **fields,
    }


def drawn(name, scale, *found):
    record = {
        "title": f"Title of {name}",
        "name": f"zoo/{name}",
        "scale": scale,
        "runs": 2,
        "protocol": "seed 0/2",
        "claims": list(found),
    }
    return Path(f"zoo-{name}-{scale}.json"), record


def directory(tmp_path, name, settings=None, result=None, environment=None, metrics=()):
    path = tmp_path / "zoo" / name
    path.mkdir(parents=True)
    if result is not None:
        (path / "result.json").write_text(json.dumps(result))
    (path / "environment.json").write_text(json.dumps(environment or {}))
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metrics))
    return evidence.read("zoo", path, lambda path: settings or {"seed": 0})


# --- what counts ----------------------------------------------------------------------------------


def test_every_claim_is_there_once_drawn_or_not():
    figures = [ledger.Figure("zoo/a", "A", ["Z1", "Z2"], {"smoke": ["r"], "cpu": ["s", "t"]})]
    found = ledger.collect(
        [paper("Z1", "Z2", "Z3", main="Z2")],
        figures,
        [
            drawn("a", "cpu", judged("Z1", "reproduced", ["r"])),
            drawn("b", "cpu", judged("Z1", "inconclusive", ["r"])),
        ],
        [],
    )
    assert [c["id"] for c in found["claims"]] == ["Z1", "Z2", "Z3"]
    first, second, third = found["claims"]
    assert first["verdict"] == "reproduced"
    assert first["command"] == "tools/reproduce zoo/a --scale=cpu"
    assert [other["verdict"] for other in first["elsewhere"]] == ["inconclusive"]
    assert (second["verdict"], second["main"]) == ("not run", True)
    assert second["next"] == "tools/reproduce zoo/a --scale=cpu"  # not smoke, which judges nothing
    assert (third["verdict"], third["next"]) == ("not run", "")
    assert found["papers"][0]["verdicts"] == {
        "reproduced": 1,
        "contradicted": 0,
        "inconclusive": 0,
        "not run": 2,
    }


@pytest.mark.parametrize(
    "others, verdict",
    [
        ([("cpu", "inconclusive", 9), ("smoke", "contradicted", 9)], "inconclusive"),
        ([("cpu", "contradicted", 1), ("cpu", "reproduced", 9)], "contradicted"),
        ([("cpu", "inconclusive", 2), ("cpu", "reproduced", 3)], "reproduced"),
        ([("cpu", "contradicted", 9), ("paper", "reproduced", 1)], "reproduced"),
        ([("cpu", "reproduced", 3), ("paper", "not run", 0)], "reproduced"),
        ([("cpu", "not run", 0), ("paper", "not run", 0)], "not run"),
    ],
)
def test_the_largest_scale_counts_then_a_contradiction_then_the_most_runs(others, verdict):
    records = [
        drawn(str(i), scale, judged("Z1", v, map(str, range(n))))
        for i, (scale, v, n) in enumerate(others)
    ]
    for order in (records, records[::-1]):
        (found,) = ledger.collect([paper("Z1")], [], order, [])["claims"]
        assert found["verdict"] == verdict


def test_no_command_is_named_whose_runs_cannot_decide(tmp_path):
    figures = [ledger.Figure("zoo/a", "A", ["Z1", "Z2"], {"cpu": ["r"], "paper": ["s"]})]
    zoo = paper("Z1", "Z2")
    zoo.claims["Z2"] = dataclasses.replace(zoo.claims["Z2"], scale="paper")
    commands = [c["next"] for c in ledger.collect([zoo], figures, [], [])["claims"]]
    assert commands == [f"tools/reproduce zoo/a --scale={scale}" for scale in ("cpu", "paper")]


def test_more_is_learned_at_the_next_scale_whose_runs_are_missing(tmp_path):
    figures = [
        ledger.Figure("zoo/a", "A", ["Z1"], {"cpu": ["r"], "paper": ["s", "t"]}),
        ledger.Figure("zoo/b", "B", ["Z1"], {"paper": ["r"]}),
    ]
    runs = [evidence.record(directory(tmp_path, "r", result={}), {})]
    found = ledger.collect(
        [paper("Z1")], figures, [drawn("a", "cpu", judged("Z1", "inconclusive", ["r"]))], runs
    )
    assert found["claims"][0]["next"] == "tools/reproduce zoo/a --scale=paper"
    left = [(p["name"], p["scale"], p["runs"] - p["complete"]) for p in found["planned"]]
    assert left == [("zoo/a", "cpu", 0), ("zoo/a", "paper", 2), ("zoo/b", "paper", 0)]


def test_what_a_finding_says_of_its_error_reaches_the_ledger():
    run = Run(Path("r"), {"seed": 0}, {"protocol": "short"}, [])
    finding = claims.Finding(
        "4.1",
        "inconclusive",
        [run],
        error="0.3, Student's t over 3 seeds",
        sensitivity={"half": "contradicted", "twice": "reproduced"},
    )
    said = claims.Claim("Z1", "S.", "F", "4", lambda runs: finding, criterion="at most 4")
    short = claims.Finding("1", "reproduced", [run])
    plain = claims.Claim("Z2", "S.", "F", "4", lambda runs: short)
    records = claims.judge([said, plain], [run], "cpu")
    assert not {"criterion", "error", "sensitivity"} & set(records[1])  # as it always was
    found = ledger.collect([paper("Z1", "Z2")], [], [drawn("a", "cpu", *records)], [])["claims"]
    assert found[0]["criterion"] == "at most 4"
    assert found[0]["error"] == "0.3, Student's t over 3 seeds"
    assert found[0]["sensitivity"]["half"] == "contradicted"
    assert found[1]["sensitivity"] is None


def test_runs_that_are_not_here_are_said_and_seeds_come_from_the_protocol():
    found = ledger.collect(
        [paper("Z1")], [], [drawn("a", "cpu", judged("Z1", "reproduced", ["gone"]))], []
    )
    assert found["claims"][0]["absent"] == ["gone"]
    assert found["claims"][0]["seeds"] == [0, 2]


def test_json_holds_numbers_that_json_has_not():
    text = ledger.as_json({"a": [math.nan, math.inf, 1.5], "b": {"c": -math.inf}})
    assert json.loads(text) == {"a": ["nan", "inf", 1.5], "b": {"c": "-inf"}}


# --- evidence -------------------------------------------------------------------------------------


def test_code_is_current_changed_or_earlier(tmp_path):
    now = {"repro.a": "11", "repro.b": "22"}
    for made, state, changed in (
        ({"repro.a": "11"}, "current", []),
        ({"repro.a": "11", "repro.b": "2x"}, "changed", ["repro.b"]),
        ({"repro.gone": "1"}, "changed", ["repro.gone"]),
        (None, "earlier", []),
    ):
        environment = {} if made is None else {"code": made}
        found = directory(tmp_path, f"{state}{changed}", environment=environment)
        record = evidence.record(found, now)
        assert (record["code"], record["changed"]) == (state, changed)


def test_a_run_that_is_going_on_shows_its_rows_so_far(tmp_path):
    row = {"epoch": 1, "step": 9, "train/loss": 2.5, "seconds": 3.0}
    found = directory(tmp_path, "r", metrics=[row])
    with (found.path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "tra')  # as its writer was seen half way
    record = evidence.record(evidence.read("zoo", found.path, lambda path: {"seed": 0}), {})
    assert record["status"] == "not complete"
    assert record["last"] == row
    assert record["seconds"] == 3.0


def test_a_damaged_run_is_listed_with_what_is_wrong(tmp_path):
    found = directory(tmp_path, "r")
    (found.path / "result.json").write_text("{")
    damaged = evidence.record(evidence.read("zoo", found.path, lambda path: {}), {})
    assert damaged["status"] == "unreadable" and "result.json is damaged" in damaged["problem"]

    def gone(path):
        raise ValueError("--zoo is unknown")

    assert "--zoo is unknown" in evidence.read("zoo", found.path, gone).problem


def test_who_needs_whom_is_said_on_both_sides(tmp_path):
    start = evidence.record(directory(tmp_path, "start", result={}), {})
    run = evidence.record(directory(tmp_path, "run", result={}), {}, ["start"])
    found = {r["name"]: r for r in ledger.collect([paper()], [], [], [start, run])["runs"]}
    assert found["run"]["needs"] == ["start"] and found["start"]["needed_by"] == ["run"]


# --- tables of runs -------------------------------------------------------------------------------


def test_a_result_named_like_a_setting_keeps_both(tmp_path):
    runs = [
        evidence.record(
            directory(
                tmp_path,
                name,
                settings={"seed": 0, "epochs": 9, "augment": ["crop", "flip"], **more},
                result={"epochs": 4, "test_accuracy": 0.5, "norms": {"a": 1}, "note": 'a "b", c'},
            ),
            {},
        )
        for name, more in (("r", {}), ("s", {"width": 2.0}))
    ]
    columns, found = rows.table(runs)
    assert len(columns) == len(set(columns))
    assert (found[0]["epochs"], found[0]["result_epochs"]) == (9, 4)
    lines = rows.as_csv(runs).splitlines()
    assert lines[0].split(",") == columns and len(lines) == 3
    assert '"crop,flip"' in lines[1] and '"a ""b"", c"' in lines[1]
    assert "norms" not in columns


def test_frame_has_the_rows_of_the_csv(tmp_path):
    pytest.importorskip("pandas", reason="pandas is an optional extra")
    from repro import reporting

    run = evidence.record(directory(tmp_path, "r", result={"test_accuracy": 0.5}), {})
    frame = reporting.frame([run, {**run, "name": "s"}])
    assert list(frame.name) == ["r", "s"]
    assert frame.test_accuracy.mean() == 0.5


# --- learning curves ------------------------------------------------------------------------------


def lines_of(svg):
    parts = svg.split("<")
    return [part for part in parts if part.startswith(("polyline", "polygon"))]


def rows_of(*losses):
    return [{"epoch": i, "step": 10 * i, "train/loss": x} for i, x in enumerate(losses)]


def points(element):
    pairs = element.split('points="')[1].split('"')[0].split()
    return [tuple(map(float, pair.split(","))) for pair in pairs]


def test_seeds_are_a_band_around_their_mean():
    group = learning.Group("", [rows_of(4.0, 2.0, 1.0), rows_of(2.0, 1.0, 3.0)])
    (svg,) = learning.panels([group])
    band, mean = lines_of(svg)
    upper, lower = points(band)[:3], points(band)[:2:-1]
    for (x, high), (x_, low), (x__, middle) in zip(upper, lower, points(mean), strict=True):
        assert x == x_ == x__
        assert high < low  # y grows downwards
        assert middle == pytest.approx((high + low) / 2, abs=0.11)  # three numbers of one decimal


def test_where_a_seed_ended_earlier_the_other_goes_on_by_itself():
    group = learning.Group("", [rows_of(4.0, 2.0), rows_of(4.0, 3.0, 1.0, 0.5)])
    (svg,) = learning.panels([group])
    _, mean, rest = lines_of(svg)
    assert "thin" in rest and len(points(rest)) == 3
    assert points(mean)[-1][0] == points(rest)[0][0]


def test_settings_in_step_are_said_once():
    settings = [
        {"copies": n, "init": init, "augment": [a], "seed": seed}
        for n, init in ((1, "random"), (5, "adversarial"))
        for a in "xy"
        for seed in (0, 1)
    ]
    assert learning.together(settings) == {"init": ["copies"], "augment": []}
    groups = learning.groups([(each, []) for each in settings])
    assert groups[0].label == "init random, augment x"
    assert [len(g.seeds) for g in groups] == [2] * 4


def test_numbers_that_are_not_finite_are_left_out_and_one_point_is_no_curve():
    assert not learning.panels([learning.Group("", [rows_of(1.0)])])
    (svg,) = learning.panels([learning.Group("", [rows_of(1.0, math.nan, 2.0, math.inf)])])
    (line,) = lines_of(svg)
    assert len(points(line)) == 2 and "nan" not in svg and "inf" not in svg


# --- strange text ---------------------------------------------------------------------------------


def test_strange_text_is_text(tmp_path):
    """Wherever it stands: statements, settings, numbers, tables, titles, names of directories."""
    figures_dir = tmp_path / "figures"
    figures_dir.mkdir()
    table = f"### T\n\n| a |\n|---|\n| {STRANGE} |\n\n{STRANGE}\n"
    (figures_dir / "zoo-a-cpu.md").write_text(table)
    found = [
        directory(
            tmp_path,
            f"r{i}",
            {"seed": 0, "model": f"{STRANGE}{i}"},
            {"summary": STRANGE},
            {"command": STRANGE, "commit": STRANGE, "versions": {"tensorflow": STRANGE}},
            [{"epoch": e, f"{STRANGE}/loss": 1.0, "train/loss": 1.0 / (e + 1)} for e in range(3)],
        )
        for i in range(2)
    ]
    strange = claims.Claim("Z1", STRANGE, STRANGE, STRANGE, lambda runs: None, STRANGE)
    record = judged("Z1", "reproduced", ["r0", "r1"], measured=STRANGE, error=STRANGE)
    file, figure = drawn("a", "cpu", record)
    figure |= {"title": STRANGE, "protocol": STRANGE}
    collected = ledger.collect(
        [ledger.Paper("zoo", STRANGE, {"Z1": strange}, claims.Main("Z1", STRANGE, STRANGE))],
        [ledger.Figure("zoo/a", STRANGE, ["Z1"], {"cpu": ["r0", "r1", "r2"]})],
        [(file, figure)],
        [evidence.record(each, {}) for each in found],
        sweeps.records("zoo", {STRANGE: SWEPT}),
    )
    directories = {("zoo", each.path.name): each for each in found}
    for page in (
        pages.index(collected),
        pages.paper(collected, "zoo", figures_dir, directories),
    ):
        assert "<script>alert" not in page
        assert page.count("<script>") == 1  # our own
        assert "&lt;script&gt;alert(" in page
        assert "'x'" not in page.split("<body")[1].split("<script>")[0]


def test_a_page_says_what_would_decide_what_is_open_and_how_long_runs_took(tmp_path):
    claimed = {id_: claim(id_, to_decide="More seeds.") for id_ in ("Z1", "Z2")}
    two = ledger.Paper("zoo", "Ape (2020): zebras", claimed)
    drawings = [
        drawn("a", "cpu", judged("Z1", "inconclusive", ["r"]), judged("Z2", "reproduced", ["s"]))
    ]
    runs = [
        evidence.record(directory(tmp_path, name, result=result), {})
        for name, result in {"r": {"seconds": 5400}, "s": {}, "unused": {"seconds": 1}}.items()
    ]
    text = blocks.block("claims of zoo", ledger.collect([two], [], drawings, runs), tmp_path)
    assert "* Z1: More seeds." in text and "* Z2" not in text
    assert "1 of the 2 runs behind these verdicts recorded how long they took: 1.5 hours" in text
    assert "2 of the 2 were made by earlier code" in text


def test_code_in_text_is_code_on_a_page_and_nothing_else_is():
    found = pages.coded("`a<b>` & <i>`c`")
    assert found == "<code>a&lt;b&gt;</code> &amp; &lt;i&gt;<code>c</code>"
