"""Measure what a complete run of any paper has trained: curvature, norms, margins.

    tools/measure outputs/stability/RUN --data_dir=DIR

Writes measure.json and a picture of the Hessian's spectrum, spectrum.png and .pdf, into the run's
directory, beside its result. The defaults take minutes; --examples=200 --eigenvalues=1 --probes=1
is a quick look. Batch norm is in inference mode, and the network computes in float32,
or in what its paper's `open_run` says, whatever the run trained in.
"""

import argparse
import functools
import json
import math
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from repro import devices, files, papers
from repro.settings import Devices
from repro.tools import measuring

STRATEGIES = ("default", "mirrored", "multi_worker")


def paper_of(path) -> str:
    """Return whose run a directory holds.

    That is what its environment.json says, or else the name of the folder that it is in.

    Raises:
      ValueError: there is no run, or it is of no paper of this suite, or its files are damaged.
    """
    from repro.training import checksums

    if not (path / "flags.cfg").exists():
        raise ValueError(f"{path} holds no run: there is no flags.cfg")
    checksums.check(path)
    record = path / "environment.json"
    try:
        said = json.loads(files.read(record))["command"] if record.exists() else ""
        found = re.search(r"-m repro\.(\w+)", said)
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise ValueError(f"{record} is damaged ({error!r}): it should say the command") from error
    for name in (found and found[1], path.resolve().parent.name):
        if name in papers.PAPERS:
            return name
    raise ValueError(f"whose run is {path}? Its folder should be one of {', '.join(papers.PAPERS)}")


def write(measured: dict, path) -> list:
    """Write measure.json and the pictures of the spectrum into a directory; return the files."""
    import numpy as np

    from repro.reporting import figures, spectra

    nodes, weights = (np.array(measured["density"][name]) for name in ("nodes", "weights"))
    files = [path / "measure.json"]
    partial = path / "measure.json.partial"
    partial.write_text(json.dumps(_finite(measured), indent=1, allow_nan=False) + "\n")
    partial.replace(files[0])
    with tempfile.TemporaryDirectory() as folder:  # matplotlib writes to no remote path
        for file in figures.draw(
            lambda runs: spectra.spectrum(nodes, weights), [], path.name, Path(folder) / "spectrum"
        ):
            files.append(path / file.name)
            files[-1].write_bytes(file.read_bytes())
    return files


def _finite(value):
    """Return JSON values with None in place of numbers that JSON has not, such as infinity."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def run(arguments: argparse.Namespace) -> None:
    """Open a run, measure it and write what was found."""
    from etils import epath

    from repro.training import checksums

    path = epath.Path(arguments.run)
    checksums.check_places(path)
    paper = paper_of(path)
    # Before TensorFlow starts: in 2.21, oneDNN's convolutions write beyond their memory where a
    # narrow ResNet's examples are differentiated one at a time, and the process dies.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    strategy = devices.prepare_devices(Devices(strategy=arguments.strategy))

    from repro.training.strategy import is_chief

    with strategy.scope():
        trained = papers.module(paper, "experiment").open_run(
            path,
            data_dir=arguments.data_dir,
            download=arguments.download == "true",
            examples=arguments.examples,
        )
    limits = {
        name: getattr(arguments, name)
        for name in ("eigenvalues", "probes", "tolerance", "max_iterations")
    }
    found = measuring.measure(
        trained, **limits, strategy=strategy, say=functools.partial(print, flush=True)
    )
    if is_chief(strategy):
        for file in write({"paper": paper, "run": path.name, "asked": limits, **found}, path):
            print(f"wrote {file}")


def _from(low: int):
    """Return a type for argparse: whole numbers from `low` on."""

    def number(text: str) -> int:
        if int(text) < low:
            raise argparse.ArgumentTypeError(f"{text} must be {low} or more")
        return int(text)

    return number


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="tools/measure", description=__doc__.split("\n")[0])
    parser.add_argument("run", help="the directory of a complete run, of any paper")
    parser.add_argument("--eigenvalues", type=_from(1), default=10, help="how many at the top")
    parser.add_argument("--probes", type=_from(1), default=4, help="of the spectral density")
    parser.add_argument(
        "--examples",
        type=_from(2),
        default=1000,
        help="measure over the first so many training examples",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        help="largest residual of an eigenvalue, as a share of the largest",
    )
    parser.add_argument(
        "--max_iterations",
        type=_from(4),
        default=200,
        help="products at most for an eigenvalue, and for the trace",
    )
    parser.add_argument("--data_dir", help="where tensorflow-datasets keeps prepared data")
    parser.add_argument(
        "--download", choices=("true", "false"), default="true", help="may missing data be fetched"
    )
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="default",
        help="how products are distributed, as of the binaries; no tpu, as it multiplies float32 "
        "matrices in bfloat16",
    )
    parsed = parser.parse_args(arguments)

    from repro.launch import one_line_errors

    with one_line_errors():
        run(parsed)


if __name__ == "__main__":
    main()
