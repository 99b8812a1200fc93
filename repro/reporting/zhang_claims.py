"""The claims of Zhang et al. 2017 and of seed 003's rerun, R1 to R20 and R27, as checks on runs."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

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
from repro.reporting.results import Run, distinct, only, published, select

PARAMETERS = {
    "inception": 1_649_402,
    "inception_no_bn": 1_649_402,
    "alexnet": 1_387_786,
    "mlp_3x512": 1_735_178,
    "mlp_1x512": 1_209_866,
}
# Figure 1a's curves, in the order in which the paper's reach a loss of 0.1.
ORDER = ("none", "shuffled_pixels", "gaussian", "random_pixels", "random_labels")
# Figure 1b does not say when a network has overfitted. With Figure 1a's curves, its ratio for
# Inception (36 epochs over 10) fits any loss from 0.0466 to 0.0580.
OVERFITTED_LOSS = 0.05
FIG1_MODELS = {"inception": "Inception", "alexnet": "AlexNet", "mlp_1x512": "MLP1x512"}
# Table 1, test accuracy in percent without crop and weight decay: network -> (true, random labels)
TABLE1_PLAIN = {
    "inception": (85.75, 9.78),
    "inception_no_bn": (82.00, 10.12),
    "alexnet": (76.07, 9.86),
    "mlp_3x512": (52.39, 10.48),
    "mlp_1x512": (50.51, 10.61),
}
PLAIN = {"augment": [], "weight_decay": 0.0, "dropout_rate": 0.0, "redraw": False}


def corruption_level(run: Run) -> float:
    """Return p: the share of labels that were replaced."""
    if run.settings["corruption"] == "random_labels":
        return 1.0
    return run.settings["corrupt_prob"] if run.settings["corruption"] == "partial_labels" else 0.0


def label_noise_runs(runs: Sequence[Run], model: str) -> list[Run]:
    """Return a network's runs on true and on corrupted labels, by rising p."""
    chosen = [
        run for run in select(runs, model=model, **PLAIN)
        if run.settings["corruption"] in ("none", "partial_labels", "random_labels")
    ]  # fmt: skip
    return sorted(chosen, key=corruption_level)


def overfit_epochs(runs: Sequence[Run], model: str) -> dict[float, int]:
    """Return p -> the first epoch with a training loss of 0.05, for runs that got there."""
    epochs = {}
    for run in label_noise_runs(runs, model):
        epoch = run.first_epoch("train/loss", OVERFITTED_LOSS)
        if epoch is not None:
            epochs[corruption_level(run)] = epoch
    return epochs


def test_errors(runs: Sequence[Run], model: str, corrupted: bool) -> dict[float, float]:
    """Return p -> test error, on clean labels or on labels corrupted with the same p."""
    name = "test_accuracy_corrupted_labels" if corrupted else "test_accuracy"
    chosen = label_noise_runs(runs, model)
    return {corruption_level(run): 1 - run.result[name] for run in chosen}


# --- R1, R2: the set-up ---------------------------------------------------------------------------


def r1(runs):
    seen = {run.settings["model"]: run for run in runs if run.settings["model"] in PARAMETERS}
    if not seen:
        return None
    right = [run.result["parameters"] == PARAMETERS[model] for model, run in seen.items()]
    counts = ", ".join(f"{model} {run.result['parameters']:,}" for model, run in seen.items())
    outcome = verdict(right)
    if outcome == REPRODUCED and len(seen) < len(PARAMETERS):
        outcome = INCONCLUSIVE
    measured = f"{len(seen)} of {len(PARAMETERS)} networks were run: {counts}"
    return Finding(measured, outcome, list(seen.values()))


def r2(runs):
    if not runs:
        return None
    worst = {
        key: max(run.result["whitening"][key] for run in runs)
        for key in ("mean", "std", "constant_image")
    }
    measured = (
        f"largest |mean| {worst['mean']:.1e}, |std - 1| {worst['std']:.1e}, "
        f"|constant image| {worst['constant_image']:.1e}"
    )
    # A float32 mean over 2352 entries errs by up to log2(2352) units of roundoff, 7e-7; the floor
    # 1/sqrt(2352) by which a constant image is divided enlarges that 48 times.
    holds = worst["mean"] < 1e-5 and worst["std"] < 1e-5 and worst["constant_image"] < 4e-5
    return Finding(measured, verdict([holds]), runs)


# --- R3 to R7: Figure 1a --------------------------------------------------------------------------


