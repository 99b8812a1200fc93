"""Claims of Zhang et al. 2017 and of the EPFL student rerun on regularisers: R14, R15, R17 to R20 and R27."""

from collections.abc import Sequence

from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    accuracy_error,
    sign_verdict,
    verdict,
)
from repro.reporting.results import Run, distinct, select
from repro.randomization.measures import PLAIN, corruption_level

# Table 1: test accuracy in percent on true labels, without crop and weight decay.
TABLE1_PLAIN = {
    "inception": 85.75,
    "inception_no_bn": 82.00,
    "alexnet": 76.07,
    "mlp_3x512": 52.39,
    "mlp_1x512": 50.51,
}


def r14(runs):
    rows, used = [], []
    for model, paper in TABLE1_PLAIN.items():
        for run in select(runs, model=model, train_examples=None, **PLAIN):
            if corruption_level(run) == 0:
                rows.append((model, 100 * run.result["test_accuracy"], paper))
                used.append(run)
    if not rows:
        return None
    measured = ", ".join(f"{model} {ours:.1f} ({paper})" for model, ours, paper in rows)
    outcome = verdict([abs(ours - paper) <= 2.5 for _, ours, paper in rows])
    if outcome == REPRODUCED and len(rows) < len(TABLE1_PLAIN):
        outcome = INCONCLUSIVE
    measured = f"{len(rows)} of {len(TABLE1_PLAIN)} networks were run: {measured}"
    return Finding(measured, outcome, used)


def r15(runs):
    return _gain(runs, {"model": "inception"}, {"model": "inception_no_bn"}, corruption="none")


def r17(runs):
    chosen = select(runs, model="inception_no_bn", corruption="none", **PLAIN)
    at_the_papers_rate = select(chosen, learning_rate=0.1)
    if not at_the_papers_rate:
        return None
    accuracies = [
        f"{run.result['train_accuracy'] or 0:.1%} at {run.settings['learning_rate']:g} "
        f"({run.settings['initializer'] or 'glorot_uniform'}, {run.result['epochs']} epochs)"
        for run in chosen
    ]
    best = max(run.result["train_accuracy"] or 0 for run in at_the_papers_rate)
    # Between chance and a fit it trains, but was not given the time to say how far.
    outcome = REPRODUCED if best >= 0.99 else INCONCLUSIVE if best > 0.2 else CONTRADICTED
    return Finding("train accuracy " + ", ".join(accuracies), outcome, chosen)


def r18(runs):
    gains = {}
    for name, change in (("crop", {"augment": ["crop"]}), ("decay", {"weight_decay": True})):
        pair = _pair(runs, change, {}, model="inception", corruption="none")
        if pair is None:
            return None
        gains[name] = pair
    difference = {
        name: with_it.result["test_accuracy"] - without.result["test_accuracy"]
        for name, (with_it, without) in gains.items()
    }
    used = [run for pair in gains.values() for run in pair]
    measured = f"random crop {difference['crop']:+.1%}, weight decay {difference['decay']:+.1%}"
    error = accuracy_error(gains["crop"][0], gains["decay"][0])
    return Finding(measured, sign_verdict(difference["crop"] - difference["decay"], error), used)


def r19(runs):
    chosen = [
        run for run in select(runs, corruption="random_labels", augment=[])
        if run.settings["weight_decay"] > 0
    ]  # fmt: skip
    if not {"alexnet", "mlp_1x512"} <= set(distinct(chosen, "model")):
        return None
    rows = sorted(
        (run.settings["model"], run.settings["weight_decay"], run.result["train_accuracy"])
        for run in chosen
    )
    measured = ", ".join(f"{model} at {decay:g}: {accuracy:.1%}" for model, decay, accuracy in rows)
    alexnet_fails = any(model == "alexnet" and accuracy < 0.98 for model, _, accuracy in rows)
    others = [accuracy >= 0.98 for model, _, accuracy in rows if model != "alexnet"]
    return Finding(measured, verdict([alexnet_fails, *others]), chosen)


def r20(runs):
    chosen = select(runs, model="inception", corruption="none", **PLAIN)
    if not chosen:
        return None
    gains = [max(run.curve("test/accuracy")[1]) - run.result["test_accuracy"] for run in chosen]
    measured = "best minus final test accuracy " + ", ".join(f"{100 * g:.2f} points" for g in gains)
    return Finding(measured, verdict([gain < 0.01 for gain in gains]), chosen)


def r27(runs):
    return _gain(runs, {"weight_decay": 1e-3}, {"weight_decay": 0.0}, model="inception",
                 corruption="none", augment=[], dropout_rate=0.0)


def _pair(runs: Sequence[Run], with_it: dict, without: dict, **common) -> tuple[Run, Run] | None:
    """Return the best run with a change and the best that is plain otherwise.

    `weight_decay: True` in `with_it` stands for any that is not 0.
    """
    plain = {**PLAIN, **common}
    changed = {**plain, **with_it}
    if changed["weight_decay"] is True:
        del changed["weight_decay"]
        runs_with = [run for run in select(runs, **changed) if run.settings["weight_decay"] > 0]
    else:
        runs_with = select(runs, **changed)
    runs_without = select(runs, **{**plain, **without})
    if not runs_with or not runs_without:
        return None
    best = [max(some, key=lambda run: run.result["test_accuracy"] or 0)
            for some in (runs_with, runs_without)]  # fmt: skip
    return best[0], best[1]


def _gain(runs: Sequence[Run], with_it: dict, without: dict, **common) -> Finding | None:
    pair = _pair(runs, with_it, without, **common)
    if pair is None:
        return None
    accuracies = [run.result["test_accuracy"] for run in pair]
    difference, error = accuracies[0] - accuracies[1], accuracy_error(*pair)
    measured = (
        f"{accuracies[0]:.1%} against {accuracies[1]:.1%}: "
        f"{100 * difference:+.1f} points (standard error {100 * error:.1f})"
    )
    outcome = sign_verdict(difference, error)
    unfitted = [run for run in pair if (run.result["train_accuracy"] or 0) < 0.99]
    if unfitted:
        measured += "; training ended at " + ", ".join(
            f"{run.result['train_accuracy'] or 0:.1%} train accuracy ({run.settings['model']})"
            for run in unfitted
        )
        outcome = INCONCLUSIVE
    return Finding(measured, outcome, pair)


CLAIMS = (
    Claim("R14", "Clean accuracies of Table 1, within 2.5 points.", "Table 1",
          "85.75, 82.00, 76.07, 52.39, 50.51", r14),
    Claim("R15", "Batch norm helps Inception.", "Table 1 and Figure 2b",
          "+3.75 and +1.6 points", r15),
    Claim("R17", "Inception without batch norm trains at learning rate 0.1.", "Table 1",
          "100 % train; the EPFL student rerun was stuck at 10 %", r17),
    Claim("R18", "Random crops help Inception more than weight decay.", "Table 1",
          "+3.56 and +0.28 points", r18),
    Claim("R19", "Weight decay keeps AlexNet from fitting random labels, and no other.",
          "Table 4", "100 / fails / 100 / 99.21 %", r19),
    Claim("R20", "Early stopping gains less than a point.", "Figure 2b", "0.2 to 0.4", r20),
    Claim("R27", "Weight decay 1e-3 ends above no regulariser.", "Table 1 and the EPFL student rerun",
          "+0.28; 88.9 against 87.2 %", r27),
)  # fmt: skip
