"""Gather every figure, table and verdict drawn so far into one HTML page.

tools/report [--output_dir=outputs]
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
        page = report.build(arguments.output_dir / "figures")
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    file = arguments.output_dir / "report.html"
    file.write_text(page)
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
