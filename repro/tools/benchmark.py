"""Measure how fast the suite is, as ratios and times taken within one process on one machine.

    tools/benchmark [--only=NAME] [--fast] [--save_baseline] [--pytorch=PYTHON]

Prints a table, writes outputs/benchmark.json and ends with status 1 if a target is missed, or if a
ratio is more than 10 % worse than in the committed baseline, which `--save_baseline` writes anew.
A row is a function of `fast` that returns a Row; a paper adds a module of them to ROWS. Arrays are
random: speed does not depend on values. What a ratio compares takes turns, so that other programs
disturb both sides; still, quote numbers only from a machine that is otherwise idle: the load
average is in the record. The ratio of processor times beside that of times hardly minds a busy
machine. Rows beside PyTorch need the Python of an environment that has it.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from repro.launch import one_line_errors
from repro.tools import (
    benchmark_curvature,
    benchmark_curves,
    benchmark_peers,
    benchmark_processes,
    benchmark_students,
    benchmark_training,
)
from repro.tools.benchmark_rows import Row

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow is imported late; keep it quiet

BASELINE = Path(__file__).with_name("benchmark_baseline.json")  # row -> ratio
REGRESSION = 0.1

ROWS: dict[str, Callable[[bool], Row]] = {
    **benchmark_processes.ROWS,
    **benchmark_training.ROWS,
    **benchmark_students.ROWS,
    **benchmark_curves.ROWS,
    **benchmark_curvature.ROWS,
}


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/benchmark", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="rows whose name starts so")
    parser.add_argument("--fast", action="store_true", help="small and noisy: does it work at all")
    parser.add_argument("--save_baseline", action="store_true", help="these are the ratios to keep")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs"))
    parser.add_argument("--pytorch", metavar="PYTHON", help="one with torch: adds the rows peers/")
    arguments = parser.parse_args()
    try:
        known = ROWS | (benchmark_peers.rows(arguments.pytorch) if arguments.pytorch else {})
    except ValueError as problem:
        sys.exit(f"error: {problem}")
    wanted = [name for name in benchmark_peers.NAMES if name.startswith(arguments.only)]
    if wanted and not arguments.pytorch:
        print(f"note: no rows peers/, beside PyTorch; to have them: {benchmark_peers.HOW}")
    chosen = [name for name in known if name.startswith(arguments.only)]
    if not chosen:
        sys.exit(f"error: no row {arguments.only!r}; choose from {', '.join(known)}")
    load = os.getloadavg()[0]  # of the last minute
    if load > 0.5:
        print(f"note: other programs keep {load:.1f} of {os.cpu_count()} CPUs busy")
    print(f"{'row':42} {'value':>7} {'unit':5} {'target':>7}")
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    rows, regressions = [], []
    for name in chosen:
        rows.append(r := known[name](arguments.fast))
        verdict, since = "holds" if r.holds else "MISSED", ""
        if r.unit == "ratio" and name in baseline and not arguments.fast:
            change = worse(r, baseline[name])
            since = f"; {100 * change:+.0f} % worse than {baseline[name]:.3f}, the baseline"
            if change > REGRESSION:
                regressions.append(name)
                since = f"; REGRESSION{since[1:]}"
        print(
            f"{r.name:42} {r.value:7.3f} {r.unit:5} {r.target:>7} {verdict:6}  {r.detail}{since}",
            flush=True,
        )
    if arguments.save_baseline and not arguments.fast:
        kept = baseline | {r.name: r.value for r in rows if r.unit == "ratio"}
        BASELINE.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
        print(f"wrote {BASELINE}")

    from repro.training import provenance

    record = provenance.environment("default", ["CPU"], "tools.benchmark")
    record |= {"fast": arguments.fast, "load_average_before": load, "regressions": regressions}
    record["rows"] = [dataclasses.asdict(r) for r in rows]
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    file = arguments.output_dir / "benchmark.json"
    file.write_text(json.dumps(record, indent=1) + "\n")
    print(f"wrote {file}")
    sys.exit(bool(regressions) or not all(r.holds for r in rows))


def worse(row: Row, before: float) -> float:
    """Return by what share of `before` a row is worse, below 0 if it is better."""
    gain = before / row.value if row.target.startswith(">=") else row.value / before
    return gain - 1


if __name__ == "__main__":
    main()
