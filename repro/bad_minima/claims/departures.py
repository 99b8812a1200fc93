"""Claims on the JAX rerun's departures, the toy, and starts from other images.

They are B17 to B21.
"""

from repro.bad_minima.measures import (
    AUTHORS_WAY,
    INITS,
    average,
    by_seed,
    compared,
    decided,
    no_difference,
    of,
    pairs,
    points,
)
from repro.reporting.claims import (
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    agreed,
    sign_verdict,
    verdict,
    within,
)
from repro.reporting.results import Run, select

TOY = ("random_vanilla", "adversarial_vanilla", "adversarial_sota")


# --- the JAX rerun's departures -------------------------------------------------------------------


def b17(runs):
    chosen = of(runs)
    if not chosen:
        return None
    changes = [
        run.result["test_accuracy_batch_statistics"] - run.result["test_accuracy"]
        for run in chosen
    ]
    mean, error = average(changes)
    measured = (
        f"batch minus running statistics: {points(min(changes))} to {points(max(changes))} points "
        f"over {len(changes)} networks, on average {points(mean)} ± {100 * error:.2f}"
    )
    return Finding(measured, decided(within(abs(mean), 0.01, error), chosen), chosen)


def b18(runs):
    shown, outcomes, used = [], [], []
    for init in INITS:
        unshuffled = of(runs, "vanilla", init, shuffle=False)
        both = by_seed(of(runs, "vanilla", init), unshuffled)
        if both:
            measured, (loss, error) = compared("shuffled", "not", both)
            shown.append(f"{init} start: {measured}")
            outcomes.append(sign_verdict(loss, error))
            used += [run for pair in both for run in pair]
    if not used:
        return None
    outcome = agreed(outcomes)
    return Finding("; ".join(shown), decided(outcome, used), used)


def b19(runs):
    reset = [run for run in select(runs, reset_batch_norm=True, **AUTHORS_WAY)
             if run.result["status"] == "complete"]
    both = by_seed(of(runs, "vanilla", "adversarial"), reset)
    finding = no_difference("kept", "reset", both, at_most=0.02)
    if finding is None:
        return None
    before = [", ".join(f"{run.curve('test/accuracy')[1][0]:.2%}" for run in side)
              for side in zip(*both)]
    measured = f"{finding.measured}; before training {before[0]} and {before[1]}"
    if all(_same_end(*pair) for pair in both):
        measured += "; one network, as training never reads the statistics and forgets the old ones"
        return Finding(measured, REPRODUCED, finding.runs)
    return Finding(measured, finding.verdict, finding.runs)


def _same_end(one: Run, other: Run) -> bool:
    return all(one.result[name] == other.result[name] for name in ("distance", "test_accuracy"))


# --- the toy, and other images --------------------------------------------------------------------


def b20(runs):
    runs = [run for run in runs if "panels" in run.result and run.result["status"] == "complete"]
    if not runs:
        return None
    shares = [
        [run.result["panels"][panel]["disagreement_with_line"] for panel in TOY] for run in runs
    ]
    rows = "; ".join(", ".join(f"{share:.1%}" for share in row) for row in shares)
    measured = f"share of the window, random, adversarial + vanilla, adversarial + SOTA: {rows}"
    outcomes = [bad > 2 * max(plain, sota) for plain, bad, sota in shares]
    return Finding(measured, verdict(outcomes), runs)


def b21(runs):
    both = [pair for pair in pairs(runs, "vanilla") if pair[1].settings["pretrain_split"]]
    if not both:
        return None
    epochs = [[run.first_epoch("train/accuracy", at_least=0.9) for run in pair] for pair in both]
    if any(None in pair for pair in epochs):
        return Finding(f"90 % train at epochs {epochs}", INCONCLUSIVE, [r for p in both for r in p])
    measured = "90 % of the training set after " + "; ".join(
        f"{plain} epochs from random weights, {trained} pre-trained" for plain, trained in epochs
    )
    tests = ", ".join(
        f"{one.result['test_accuracy']:.2%} and {two.result['test_accuracy']:.2%}"
        for one, two in both
    )
    outcome = verdict([trained < plain for plain, trained in epochs])
    used = [run for pair in both for run in pair]
    return Finding(f"{measured}; test {tests}", decided(outcome, used), used)


CLAIMS = (
    Claim("B17", "It does not matter (1 point) whose statistics batch norm takes in testing.",
          "the JAX rerun", "test batches there, running statistics in the paper", b17),
    Claim("B18", "An unshuffled order harms vanilla SGD.", "the JAX rerun",
          "never shuffled there", b18),
    Claim("B19", "Forgetting batch norm's state at the hand-over makes no difference (2 points).",
          "the JAX rerun", "forgotten there, kept by the authors", b19),
    Claim("B20", "Toy: after the adversarial start vanilla SGD leaves islands, SOTA does not.",
          "Figure 1", "yes (picture)", b20),
    Claim("B21", "Pre-training on random labels of other images speeds up training.",
          "Maennel et al. 2020", "yes", b21),
)
