"""Claims of Liu et al. 2020 on the adversary, seed 000's departures and the toy."""

from collections.abc import Sequence

from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    sign_verdict,
    verdict,
    within,
)
from repro.reporting.liu_measures import (
    AUTHORS_WAY,
    INITS,
    average,
    by_seed,
    decided,
    losses,
    of,
    pairs,
    points,
    start_cut_short,
)
from repro.reporting.results import Run, only, select

TOY = ("random_vanilla", "adversarial_vanilla", "adversarial_sota")


# --- the adversary --------------------------------------------------------------------------------


def b1(runs):
    chosen = [run for run in select(runs, init="adversarial") if run.settings["zero_out"]]
    if not chosen:
        return None
    counted = [run.result["pretraining"]["zeroing"] for run in chosen]
    exact = [z["entries_per_copy"] == [_expected(run)] * 2 for run, z in zip(chosen, counted)]
    shown = {
        f"{z['entries_per_copy'][0]} to {z['entries_per_copy'][1]} by {run.settings['zero_unit']}"
        for z, run in zip(counted, chosen)
    }
    measured = f"entries zeroed in a copy: {', '.join(sorted(shown))}"
    return Finding(measured, verdict(exact), chosen)


def _expected(run: Run) -> int:
    height, width, channels = run.result["pretraining"]["architecture"]["image_shape"]
    ratio = run.settings["zero_out"]
    if run.settings["zero_unit"] == "pixels":
        return int(height * width * ratio) * channels
    return int(height * width * channels * ratio)


def b2(runs):
    run = only(runs, init="adversarial", zero_out=0.1, zero_unit="entries")
    if run is None:
        return None
    zeroing = run.result["pretraining"]["zeroing"]
    touched, black = zeroing["pixels_touched"], zeroing["pixels_black"]
    measured = f"{touched:.2%} of the pixels lose a channel, {black:.2%} become black"
    holds = abs(touched - 0.271) <= 0.003 and abs(black - 0.001) <= 0.0005
    return Finding(measured, verdict([holds]), [run])


def b14(runs):
    identical = [run for run in select(runs, init="adversarial", zero_out=0.0)
                 if run.settings["replicas"] > 1]  # fmt: skip
    told_apart = [run for run in select(runs, init="adversarial")
                  if run.settings["replicas"] > 1 and run.settings["zero_out"]]  # fmt: skip
    if not identical or not told_apart:
        return None
    outcomes, shown = [], []
    for run in identical:
        stage = run.result["pretraining"]
        left = stage["fittable"] - stage["train_accuracy"]
        to_the_end = run.settings["pretrain_accuracy"] == 0 and left <= 0.01
        outcomes.append(CONTRADICTED if left < 0 else REPRODUCED if to_the_end else INCONCLUSIVE)
        shown.append(f"R={run.settings['replicas']}, N=0: {stage['train_accuracy']:.2%} (of these "
                     f"labels at most {stage['fittable']:.2%}, expected {stage['ceiling']:.2%})")
    for run in told_apart:
        accuracy = run.result["pretrain_accuracy"]
        missed = INCONCLUSIVE if start_cut_short(run) else CONTRADICTED
        outcomes.append(REPRODUCED if accuracy >= 0.9999 else missed)
        shown.append(f"R={run.settings['replicas']}, N={run.settings['zero_out']:g}: "
                     f"{accuracy:.2%}")  # fmt: skip
    worst = max(outcomes, key=(REPRODUCED, INCONCLUSIVE, CONTRADICTED).index)
    return Finding(", ".join(shown), worst, [*identical, *told_apart])


def b15(runs):
    chosen = [run for run in of(runs, "vanilla", "adversarial", zero_unit="entries")
              if run.settings["zero_out"]]  # fmt: skip
    counts = sorted({run.settings["replicas"] for run in chosen})
    if len(counts) < 2:
        return None
    both = by_seed(*(select(chosen, replicas=count) for count in (counts[0], counts[-1])))
    if not both:
        return None
    measured, (loss, error) = _losses(f"R={counts[0]}", f"R={counts[-1]}", both)
    used = [run for pair in both for run in pair]
    return Finding(measured, decided(sign_verdict(loss, error), used), used)


