"""Verdicts: what makes a claim reproduced, contradicted or neither."""

import json
from pathlib import Path

import pytest

from repro import papers
from repro.reporting import claims
from repro.reporting.claims import Claim, Finding
from repro.reporting.results import Run
from repro.tools import plans, runs

REFERENCE = Path(__file__).parents[2] / "outputs" / "reference"


def run(name="made_up", **result):
    settings = {"seed": 0, "dataset": "cifar10", "model": "m"}
    return Run(Path(name), settings, {"train_examples": 9, "test_examples": 100, **result}, [])


def test_a_claim_is_judged_from_its_runs():
    runs = [run("b"), run("a")]
    claim = Claim("Z1", "It holds.", "Table 1", "100 %", lambda r: Finding("99 %", "reproduced", r))
    (record,) = claims.judge([claim], runs, "cpu")
    expected = {
        "id": "Z1",
        "statement": "It holds.",
        "source": "Table 1",
        "published": "100 %",
        "scale": "cpu",
        "measured": "99 %",
        "verdict": "reproduced",
        "runs": ["a", "b"],
        "protocol": "m on cifar10, 9 training and 100 test images, seed 0",
    }
    assert {key: record[key] for key in expected} == expected
    assert "Z1" in claims.as_text([record]) and "99 %; published 100 %" in claims.as_text([record])


def test_without_its_runs_a_claim_is_not_judged():
    (record,) = claims.judge([Claim("Z1", "", "", "", lambda runs: None)], [run()], "cpu")
    assert (record["verdict"], record["measured"], record["runs"]) == ("not run", "", [])


def counting(**fields):
    """A claim on how many runs it is given."""
    return Claim("Z1", "", "", "", lambda r: Finding(str(len(r)), "reproduced", r), **fields)


def test_a_claim_may_look_at_all_runs_of_its_paper():
    figure, others = [run("a"), run("b")], [run("b"), run("c")]
    (here,) = claims.judge([counting()], figure, "cpu", others)
    (all_,) = claims.judge([counting(everywhere=True)], figure, "cpu", others)
    assert (here["measured"], here["runs"]) == ("2", ["a", "b"])
    assert (all_["measured"], all_["runs"]) == ("3", ["a", "b", "c"])  # each once
    (alone,) = claims.judge([counting(everywhere=True)], figure, "cpu")
    assert alone["measured"] == "2"


def test_the_small_data_of_scale_smoke_is_never_mixed_with_others():
    small, large = run("small"), run("large")
    small.settings["dataset"] = "digits"
    for figure, others in (([small], [large]), ([large], [small])):
        (record,) = claims.judge([counting(everywhere=True)], figure, "cpu", others)
        assert record["measured"].split(";")[0] == "1"


@pytest.mark.parametrize(
    ("accuracy", "by_rule", "expected"),
    [
        (0.99, False, True),
        (0.98, False, False),
        (0.98, True, True),
        (None, False, False),
        (None, True, True),
    ],
)
def test_trainings_that_ended(accuracy, by_rule, expected):
    assert claims.ended(accuracy, by_rule) is expected


@pytest.mark.parametrize("verdict", ["reproduced", "contradicted", "inconclusive"])
def test_what_is_cut_short_is_inconclusive_whichever_way_it_points(verdict):
    finding = Finding("1 point", verdict, [run()], "", {"half": verdict, "twice": verdict})
    assert claims.undecided(finding, "") is finding
    open_ = claims.undecided(finding, "cut short")
    assert (open_.verdict, open_.measured) == ("inconclusive", "1 point; cut short")
    assert open_.sensitivity is None  # no tolerance would change it


def test_verdicts_ask_for_seeds():
    def seeded(*seeds):
        runs = [Run(Path(str(s)), {"seed": s}, {}, []) for s in seeds]
        return Finding("1 point", "reproduced", runs)

    assert claims.of_seeds(seeded(0, 1, 2)).verdict == "reproduced"
    assert claims.of_seeds(seeded(0, 1, 1)).verdict == "inconclusive"  # two of them are one
    few = claims.of_seeds(seeded(0, 1, 2), 5)
    assert few.verdict == "inconclusive" and "3 of the 5 seeds asked for" in few.measured
    assert claims.of_seeds(seeded(0, 1, 2), runs=seeded(0).runs).verdict == "inconclusive"


def test_seeds_that_disagree_are_inconclusive():
    assert claims.verdict([True, True]) == "reproduced"
    assert claims.verdict([True, False]) == "inconclusive"
    assert claims.verdict([False, False]) == "contradicted"


def test_verdicts_of_parts():
    """Agreement wants all the same; what every part must hold for is as bad as the worst."""
    assert claims.agreed(["contradicted", "contradicted"]) == "contradicted"
    assert claims.agreed(["contradicted", "reproduced"]) == "inconclusive"
    assert claims.worst(["reproduced", "inconclusive"]) == "inconclusive"
    assert claims.worst(["reproduced", "contradicted", "inconclusive"]) == "contradicted"


def test_every_claim_says_what_decides_it():
    for paper in papers.PAPERS:
        for claim in papers.claims(paper).values():
            assert claim.criterion.strip(), claim.id


# --- what small data cannot decide ----------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["reproduced", "contradicted"])
def test_what_stands_in_for_a_papers_data_decides_only_what_holds_on_any(verdict):
    def judged(dataset, **fields):
        one = run()
        one.settings["dataset"] = dataset
        claim = Claim("Z1", "", "", "", lambda r: Finding("1 point", verdict, r), **fields)
        return claims.judge([claim], [one], "smoke")[0]

    small = judged("digits")
    assert small["verdict"] == "inconclusive"
    assert small["measured"] == "1 point; digits stand in for the data that this claim is about"
    assert judged("digits", general=True)["verdict"] == verdict
    assert judged("cifar10")["verdict"] == judged(None)["verdict"] == verdict


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_runs_of_scale_smoke_have_no_data_but_digits(paper):
    """So that no claim of theirs escapes the rule above; normal points are Theorem 1's own."""
    for name in plans.figures([paper], "smoke"):
        flags = plans.expand(plans.load_config(name), "smoke")
        for planned in plans.plan(paper, flags, Path(), {}):
            assert getattr(planned.settings, "dataset", None) in (None, "digits", "gaussian"), name


@pytest.mark.parametrize(
    "paper", sorted(set(papers.PAPERS) - {"teacher_student"})
)  # it has no data
def test_on_digits_claims_on_a_papers_data_are_open(paper):
    """The reference runs, as if digits had been their data: only general claims keep a verdict."""
    found = [each for each in runs.find(REFERENCE) if each.paper == paper and each.result]
    made = {each.path.name: each.run for each in found}
    for one in made.values():
        if "dataset" in one.settings:
            one.settings["dataset"] = "digits"
    decided = 0
    for figure in sorted((REFERENCE / "figures").glob(f"{paper}-*-cpu.json")):
        record = json.loads(figure.read_text())
        for before in record["claims"]:
            claim = papers.claims(paper)[before["id"]]
            used = [made[name] for name in before["runs"] if name in made]
            after = claims.judge([claim], used, "smoke")[0] if used else {"verdict": "not run"}
            if after["verdict"] in ("reproduced", "contradicted"):
                data = {
                    one.settings.get("dataset") for one in used if one.path.name in after["runs"]
                }
                assert claim.general or data == {None}, claim.id
                decided += 1
    assert decided
