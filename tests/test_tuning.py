"""Filling what is unsaid, and sweeps over a function whose best values are known."""

import functools
import itertools
import json

import pytest

from repro import tuning

SPACE = {"a": [0, 1, 2], "b": [0.0, 0.5]}


@pytest.fixture
def tuned_file(tmp_path):
    file = tmp_path / "configs" / "tuned.json"
    tuning.record(
        file, "net", found(64, {"model": "net", "dataset": "digits", "corruption": "none"})
    )
    return file


def found(batch_size, applies_to):
    """A sweep of one trial, as tuned.json has it."""
    values = {"batch_size": batch_size}
    trial = {"values": values, "epochs": 1, "objective": 0.5}
    said = {"says": "the batch", "judged_by": "accuracy", "objective": 0.5, "trials": [trial]}
    return said | {"values": values, "applies_to": applies_to}


def settings(**changes):
    return {"model": "net", "dataset": "digits", "corruption": "none", **changes}


def test_what_a_sweep_found_is_used_where_it_applies(tuned_file):
    assert tuning.values(tuned_file, settings()) == {"batch_size": 64}


@pytest.mark.parametrize(
    "other",
    [{"corruption": "random_labels"}, {"dataset": "cifar10"}, {"model": "other net"}],
    ids=str,
)
def test_tuned_values_apply_only_to_what_they_were_found_for(tuned_file, other):
    assert tuning.values(tuned_file, settings(**other)) == {}


def test_what_was_chosen_to_match_applies_to_nothing(tuned_file):
    tuning.record(tuned_file, "other", found(7, None))
    assert tuning.values(tuned_file, settings()) == {"batch_size": 64}


@pytest.mark.parametrize("field", ["says", "judged_by", "trials", "applies_to", "values"])
def test_a_file_of_an_earlier_tool_is_named(tuned_file, field):
    sweep = found(1, None)
    del sweep[field]
    tuning.record(tuned_file, "other", sweep)
    with pytest.raises(ValueError, match=r"holds no sweep other .*mend it, or sweep again"):
        tuning.values(tuned_file, settings())


def test_there_may_be_no_sweep(tmp_path):
    assert tuning.values(tmp_path / "missing.json", settings()) == {}


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "tuned.json").write_text("{")
    with pytest.raises(ValueError, match=r"tuned\.json is not JSON"):
        tuning.values(tmp_path / "tuned.json", settings())


def test_recording_keeps_other_keys(tuned_file):
    tuning.record(tuned_file, "other", found(2, None))
    tuning.record(tuned_file, "other", found(1, None))
    tuned = json.loads(tuned_file.read_text())
    assert set(tuned) == {"net", "other"} and tuned["other"]["values"] == {"batch_size": 1}


def test_best_is_the_first_best_of_those_trained_longest():
    trials = [
        tuning.Trial({"a": n}, *rest)
        for n, rest in enumerate([(1, 0.9), (3, 0.4), (3, 0.6), (3, 0.6)])
    ]
    assert tuning.best(trials).values == {"a": 2}


def score(values, epochs):
    """Has its only maximum, 1, at a = 2 and b = 0.5 after long training."""
    return 1 - (values["a"] - 2) ** 2 / 8 - abs(values["b"] - 0.5) - 0.1 / epochs


def sweep(tmp_path, run=score, **settings):
    return tuning.sweep(
        run,
        SPACE,
        directory=tmp_path / "sweep",
        **{"trials": None, "epochs": 4, "seed": 0, **settings},
    )


def test_grid_tries_everything_once_and_the_defaults_first(tmp_path):
    trials = sweep(tmp_path, tuner="grid")
    tried = [tuple(trial.values.values()) for trial in trials]
    assert sorted(tried) == sorted(itertools.product(*SPACE.values()))
    assert tried[0] == (0, 0.0)
    assert tuning.best(trials).values == {"a": 2, "b": 0.5}
    assert tuning.best(trials).objective == pytest.approx(score({"a": 2, "b": 0.5}, 4))


@pytest.mark.parametrize("tuner", tuning.TUNERS)
def test_values_may_be_words(tmp_path, tuner):
    def run(values, epochs):
        return float(values["init"] == "torch") + values["steps"] / 100

    trials = tuning.sweep(
        run,
        {"init": ("glorot", "torch", "he"), "steps": (30, 10)},
        tuner=tuner,
        trials=6,
        epochs=4,
        seed=0,
        directory=tmp_path / "sweep",
    )
    assert {type(trial.values["init"]) for trial in trials} == {str}
    best = tuning.best(trials).values
    assert best["init"] == "torch" and (tuner != "grid" or best["steps"] == 30)


@pytest.mark.parametrize("tuner", tuning.TUNERS)
def test_the_documented_defaults_are_tried_first(tmp_path, tuner):
    space = {"a": (2, 0, 1), "b": (0.5, 0.0), "c": (3, 1, 2, 4)}
    first, *others = tuning.sweep(
        lambda values, epochs: float(values["c"]),
        space,
        tuner=tuner,
        trials=8,
        epochs=4,
        seed=3,
        directory=tmp_path / "sweep",
    )
    assert first.values == {"a": 2, "b": 0.5, "c": 3}
    if tuner != "hyperband":  # which trains good ones again, for longer
        assert first.values not in [trial.values for trial in others]


@pytest.mark.parametrize("tuner", ["random", "bayesian"])
def test_trials_bound_a_search_and_the_seed_fixes_it(tmp_path, tuner):
    first = sweep(tmp_path, tuner=tuner, trials=3)
    assert len(first) == 3 and {trial.epochs for trial in first} == {4}
    assert sweep(tmp_path / "again", tuner=tuner, trials=3) == first
    assert sweep(tmp_path / "other", tuner=tuner, trials=3, seed=5) != first


def test_hyperband_trains_the_better_ones_longer(tmp_path):
    trials = sweep(tmp_path, tuner="hyperband")
    short, long = ([t for t in trials if t.epochs == e] for e in (2, 4))
    assert len(short) > 0 and {t.epochs for t in trials} == {2, 4}
    best_short = max(short, key=lambda trial: trial.objective)
    assert best_short.values in [trial.values for trial in long]


@pytest.mark.parametrize("tuner", tuning.TUNERS)
def test_a_sweep_goes_on_after_a_kill_as_if_there_had_been_none(tmp_path, tuner):
    answers, computed = {}, []

    def run(values, epochs, kill_at=None):
        key = (*values.values(), epochs)
        if key not in answers:  # what the run directories do for `tools/tune`
            if len(computed) == kill_at:
                raise KeyboardInterrupt
            computed.append(key)
            answers[key] = score(values, epochs)
        return answers[key]

    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, functools.partial(run, kill_at=3), tuner=tuner, trials=5)
    trials = sweep(tmp_path, run, tuner=tuner, trials=5)
    assert len(trials) == 5 and len(computed) == len(set(computed)) == len(answers)
    assert trials == sweep(tmp_path / "whole", tuner=tuner, trials=5)


def test_an_error_ends_the_sweep_as_itself(tmp_path):
    def run(values, epochs):
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match=r"^no data$"):
        sweep(tmp_path, run, tuner="random")
