"""The claims of the course project that reran Wu, Ma, E 2018, S1 to S3, as checks."""

from repro.reporting.claims import (
    CONTRADICTED,
    REPRODUCED,
    Claim,
    Finding,
    accuracy_error,
    verdict,
)
from repro.stability.claims.minima import below_bound, p2
from repro.stability.measures import COURSE_PROJECT, a, is_gd, mean, plain, s


def s1(runs):
    chosen, outcomes, measured = [], [], []
    for name, (_, test, sharp, uneven) in COURSE_PROJECT.items():
        rows = [run for run in plain(runs, dataset=name, learning_rate=0.1) if is_gd(run)]
        if not rows:
            continue
        ours = [mean(rows, f)[0] for f in (a, s, lambda run: 100 * run.result["test_accuracy"])]
        error = 100 * accuracy_error(rows[0])
        # It stopped power iteration for s after 10 steps: a lower bound, so a wider margin.
        outcomes += [
            abs(ours[0] / sharp - 1) <= 0.05, abs(ours[1] / uneven - 1) <= 0.15,
            abs(ours[2] - test) <= max(1.0, 2 * error),
        ]
        measured.append(f"{name}: a = {ours[0]:.1f}, s = {ours[1]:.1f}, test {ours[2]:.1f} %")
        chosen += rows
    return Finding("; ".join(measured), verdict(outcomes), chosen) if chosen else None


def s2(runs):
    return below_bound(runs, 1.0)


def s3(runs):
    finding = p2(runs)
    if finding is None:
        return None
    end = finding.runs[0].result["gd_end"]
    outcome = CONTRADICTED if abs(end - 1) < 1e-3 else REPRODUCED
    return Finding(f"GD ends at x = {end:.6f}: it stays where SGD leaves", outcome, finding.runs)


CLAIMS = (
    Claim("S1", "GD at 0.1: sharpness, non-uniformity and test accuracy of the rerun.",
          "course project", "19.9, 40.4, 80.4 % and 19.2, 53, 88.9 %", s1),
    Claim("S2", "Every solution of SGD has s within its bound, without slack.",
          "poster and course project",
          "all points below their lines; 4 of 45 in the published data are not", s2),
    Claim("S3", "GD leaves the toy's minimum x = 1 as SGD does.", "course project",
          "\"behaved in a similar manner\"", s3),
)