def r3(runs):
    chosen = select(runs, corruption="random_labels", **PLAIN)
    if not chosen:
        return None
    accuracies = [run.result["train_accuracy"] for run in chosen]
    epochs = max(run.result["epochs"] for run in chosen)
    measured = f"train accuracy {_percents(accuracies)} after at most {epochs} epochs"
    return Finding(measured, verdict([a >= 0.999 for a in accuracies]), chosen)


def r4(runs):
    chosen = select(runs, corruption="random_labels", **PLAIN)
    if not chosen:
        return None
    return _near_chance(chosen)


def r5(runs):
    chosen = {kind: only(runs, corruption=kind, **PLAIN) for kind in ORDER}
    if None in chosen.values():
        return None
    epochs = {kind: run.first_epoch("train/loss", 0.1) for kind, run in chosen.items()}
    values = [math.inf if epoch is None else epoch for epoch in epochs.values()]
    measured = ", ".join(f"{kind} {epoch}" for kind, epoch in epochs.items())
    outcome = CONTRADICTED
    if all(a < b for a, b in itertools.pairwise(values)):
        outcome = REPRODUCED
    elif sorted(values) == values:
        outcome = INCONCLUSIVE  # ties, or several curves that never get there
    return Finding(f"first epoch at 0.1: {measured}", outcome, list(chosen.values()))


def r6(runs):
    run = only(runs, corruption="random_labels", **PLAIN)
    if run is None:
        return None
    left = run.first_epoch("train/loss", 2.2)
    fitted = run.first_epoch("train/loss", OVERFITTED_LOSS)
    if left is None or fitted is None:
        return Finding(f"loss 2.2 at epoch {left}, 0.05 at {fitted}", CONTRADICTED, [run])
    measured = f"loss stays over 2.2 for {left - 1} epochs, then {fitted - left} epochs to 0.05"
    steps = run.result["steps"] / run.result["epochs"]
    measured += f" ({steps:.0f} steps an epoch; the paper has 391)"
    return Finding(measured, verdict([left - 1 >= 12 and fitted - left <= 25]), [run])


def r7(runs):
    values, used = {}, []
    for moments, stated in (("dataset", 2.3055), ("image", 2.09)):
        run = only(
            runs, corruption="gaussian", gaussian_moments=moments, redraw=moments == "image"
        )
        if run is None or not run.metrics:
            return None
        values[moments] = (run.metrics[0]["train/loss"], stated)
        used.append(run)
    measured = ", ".join(f"{moments} moments {value:.3f}" for moments, (value, _) in values.items())
    matches = [abs(value - stated) <= 0.03 for value, stated in values.values()]
    return Finding(f"loss after epoch 1: {measured}", verdict(matches), used)


# --- R8, R9: seed 003's bug -----------------------------------------------------------------------


def r8(runs):
    chosen = [run for run in runs if run.settings["redraw"] and corruption_level(run) > 0]
    if not chosen:
        return None
    rows = [(corruption_level(run), run.result["train_accuracy"]) for run in chosen]
    measured = ", ".join(f"p={p:.2g}: {a:.1%} (ceiling {1 - 0.9 * p:.1%})" for p, a in sorted(rows))
    return Finding(measured, verdict([a <= 1 - 0.9 * p + 0.005 for p, a in rows]), chosen)


def r9(runs):
    redrawn = [run for run in runs if run.settings["redraw"] and 0 < corruption_level(run) < 0.9]
    clean = next((run for run in runs if corruption_level(run) == 0), None)
    if not redrawn or clean is None:
        return None
    base = clean.result["test_accuracy"]
    losses = {corruption_level(run): base - run.result["test_accuracy"] for run in redrawn}
    measured = f"clean test accuracy {base:.1%} at p=0; lower by " + ", ".join(
        f"{loss * 100:.1f} points at p={p:.2g}" for p, loss in sorted(losses.items())
    )
    return Finding(measured, verdict([abs(x) <= 0.02 for x in losses.values()]), [clean, *redrawn])


# --- R10 to R13, R16: Figures 1b and 1c -----------------------------------------------------------


def r10(runs):
    ratios = {}
    for model in FIG1_MODELS:
        epochs = overfit_epochs(runs, model)
        if 0.0 not in epochs or 1.0 not in epochs:
            return None
        ratios[model] = epochs[1.0] / epochs[0.0]
    measured = ", ".join(f"{model} {ratio:.2f}" for model, ratio in ratios.items())
    ordered = ratios["inception"] > ratios["mlp_1x512"] > ratios["alexnet"]
    return Finding(measured, verdict([ordered]), _figure_1(runs))


