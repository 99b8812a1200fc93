"""What sweeps of unsaid values found: each value's best trial beside the chosen one."""

from collections.abc import Mapping, Sequence

from repro.reporting import tables

COLUMNS = ("sweep", "flag", "value: best objective with it", "chosen", "trials")
UNUSED = "No run uses it unless its flags say so."


def records(paper: str, sweeps: Mapping[str, Mapping]) -> list[dict]:
    """Return one record a sweep, for the ledger.

    Args:
      paper: its name.
      sweeps: of its tuned.json, by name.

    Returns:
      paper, name, says, judged_by, objective, trials (how many), used (where its values are used),
      and flags: name, tried (value and the best objective with it, as text), chosen. How much an
      objective changes from one value to the next says how flat the optimum is.
    """
    found = []
    for name, sweep in sorted(sweeps.items()):
        trials = sweep["trials"]
        longest = max(trial["epochs"] for trial in trials)
        shown = [trial for trial in trials if trial["epochs"] == longest]
        applies = sweep["applies_to"]
        used = applies and "Used by runs with " + ", ".join(f"{k}={v}" for k, v in applies.items())
        flags = [
            {"name": flag, "tried": _tried(shown, flag), "chosen": shortly(chosen)}
            for flag, chosen in sweep["values"].items()
        ]
        found.append(
            {
                "paper": paper,
                "name": name,
                "says": sweep["says"],
                "judged_by": sweep["judged_by"],
                "objective": sweep["objective"],
                "trials": len(trials),
                "used": f"{used}." if used else UNUSED,
                "flags": flags,
            }
        )
    return found


def table(found: Sequence[Mapping]) -> tables.Table:
    """Return the sweeps of a paper as a table."""
    rows = [
        [
            f"{sweep['name']}: {sweep['says']}" if first else "",
            flag["name"],
            flag["tried"],
            flag["chosen"],
            str(sweep["trials"]) if first else "",
        ]
        for sweep in found
        for first, flag in zip([True] + [False] * len(sweep["flags"]), sweep["flags"])
    ]
    note = " ".join(
        f"{each['name']}: judged by {each['judged_by']}. {each['used']}" for each in found
    )
    return tables.Table(COLUMNS, rows, note)


def _tried(trials: Sequence[Mapping], flag: str) -> str:
    """Return each value of a flag with the best objective that any trial had with it."""
    best: dict = {}
    for trial in trials:
        value, objective = trial["values"][flag], trial["objective"]
        best[value] = max(objective, best.get(value, objective))
    return ", ".join(f"{shortly(value)}: {best[value]:.3f}" for value in sorted(best, key=_order))


def _order(value) -> tuple:
    return isinstance(value, str), value


def shortly(value) -> str:
    """Return a value that was tried as it is shown."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)
