"""More claims of Wu, Ma, E 2018 and of seed 001's rerun: P11 to P14, S1 and S3, as checks.

They are about what happens after a switch of optimisers, on wrong labels and with momentum, and
about the rerun's numbers.
"""

import numpy as np

from repro.reporting.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Claim,
    Finding,
    accuracy_error,
    verdict,
)
from repro.reporting.results import Run, select
from repro.stability.claims.minima import p2
from repro.stability.measures import SEED_001, a, grouped, is_gd, mean, plain, s, trained

TAIL = "; ends are means over the last third of the steps"
# Published after GD at 0.1: (eta over 0.1, is GD) -> a at most, over the start's edge 2 / 0.1; 3 %
# are left for noise.
ESCAPES = {(1, False): 8 / 20, (3, True): 1.03 / 3, (5, True): 1.03 / 5}


def p11(runs):
    chosen, outcomes, measured = [], [], []
    for run in select(runs, stage="escape", wrong_examples=0):
        start, eta = run.settings["start_learning_rate"], run.settings["learning_rate"]
        limit = ESCAPES.get((round(eta / start, 6), is_gd(run)))
        if limit is None or not run.metrics:
            continue
        switch = f"from GD at {start:g} to ({eta:g}, {run.settings['batch_size']})"
        chosen.append(run)
        if run.result["sharpness"] is None:
            outcomes.append(False)
            measured.append(f"{switch}: diverged after {run.result['iterations']} steps")
            continue
        first, early = run.metrics[0], [r for r in run.metrics if r["step"] <= 80]
        spike = max(r["train/loss"] for r in early) / first["train/loss"]
        end = _tail(run, "curvature/sharpness")
        outcomes += [end <= limit * 2 / start, spike >= 100]
        measured.append(
            f"{switch}: a {first['curvature/sharpness']:.2f} to {end:.2f}, expected at most "
            f"{2 * limit / start:.2f}; loss times {spike:.0f} within 80 steps"
        )
    if not chosen:
        return None
    return Finding("; ".join(measured) + TAIL, verdict(outcomes), chosen)


def _tail(run: Run, quantity: str) -> float:
    """Return the mean of a quantity over the last third of a run: SGD moves about to the end."""
    steps, values = [r["step"] for r in run.metrics], [r[quantity] for r in run.metrics]
    return float(np.mean([v for step, v in zip(steps, values) if step >= 2 / 3 * steps[-1]]))


def p12(runs):
    escapes = select(runs, stage="escape")
    chosen = [run for run in escapes if run.metrics and run.result["sharpness"]]
    if not chosen:
        return None
    gains = [_tail(run, "test/accuracy") - run.metrics[0]["test/accuracy"] for run in chosen]
    shown = [
        f"{100 * gain:+.2f} (eta {run.settings['learning_rate']:g}, B "
        f"{run.settings['batch_size']}, train accuracy {_tail(run, 'train/accuracy'):.1%})"
        for run, gain in zip(chosen, gains)
    ]
    measured = f"test accuracy changes by {', '.join(shown)} points{TAIL}"
    return Finding(measured, verdict([gain >= 0 for gain in gains]), chosen)


def p13(runs):
    chosen = trained(runs, dataset="fashion_mnist", momentum=0.0)
    groups = {k: v for k, v in grouped(chosen, "wrong_examples").items() if is_gd(v[0])}
    if 0 not in groups or max(groups) < 3500:
        return None
    most = 3500 if 3500 in groups else max(groups)
    growth = [mean(groups[most], f)[0] / mean(groups[0], f)[0] for f in (s, a)]
    measured = f"from 0 to {most} wrong labels s grows {growth[0]:.2f}-fold, a {growth[1]:.2f}-fold"
    return Finding(measured, verdict([growth[0] >= 2, growth[1] < 1.35]), chosen)


def p14(runs):
    chosen = [
        run for run in trained(runs, dataset="fashion_mnist", wrong_examples=0)
        if is_gd(run) and 0 < run.settings["momentum"] <= 0.9
    ]  # fmt: skip
    if not chosen:
        return None
    rows = [(run.settings["momentum"], run.result["sharpness_margin"]) for run in chosen]
    shares = ", ".join(f"{share:.3f} at {beta:g}" for beta, share in sorted(rows))
    rates = sorted({run.settings["learning_rate"] for run in chosen})
    measured = f"a over 2 (1 + beta) / eta: {shares}; eta = {', '.join(f'{r:g}' for r in rates)}"
    outcome = verdict([abs(m - 1) <= 0.03 for _, m in rows])
    # The published share is that of 0.1. At 0.5 it is lower without momentum, too: 0.962.
    if outcome == CONTRADICTED and rates != [0.1]:
        outcome = INCONCLUSIVE
    return Finding(measured, outcome, chosen)


def s1(runs):
    chosen, outcomes, measured = [], [], []
    for name, (_, test, sharp, uneven) in SEED_001.items():
        rows = [run for run in plain(runs, dataset=name, learning_rate=0.1) if is_gd(run)]
        if not rows:
            continue
        ours = [mean(rows, f)[0] for f in (a, s, lambda run: 100 * run.result["test_accuracy"])]
        error = 100 * accuracy_error(rows[0])
        # The seed stopped power iteration for s after 10 steps: a lower bound, so a wider margin.
        outcomes += [
            abs(ours[0] / sharp - 1) <= 0.05, abs(ours[1] / uneven - 1) <= 0.15,
            abs(ours[2] - test) <= max(1.0, 2 * error),
        ]  # fmt: skip
        measured.append(f"{name}: a = {ours[0]:.1f}, s = {ours[1]:.1f}, test {ours[2]:.1f} %")
        chosen += rows
    return Finding("; ".join(measured), verdict(outcomes), chosen) if chosen else None


def s3(runs):
    finding = p2(runs)
    if finding is None:
        return None
    end = finding.runs[0].result["gd_end"]
    outcome = CONTRADICTED if abs(end - 1) < 1e-3 else REPRODUCED
    return Finding(f"GD ends at x = {end:.6f}: it stays where SGD leaves", outcome, finding.runs)


CLAIMS = (
    Claim("P11", "Another optimiser leaves GD's minimum at once for a flatter one.", "escape",
          "a from 19.6 to 6.70 (0.1, 4), 6.58 (0.3, GD), 3.86 (0.5, GD)", p11),
    Claim("P12", "Test accuracy after the escape is no lower.", "escape",
          "true in 12 of 14 published runs", p12),
    Claim("P13", "On wrong labels s grows, while a is held at 2 / eta.", "published code",
          "s from 44.2 to 102.7, a from 18.5 to 25", p13),
    Claim("P14", "Heavy-ball GD ends where a is about 2 (1 + beta) / eta.", "published code",
          "0.977 to 0.986", p14),
    Claim("S1", "GD at 0.1: sharpness, non-uniformity and test accuracy of the rerun.", "seed 001",
          "19.9, 40.4, 80.4 % and 19.2, 53, 88.9 %", s1),
    Claim("S3", "GD leaves the toy's minimum x = 1 as SGD does.", "seed 001",
          "\"behaved in a similar manner\"", s3),
)  # fmt: skip
