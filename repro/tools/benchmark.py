"""Measure how fast the suite is, as ratios and times taken within one process on one machine.

    tools/benchmark [--only=NAME] [--fast]

Prints a table, writes outputs/benchmark.json and ends with status 1 if a target is missed. A row is
a function of `fast` that returns a Row; a paper adds a module of them to ROWS. Arrays are random:
speed does not depend on values. What a ratio compares takes turns, so that other programs disturb
both sides; still, quote numbers only from a machine that is otherwise idle: the load average is in
the record. The ratio of processor times beside that of times hardly minds a busy machine.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from repro.tools import (
    benchmark_curvature,
    benchmark_curves,
    benchmark_students,
    benchmark_training,
)
from repro.tools.benchmark_rows import Row

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow is imported late; keep it quiet

ROWS: dict[str, Callable[[bool], Row]] = {
    **benchmark_training.ROWS,
    **benchmark_students.ROWS,
    **benchmark_curves.ROWS,
    **benchmark_curvature.ROWS,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/benchmark", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="rows whose name starts so")
    parser.add_argument("--fast", action="store_true", help="small and noisy: does it work at all")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs"))
    arguments = parser.parse_args()
    chosen = [name for name in ROWS if name.startswith(arguments.only)]
    if not chosen:
        sys.exit(f"error: no row {arguments.only!r}; choose from {', '.join(ROWS)}")
    load = os.getloadavg()[0]  # of the last minute
    if load > 0.5:
        print(f"note: other programs keep {load:.1f} of {os.cpu_count()} CPUs busy")
    print(f"{'row':42} {'value':>7} {'unit':5} {'target':>7}")
    rows = []
    for name in chosen:
        rows.append(r := ROWS[name](arguments.fast))
        verdict = "holds" if r.holds else "MISSED"
        print(
            f"{r.name:42} {r.value:7.3f} {r.unit:5} {r.target:>7} {verdict:6}  {r.detail}",
            flush=True,
        )

    from repro.training import provenance

    record = provenance.environment("default", ["CPU"], "repro.tools.benchmark")
    record |= {"fast": arguments.fast, "load_average_before": load}
    record["rows"] = [dataclasses.asdict(r) for r in rows]
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    file = arguments.output_dir / "benchmark.json"
    file.write_text(json.dumps(record, indent=1) + "\n")
    print(f"wrote {file}")
    sys.exit(not all(r.holds for r in rows))


if __name__ == "__main__":
    main()