def b16(runs):
    arms = [of(runs, "vanilla", "adversarial", zero_out=0.1, replicas=1, zero_unit=unit)
            for unit in ("entries", "pixels")]  # fmt: skip
    return _no_difference("entries", "pixels", by_seed(*arms), at_most=0.02)


def _losses(
    name: str, other: str, both: Sequence[tuple[Run, Run]]
) -> tuple[str, tuple[float, float]]:
    """Return in words, and as mean and standard error, what the second arm loses by seed."""
    first, second = (
        ", ".join(f"{run.result['test_accuracy']:.2%}" for run in side) for side in zip(*both)
    )
    loss, error = losses(both)
    words = f"{name} {first}, {other} {second}"
    if len(both) > 1:
        words += f"; first minus second {points(loss)} ± {100 * error:.2f} points"
    return words, (loss, error)


def _no_difference(
    name: str, other: str, both: Sequence[tuple[Run, Run]], at_most: float
) -> Finding | None:
    """Judge that the test accuracies of two arms differ by no more than `at_most`."""
    if not both:
        return None
    measured, (loss, error) = _losses(name, other, both)
    used = [run for pair in both for run in pair]
    return Finding(measured, decided(within(abs(loss), at_most, error), used), used)


# --- seed 000's departures ------------------------------------------------------------------------


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
            measured, (loss, error) = _losses("shuffled", "not", both)
            shown.append(f"{init} start: {measured}")
            outcomes.append(sign_verdict(loss, error))
            used += [run for pair in both for run in pair]
    if not used:
        return None
    outcome = outcomes[0] if len(set(outcomes)) == 1 else INCONCLUSIVE
    return Finding("; ".join(shown), decided(outcome, used), used)


def b19(runs):
    reset = [run for run in select(runs, reset_batch_norm=True, **AUTHORS_WAY)
             if run.result["status"] == "complete"]  # fmt: skip
    both = by_seed(of(runs, "vanilla", "adversarial"), reset)
    finding = _no_difference("kept", "reset", both, at_most=0.02)
    if finding is None:
        return None
    before = [", ".join(f"{run.curve('test/accuracy')[1][0]:.2%}" for run in side)
              for side in zip(*both)]  # fmt: skip
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
    Claim("B1", "Zeroing takes exactly int(3072 N) entries of a copy, or int(1024 N) pixels.",
          "authors' code",
          "307 at N = 0.1; seed 000 about 292", b1),
    Claim("B2", "Zeroing by entries touches 27.1 % of the pixels and blackens 0.1 %.",
          "computed from the authors' code", "the text says pixels", b2),
    Claim("B14", "Identical copies with random labels cannot be fitted; zeroed ones can.",
          "Algorithm 1", "0.55 at R = 2, N = 0 (computed)", b14),
    Claim("B15", "More copies, a harder adversary, lower the test accuracy of vanilla SGD.",
          "Algorithm 1", "the reason for R, as we read it", b15),
    Claim("B16", "Zeroing pixels or entries makes no difference beyond 2 points.", "seed 000",
          "assumed", b16),
    Claim("B17", "It does not matter (1 point) whose statistics batch norm takes in testing.",
          "seed 000", "test batches there, running statistics in the paper", b17),
    Claim("B18", "An unshuffled order harms vanilla SGD.", "seed 000", "never shuffled there", b18),
    Claim("B19", "Forgetting batch norm's state at the hand-over makes no difference (2 points).",
          "seed 000", "forgotten there, kept by the authors", b19),
    Claim("B20", "Toy: after the adversarial start vanilla SGD leaves islands, SOTA does not.",
          "Figure 1", "yes (picture)", b20),
    Claim("B21", "Pre-training on random labels of other images speeds up training.",
          "Maennel et al. 2020", "yes", b21),
)  # fmt: skip
