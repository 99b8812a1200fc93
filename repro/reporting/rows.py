"""Runs as a table: a row a run, a column a setting or a result."""

import csv
import io
from collections.abc import Mapping, Sequence

FIRST = ("paper", "name", "stage", "seed", "status")
LAST = ("seconds", "commit", "code", "machine", "start", "end")


def table(runs: Sequence[Mapping]) -> tuple[list[str], list[dict]]:
    """Return names of columns, and rows by column, of runs as evidence.record describes them.

    A setting keeps its name; a number of the result whose name is a setting's too, such as
    `epochs`, is `result_epochs`. Numbers within numbers are left to result.json.
    """
    settings = dict.fromkeys(name for run in runs for name in run["settings"] if name not in FIRST)
    results = dict.fromkeys(
        name for run in runs for name in run["results"] if name not in (*FIRST, *LAST)
    )
    named = {name: f"result_{name}" if name in settings else name for name in results}
    rows = []
    for run in runs:
        row = {name: run.get(name) for name in (*FIRST, *LAST)}
        row |= {name: _plain(value) for name, value in run["settings"].items()}
        row |= {named[k]: value for k, value in run["results"].items() if k in named}
        rows.append(row)
    return [*FIRST, *settings, *named.values(), *LAST], rows


def as_csv(runs: Sequence[Mapping]) -> str:
    """Return runs as CSV with a header; what a run does not have is empty."""
    columns, rows = table(runs)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def frame(runs: Sequence[Mapping]):
    """Return runs as a pandas.DataFrame.

        from repro import reporting
        from repro.tools import runs
        reporting.frame(runs.read("outputs")).groupby("model").test_accuracy.mean()

    Raises:
      ImportError: pandas is not installed; `pip install .[pandas]` brings it.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError("reporting.frame needs pandas: pip install .[pandas]") from error
    columns, rows = table(runs)
    return pandas.DataFrame(rows, columns=columns)


def _plain(value):
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value
