"""From configs to pictures: the smoke runs of Liu et al.'s figures, with a tiny network."""

import json

import pytest

from repro import papers
from repro import settings as settings_
from repro.bad_minima.settings import STAGES
from repro.bad_minima.tables import TABLES
from repro.reporting import claims, figures, results
from repro.settings import as_dict
from repro.tools import plans

FIGURES = ("four_settings", "norms", "adversary", "departures", "initial_norms", "combinations")
SHORT = {
    "epochs": 2,
    "drop_at": (1,),
    "eval_every": 2,
    "pretrain_epochs": 2,
    "pretrain_drop_at": (1,),
}


@pytest.fixture(scope="module")
def runs_of(make, tiny_network, tmp_path_factory):
    """Return the smoke runs of a figure, each trained once for a few steps."""
    home = tmp_path_factory.mktemp("runs")

    def get(figure):
        found = {}
        for flags in plans.expand(plans.load_config(f"bad_minima/{figure}"), "smoke"):
            asked = settings_.from_dict(STAGES, {**flags, "sharpness_examples": 0})
            epochs = min(asked.epochs, SHORT["epochs"])
            settings, _ = settings_.settle(asked.replace(**{**SHORT, "epochs": epochs}))
            path = home / settings_.name(settings)
            if path not in found:
                make(settings, path)
                found[path] = results.load(path, as_dict(settings))
        return list(found.values())

    return get


LONG = {"adversary", "combinations", "departures"}  # many runs, of which others have all kinds
MARKED = [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in FIGURES]


@pytest.mark.parametrize("name", MARKED)
def test_figures_are_drawn_from_runs(runs_of, name, tmp_path):
    config = plans.load_config(f"bad_minima/{name}")
    runs = runs_of(name)
    made = papers.figure("bad_minima", config["figure"])
    files = figures.draw(made, runs, config["title"], tmp_path / name)
    kinds = {".md", ".tex"} if name in TABLES else {".png", ".pdf"}
    assert {file.suffix for file in files} == kinds and all(file.exists() for file in files)
    known = papers.claims("bad_minima")
    records = claims.judge([known[id_] for id_ in config["claims"]], runs, "smoke")
    text = json.dumps(records, allow_nan=False)
    assert "64 training and 359 test images" in text or name == "initial_norms"
    # Two steps decide nothing, but every claim finds the runs it needs.
    assert all(record["verdict"] != "not run" or record["id"] == "B12" for record in records)


def test_pretraining_happens_once_for_all_that_start_from_it(runs_of):
    """Four settings, one seed: two starts are random, two adversarial from one run."""
    runs = runs_of("four_settings")
    starts = {run.result["pretraining"]["directory"] for run in runs if run.result["pretraining"]}
    assert len(runs) == 4 and len(starts) == 1