def r11(runs):
    correlations = {}
    for model in FIG1_MODELS:
        epochs = overfit_epochs(runs, model)
        if len(epochs) < 4:
            return None
        correlations[model] = _spearman(list(epochs), list(epochs.values()))
    measured = ", ".join(f"{model} {value:.2f}" for model, value in correlations.items())
    outcomes = [value > 0.9 for value in correlations.values()]
    return Finding(f"Spearman {measured}", verdict(outcomes), _figure_1(runs))


def r12(runs):
    chosen = [run for run in _figure_1(runs) if corruption_level(run) == 1.0]
    if not chosen:
        return None
    return _near_chance(chosen)


def r13(runs):
    errors = {model: test_errors(runs, model, corrupted=True) for model in FIG1_MODELS}
    common = sorted(p for p in set.intersection(*map(set, errors.values())) if p <= 0.8)
    if not common:
        return None
    holds = [
        errors["mlp_1x512"][p] > errors["alexnet"][p] > errors["inception"][p] for p in common
    ]
    measured = f"holds at {sum(holds)} of {len(holds)} values of p up to 0.8"
    return Finding(measured, verdict(holds), _figure_1(runs))


def r16(runs):
    columns = published("zhang_fig1bc")
    measured, outcomes = [], []
    for model, name in FIG1_MODELS.items():
        paper = dict(zip(columns["p"], columns[f"{name}_test_error"]))
        distance = {}
        for corrupted in (False, True):
            errors = test_errors(runs, model, corrupted)
            gaps = [errors[p] - paper[p] for p in errors if p in paper]
            distance[corrupted] = float(np.sqrt(np.mean(np.square(gaps)))) if gaps else math.nan
        if not math.isfinite(distance[True]):
            return None
        measured.append(f"{model} {distance[True]:.3f} against {distance[False]:.3f}")
        outcomes.append(distance[True] < distance[False])
    text = "distance from Figure 1c, corrupted against clean labels: " + ", ".join(measured)
    return Finding(text, verdict(outcomes), _figure_1(runs))


# --- R14, R15, R17 to R20, R27: Tables 1 and 4, Figure 2 ------------------------------------------


def r14(runs):
    rows, used = [], []
    for model, (paper, _) in TABLE1_PLAIN.items():
        run = only(runs, model=model, corruption="none", **PLAIN)
        if run is not None and run.result["train_examples"] == 50_000:
            rows.append((model, 100 * run.result["test_accuracy"], paper))
            used.append(run)
    if not rows:
        return None
    measured = ", ".join(f"{model} {ours:.1f} ({paper})" for model, ours, paper in rows)
    return Finding(measured, verdict([abs(a - b) <= 2.5 for _, a, b in rows]), used)


def r15(runs):
    return _gain(runs, {"model": "inception"}, {"model": "inception_no_bn"}, corruption="none")


def r17(runs):
    chosen = select(runs, model="inception_no_bn", corruption="none", **PLAIN)
    if not chosen:
        return None
    best = max(chosen, key=lambda run: run.result["train_accuracy"] or 0)
    start = best.settings["initializer"] or "glorot_uniform"
    measured = (
        f"{best.result['train_accuracy']:.1%} train accuracy with {start}, "
        f"learning rate {best.settings['learning_rate']}"
    )
    return Finding(measured, verdict([best.result["train_accuracy"] >= 0.99]), [best])


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


# --- shared pieces --------------------------------------------------------------------------------


def _figure_1(runs: Sequence[Run]) -> list[Run]:
    return [run for model in FIG1_MODELS for run in label_noise_runs(runs, model)]


def _near_chance(runs: Sequence[Run]) -> Finding:
    """Whether test accuracy is 10 percent: within 1 point, or within what the test set can tell."""
    outcomes = []
    for run in runs:
        accuracy = run.result["test_accuracy"]
        off, error = abs(accuracy - 0.1), accuracy_error(run)
        if off <= 0.01:
            outcomes.append(REPRODUCED)
        else:
            outcomes.append(INCONCLUSIVE if off <= 0.01 + 2 * error else CONTRADICTED)
    measured = "test accuracy " + _percents([run.result["test_accuracy"] for run in runs])
    worst = max(outcomes, key=(REPRODUCED, INCONCLUSIVE, CONTRADICTED).index)
    return Finding(measured, worst, runs)


