"""Claims and verdicts: what a paper says, what was measured, and whether the two agree."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from repro.reporting.results import Run, protocol

REPRODUCED, CONTRADICTED, INCONCLUSIVE, NOT_RUN = VERDICTS = (
    "reproduced",
    "contradicted",
    "inconclusive",
    "not run",
)
FITTED = 0.99  # share of the training set from which on a network counts as fitted
STAND_IN = "digits"  # for all data sets at scale smoke
SEEDS = 3  # that a verdict on trainings needs; as many as the work had where it had more


@dataclasses.dataclass(frozen=True)
class Finding:
    """What runs say about a claim.

    `error` says how large the error of what was measured is and how it was found, `sensitivity`
    what the verdict would be with `half` and with `twice` the tolerance, as
    repro.reporting.statistics.sensitivity returns it. Either is empty where a claim has none, such
    as an exact count. `brief` says what was measured in a few words that need no explanation, for
    the table at the front; empty where `measured` does already.
    """

    measured: str
    verdict: str
    runs: Sequence[Run]
    error: str = ""
    sensitivity: Mapping[str, str] | None = None
    brief: str = ""


@dataclasses.dataclass(frozen=True)
class Main:
    """The claim that stands for a work, in words for readers who do not know the work."""

    id: str
    statement: str
    published: str


@dataclasses.dataclass(frozen=True)
class Claim:
    """A checkable statement of a paper or of a rerun of it.

    `judge` maps runs to a Finding, or to None where the runs it needs are not there. `criterion`
    says in words what must be measured for the claim to count as reproduced, and what contradicts
    it, `to_decide` what it would take where the runs there are leave it open, and `scale` which is
    the smallest whose runs can decide it. `judge` sees the runs of one figure, or all of the paper
    there are where `everywhere` says so: a count of networks, for one, should not depend on which
    figure lists the claim. `general` says that the claim holds on any data, by mathematics, by
    definition or by its words; all others are inconclusive on STAND_IN, which is small and easy and
    nobody's data. `diverged` says that `judge` sees runs that diverged where its paper's figures
    leave them out.
    """

    id: str
    statement: str
    source: str  # where it is stated: a figure, a table, a rerun
    published: str  # the number there
    judge: Callable[[Sequence[Run]], Finding | None]
    criterion: str = ""
    to_decide: str = ""
    scale: str = "cpu"
    everywhere: bool = False
    general: bool = False
    diverged: bool = False


def judge(
    claims: Sequence[Claim], runs: Sequence[Run], scale: str, everywhere: Sequence[Run] = ()
) -> list[dict]:
    """Return one record per claim: the claim, the measured value, the verdict, its evidence.

    Args:
      claims: to be judged.
      runs: of the figure that lists them.
      scale: of the figure.
      everywhere: all complete runs of the paper, for the claims that look at all; those of the
        figure are enough where it is empty.
    """
    together = _together(runs, everywhere)
    records = []
    for claim in claims:
        finding = claim.judge(together if claim.everywhere else runs)
        record = {
            "id": claim.id,
            "statement": claim.statement,
            "source": claim.source,
            "published": claim.published,
            "scale": scale,
            "measured": "",
            "verdict": NOT_RUN,
            "protocol": "",
            "runs": [],
        }
        if finding is not None:
            finding = _on_its_data(claim, finding)
            record |= {
                "measured": finding.measured,
                "verdict": finding.verdict,
                "protocol": protocol(finding.runs),
                "runs": sorted({run.path.name for run in finding.runs}),
            }
            if finding.error:
                record["error"] = finding.error
            if finding.sensitivity:
                record["sensitivity"] = dict(finding.sensitivity)
            if finding.brief:
                record["brief"] = finding.brief
        if claim.criterion:
            record["criterion"] = claim.criterion
        records.append(record)
    return records


def _on_its_data(claim: Claim, finding: Finding) -> Finding:
    """Return a finding, inconclusive where small data stand in for those the claim is about."""
    there = {run.settings.get("dataset") for run in finding.runs}
    if claim.general or STAND_IN not in there:
        return finding
    return undecided(finding, f"{STAND_IN} stand in for the data that this claim is about")


def _together(runs: Sequence[Run], others: Sequence[Run]) -> list[Run]:
    """Return the runs of a figure and then those of its paper that are none of its own.

    What is run on the small data set of scale smoke is not mixed with anything else.
    """
    here = {run.path.name for run in runs}
    small = {run.settings.get("dataset") == STAND_IN for run in runs}
    return [
        *runs,
        *(
            run
            for run in others
            if run.path.name not in here and (run.settings.get("dataset") == STAND_IN) in small
        ),
    ]


# --- what every claim asks of its runs ------------------------------------------------------------


def ended(train_accuracy: float | None, by_rule: bool = False) -> bool:
    """Whether a training got as far as claims about where trainings end ask for.

    Args:
      train_accuracy: share of the training set that the network has right; 99 % of it count as
        fitted. None where fitting is not enough, as for the sharpness of a minimum, which goes on
        changing, or for a claim that the share is 100 %.
      by_rule: whether the paper's own stopping rule was met: a loss, or all of its epochs.
    """
    return by_rule or (train_accuracy is not None and train_accuracy >= FITTED)


def undecided(finding: Finding, because: str) -> Finding:
    """Return a finding as inconclusive, whichever way it points, with the reason.

    It is returned as it is where there is no reason, that is, where `because` is empty.
    """
    if not because:
        return finding
    measured = f"{finding.measured}; {because}"
    return dataclasses.replace(finding, measured=measured, verdict=INCONCLUSIVE, sensitivity=None)


def of_seeds(finding: Finding, least: int = SEEDS, runs: Sequence[Run] | None = None) -> Finding:
    """Return a finding, inconclusive where fewer seeds than `least` stand behind it.

    Args:
      finding: on trainings, which another seed might have ended elsewhere.
      least: SEEDS, or as many as the work had.
      runs: those whose seeds count; all of the finding's where None.
    """
    seeds = {run.settings["seed"] for run in (finding.runs if runs is None else runs)}
    few = f"{len(seeds)} of the {least} seeds asked for" if len(seeds) < least else ""
    return undecided(finding, few)


# --- verdicts of parts ----------------------------------------------------------------------------


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


def as_text(records: Sequence[dict]) -> str:
    """Return claims as plain lines for a terminal."""
    lines = []
    for record in records:
        lines.append(f"{record['id']:4} {record['verdict']:13} {record['statement']}")
        if record["measured"]:
            lines.append(f"{'':18} measured {record['measured']}; published {record['published']}")
    return "\n".join(lines)
