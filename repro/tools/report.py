"""Gather every figure, table and verdict drawn so far into one page.

    tools/report [--output_dir=outputs]

Writes report.html, self-contained, and report.md, the verdicts alone: by work, and one by one.
"""

import argparse
import sys
from pathlib import Path

from repro.reporting import report


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/report", description=__doc__.split("\n")[0])
    parser.add_argument("--output_dir", type=Path, default=Path("outputs"))
    arguments = parser.parse_args()
    try:
        drawn = report.read(arguments.output_dir / "figures")
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    verdicts = f"# Verdicts\n\n{report.overview(drawn)}\n{report.summary(drawn)}"
    for name, text in (("report.html", report.build(drawn)), ("report.md", verdicts)):
        (arguments.output_dir / name).write_text(text)
        print(f"wrote {arguments.output_dir / name}")


if __name__ == "__main__":
    main()