def _pair(runs: Sequence[Run], with_it: dict, without: dict, **common) -> tuple[Run, Run] | None:
    """Return a run with a change and the one that is plain otherwise; True stands for `any > 0`."""
    plain = {**PLAIN, **common}
    wanted = {**plain, **with_it}
    decayed = wanted.pop("weight_decay") if wanted.get("weight_decay") is True else None
    chosen = select(runs, **wanted)
    if decayed:
        chosen = [run for run in chosen if run.settings["weight_decay"] > 0]
    base = only(runs, **{**plain, **without})
    return (chosen[0], base) if chosen and base is not None else None


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
    return Finding(measured, sign_verdict(difference, error), pair)


def _percents(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2%}" for value in values)


def _spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Spearman's rank correlation, with mean ranks for ties."""
    ranks = []
    for values in (x, y):
        values = np.asarray(values)
        below = (values[None] < values[:, None]).sum(1)
        equal = (values[None] == values[:, None]).sum(1)
        ranks.append(below + (equal - 1) / 2)
    return float(np.corrcoef(*ranks)[0, 1])


CLAIMS = {
    claim.id: claim
    for claim in (
        Claim("R1", "The five networks have the published numbers of parameters.", "Table 1",
               "1,649,402 (twice), 1,387,786, 1,735,178, 1,209,866", r1),
        Claim("R2", "A whitened image has mean 0 and deviation 1; a constant one becomes 0.",
               "Section 2", "yes", r2),
        Claim("R3", "A network fits fixed random labels (Inception in the paper).", "Table 1", "100.0 % train", r3),
        Claim("R4", "Trained on random labels, it is at chance on the test set.", "Table 1", "9.78 % test", r4),
        Claim("R5", "Time to a loss of 0.1: true < shuffled < Gaussian < random pixels < labels.",
               "Figure 1a", "8 < 13 < 20 < 21 < 35 epochs", r5),
        Claim("R6", "Random labels: a long plateau over 2.2, then a fast fit.", "Figure 1a",
               "at least 12 epochs, then at most 25 to 0.05", r6),
        Claim("R7", "Gaussian noise: the loss after epoch 1 tells the moments used.",
               "Figure 1a and seed 003", "2.3055 (dataset), 2.09 (image)", r7),
        Claim("R8", "Labels drawn afresh cannot be fitted beyond 1 - 0.9 p.", "seed 003",
               "69.4 / 36.5 / 10.1 % at p = 1/3, 2/3, 1", r8),
        Claim("R9", "Labels drawn afresh leave clean test accuracy nearly unchanged.", "seed 003",
               "85.3 / 85.2 against 84.85 %", r9),
        Claim("R10", "Random labels slow Inception most and AlexNet least.", "Figure 1b",
               "3.6 / 1.96 (MLP) / 1.55", r10),
        Claim("R11", "Time to overfit does not fall as p grows.", "Figure 1b",
               "Spearman above 0.9", r11),
        Claim("R12", "At p = 1 the test error is that of chance.", "Figure 1c",
               ".9018 / .9014 / .8982", r12),
        Claim("R13", "Test error: MLP > AlexNet > Inception for p up to 0.8.", "Figure 1c",
               "yes", r13),
        Claim("R14", "Clean accuracies of Table 1, within 2.5 points.", "Table 1",
               "85.75, 82.00, 76.07, 52.39, 50.51", r14),
        Claim("R15", "Batch norm helps Inception.", "Table 1 and Figure 2b",
               "+3.75 and +1.6 points", r15),
        Claim("R16", "Figure 1c counts errors on test labels corrupted with the same p.",
               "inferred from Figure 1c", "corrupted labels fit better", r16),
        Claim("R17", "Inception without batch norm trains at learning rate 0.1.", "Table 1",
               "100 % train; seed 003 was stuck at 10 %", r17),
        Claim("R18", "Random crops help Inception more than weight decay.", "Table 1",
               "+3.56 and +0.28 points", r18),
        Claim("R19", "Weight decay keeps AlexNet from fitting random labels, and no other.",
               "Table 4", "100 / fails / 100 / 99.21 %", r19),
        Claim("R20", "Early stopping gains less than a point.", "Figure 2b", "0.2 to 0.4", r20),
        Claim("R27", "Weight decay 1e-3 ends above no regulariser.", "Table 1 and seed 003",
               "+0.28; 88.9 against 87.2 %", r27),
    )
}  # fmt: skip
