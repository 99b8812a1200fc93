"""Claims and verdicts: what a paper says, what was measured, and whether the two agree."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from repro.reporting.results import Run, protocol

REPRODUCED, CONTRADICTED, INCONCLUSIVE, NOT_RUN = VERDICTS = (
    "reproduced", "contradicted", "inconclusive", "not run",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Finding:
    """What runs say about a claim.

    `error` says how large the error of what was measured is and how it was found, `sensitivity`
    what the verdict would be with `half` and with `twice` the tolerance, as
    repro.reporting.statistics.sensitivity returns it. Either is empty where a claim has none, such
    as an exact count.
    """

    measured: str
    verdict: str
    runs: Sequence[Run]
    error: str = ""
    sensitivity: Mapping[str, str] | None = None


@dataclasses.dataclass(frozen=True)
class Claim:
    """A checkable statement of a paper or of a rerun of it.

    `judge` maps runs to a Finding, or to None where the runs it needs are not there. `criterion`
    says in a sentence what must be measured for the claim to count as reproduced.
    """

    id: str
    statement: str
    source: str  # where it is stated: a figure, a table, a rerun
    published: str  # the number there
    judge: Callable[[Sequence[Run]], Finding | None]
    criterion: str = ""


def judge(claims: Sequence[Claim], runs: Sequence[Run], scale: str) -> list[dict]:
    """Return one record per claim: the claim, the measured value, the verdict, its evidence."""
    records = []
    for claim in claims:
        finding = claim.judge(runs)
        record = {
            "id": claim.id, "statement": claim.statement, "source": claim.source,
            "published": claim.published, "scale": scale,
            "measured": "", "verdict": NOT_RUN, "protocol": "", "runs": [],
        }  # fmt: skip
        if finding is not None:
            record |= {
                "measured": finding.measured, "verdict": finding.verdict,
                "protocol": protocol(finding.runs),
                "runs": sorted({run.path.name for run in finding.runs}),
            }  # fmt: skip
            if finding.error:
                record["error"] = finding.error
            if finding.sensitivity:
                record["sensitivity"] = dict(finding.sensitivity)
        if claim.criterion:
            record["criterion"] = claim.criterion
        records.append(record)
    return records


def verdict(outcomes: Sequence[bool]) -> str:
    """Return the verdict of yes-or-no outcomes, one a seed: unanimous, or inconclusive."""
    if all(outcomes):
        return REPRODUCED
    return INCONCLUSIVE if any(outcomes) else CONTRADICTED


def agreed(verdicts: Sequence[str]) -> str:
    """Return the verdict that parts of a claim share, or inconclusive where they differ."""
    return verdicts[0] if len(set(verdicts)) == 1 else INCONCLUSIVE


def worst(verdicts: Sequence[str]) -> str:
    """Return the verdict on a claim that every part must hold for."""
    return max(verdicts, key=(REPRODUCED, INCONCLUSIVE, CONTRADICTED).index)


def sign_verdict(difference: float, standard_error: float) -> str:
    """Return the verdict on `difference > 0`, inconclusive within two standard errors of zero."""
    if abs(difference) <= 2 * standard_error:
        return INCONCLUSIVE
    return REPRODUCED if difference > 0 else CONTRADICTED


def within(off: float, bound: float, error: float) -> str:
    """Return the verdict on `off <= bound`, where `off` has a standard error.

    Inconclusive where two errors more or less would change it.
    """
    if off + 2 * error <= bound:
        return REPRODUCED
    return INCONCLUSIVE if off - 2 * error <= bound else CONTRADICTED


def accuracy_error(*runs: Run, quantity: str = "test_accuracy") -> float:
    """Return the standard error of a difference of test accuracies, from the sizes of test sets.

    Runs tested on the same images are correlated, so this errs on the careful side.
    """
    variance = 0.0
    for run in runs:
        accuracy = run.result[quantity]
        variance += accuracy * (1 - accuracy) / run.result["test_examples"]
    return variance**0.5


def as_text(records: Sequence[dict]) -> str:
    """Return claims as plain lines for a terminal."""
    lines = []
    for record in records:
        lines.append(f"{record['id']:4} {record['verdict']:13} {record['statement']}")
        if record["measured"]:
            lines.append(f"{'':18} measured {record['measured']}; published {record['published']}")
    return "\n".join(lines)
