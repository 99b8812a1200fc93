"""Claims of Liu et al. 2020 on the adversary, seed 000's departures and the toy."""

from repro.reporting.claims import (
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    accuracy_error,
    sign_verdict,
    verdict,
)
from repro.reporting.liu_measures import (
    AUTHORS_WAY,
    decided,
    of,
    pairs,
    points,
    spread,
    within,
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
    shown = {f"{z['entries_per_copy'][0]} to {z['entries_per_copy'][1]}" for z in counted}
    return Finding(f"entries zeroed in a copy: {', '.join(sorted(shown))}", verdict(exact), chosen)


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
        outcomes.append(stage["train_accuracy"] <= stage["fittable"])
        shown.append(f"R={run.settings['replicas']}, N=0: {stage['train_accuracy']:.2%} (of these "
                     f"labels at most {stage['fittable']:.2%}, expected {stage['ceiling']:.2%})")
    for run in told_apart:
        accuracy = run.result["pretrain_accuracy"]
        outcomes.append(accuracy >= 0.9999)
        shown.append(f"R={run.settings['replicas']}, N={run.settings['zero_out']:g}: "
                     f"{accuracy:.2%}")  # fmt: skip
    return Finding(", ".join(shown), verdict([all(outcomes)]), [*identical, *told_apart])


def b15(runs):
    chosen = [run for run in of(runs, "vanilla", "adversarial") if run.settings["zero_out"]]
    chosen = [run for run in chosen if run.settings["zero_unit"] == "entries"]
    by_copies = {run.settings["replicas"]: run for run in reversed(chosen)}
    if len(by_copies) < 2:
        return None
    few, many = by_copies[min(by_copies)], by_copies[max(by_copies)]
    tests = {count: by_copies[count].result["test_accuracy"] for count in sorted(by_copies)}
    measured = ", ".join(f"R={count}: {accuracy:.1%}" for count, accuracy in tests.items())
    loss = few.result["test_accuracy"] - many.result["test_accuracy"]
    return Finding(measured, sign_verdict(loss, accuracy_error(few, many)), [few, many])


def b16(runs):
    chosen = {
        unit: only(of(runs, "vanilla", "adversarial"), zero_out=0.1, replicas=1, zero_unit=unit)
        for unit in ("entries", "pixels")
    }
    if None in chosen.values():
        return None
    return _no_difference(
        "entries", chosen["entries"], "pixels", chosen["pixels"], at_most=0.02
    )


def _no_difference(name: str, one: Run, other_name: str, other: Run, at_most: float) -> Finding:
    """Judge that two test accuracies differ by no more than `at_most`."""
    accuracies = [run.result["test_accuracy"] for run in (one, other)]
    difference, error = abs(accuracies[0] - accuracies[1]), accuracy_error(one, other)
    outcome = within(difference, at_most, error)
    measured = f"{name} {accuracies[0]:.1%}, {other_name} {accuracies[1]:.1%}"
    return Finding(f"{measured} (standard error {100 * error:.1f} points)", outcome, [one, other])


# --- seed 000's departures ------------------------------------------------------------------------


def b17(runs):
    chosen = of(runs)
    if not chosen:
        return None
    changes = [
        run.result["test_accuracy_batch_statistics"] - run.result["test_accuracy"]
        for run in chosen
    ]
    mean, deviation = spread(changes)
    error = deviation / len(changes) ** 0.5
    measured = (
        f"batch minus running statistics: {points(min(changes))} to {points(max(changes))} points "
        f"over {len(changes)} networks, on average {points(mean)} ± {100 * error:.1f}"
    )
    return Finding(measured, decided(within(abs(mean), 0.01, error), chosen), chosen)


def b18(runs):
    unshuffled = {"shuffle": False, "batch_statistics": False}
    shown, differences, used = [], [], []
    for init in ("random", "adversarial"):
        kept = of(runs, "vanilla", init)
        fixed = of(runs, "vanilla", init, **unshuffled)
        if kept and fixed:
            one, other = kept[0], fixed[0]
            differences.append(one.result["test_accuracy"] - other.result["test_accuracy"])
            shown.append(f"{init} start {points(differences[-1])}")
            used += [one, other]
    if not used:
        return None
    outcomes = [sign_verdict(difference, accuracy_error(*used[2 * i : 2 * i + 2]))
                for i, difference in enumerate(differences)]  # fmt: skip
    outcome = outcomes[0] if len(set(outcomes)) == 1 else INCONCLUSIVE
    return Finding(f"shuffled minus unshuffled, points: {', '.join(shown)}", outcome, used)


def b19(runs):
    kept = of(runs, "vanilla", "adversarial")
    reset = [run for run in select(runs, reset_batch_norm=True, **AUTHORS_WAY)
             if run.result["status"] == "complete"]  # fmt: skip
    if not kept or not reset:
        return None
    finding = _no_difference("kept", kept[0], "reset", reset[0], at_most=0.02)
    before = [f"{run.curve('test/accuracy')[1][0]:.1%}" for run in (kept[0], reset[0])]
    measured = f"{finding.measured}; before training {before[0]} and {before[1]}"
    if all(kept[0].result[name] == reset[0].result[name] for name in ("distance", "test_accuracy")):
        measured += "; one network, as training never reads the statistics and forgets the old ones"
        return Finding(measured, REPRODUCED, finding.runs)
    return Finding(measured, finding.verdict, finding.runs)


# --- the toy, and other images --------------------------------------------------------------------


def b20(runs):
    if not runs or "panels" not in runs[0].result:
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
        f"{one.result['test_accuracy']:.1%} and {two.result['test_accuracy']:.1%}"
        for one, two in both
    )
    outcome = verdict([trained < plain for plain, trained in epochs])
    used = [run for pair in both for run in pair]
    return Finding(f"{measured}; test {tests}", decided(outcome, used), used)


CLAIMS = (
    Claim("B1", "Zeroing out takes exactly int(3072 N) entries of a copy.", "authors' code",
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
