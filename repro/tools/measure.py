"""Measure what a complete run of any paper has trained: curvature, norms, margins.

    tools/measure outputs/stability/RUN --data_dir=DIR

Writes measure.json and a picture of the Hessian's spectrum, spectrum.png and .pdf, into the run's
directory, beside its result. The defaults take minutes; --examples=200 --eigenvalues=1 --probes=1
is a quick look. Batch norm is in inference mode, and the network computes in float32,
or in what its paper's `open_run` says, whatever the run trained in.
"""

import argparse
import dataclasses
import functools
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from repro import devices, papers
from repro.fields import fields
from repro.settings import Devices

NOISE_VECTORS = 60  # random ones, for the alignment of SGD's noise
BATCH = 250  # examples that the gradient is taken of at once
STRATEGIES = {field.name: field.metadata["choices"] for field, _ in fields(Devices)}["strategy"]


def measure(
    trained,
    *,
    eigenvalues: int = 10,
    probes: int = 4,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    strategy=None,
    say: Callable[[str], None] = lambda line: None,
) -> dict:
    """Return what measure.json says of a network.

    Args:
      trained: a repro.training.trained.Trained.
      eigenvalues: how many of the Hessian's largest, at most as many as there are weights.
      probes: of the spectral density.
      tolerance: on residuals of eigenvalues, as a share of the largest in magnitude.
      max_iterations: products for each eigenvalue, and for the trace.
      strategy: under which products are computed; None: the current one.
      say: is told each number as it comes.

    Returns:
      values with residuals or standard errors: `sharpness`, `nonuniformity`, `eigenvalues` and
      `smallest_eigenvalue` of the Hessian of the mean loss, its `trace` and `density`;
      `gradient_norm`; `noise`: Frobenius norm and alignment of SGD's noise (Wu, Wang, Su 2022);
      `norms` of the weights; `margins` of the logits over the examples, None where
      targets are no classes; and, for SGD, a and s over their bounds at the learning rate, batch
      size and momentum of the settings (the first rate, where it falls).

    Raises:
      ValueError: something is not finite, or a number out of range.
    """
    from repro import curvature

    network, loss, data = trained.network, trained.loss, trained.data
    weights = sum(math.prod(v.shape) for v in network.trainable_variables)
    of = network, loss, data
    limits = {"tolerance": tolerance, "max_iterations": max_iterations, "strategy": strategy}
    slope = gradient_norm(*of)
    say(f"gradient norm {slope:.4g} over {len(data[1]):,} examples")
    a = curvature.sharpness(*of, **limits)
    say(f"sharpness {_shown(a.value, a.residual, a.converged)}")
    s = curvature.nonuniformity(*of, **limits)
    say(f"non-uniformity {_shown(s.value, s.residual, s.converged)}")
    top = curvature.top_eigenvalues(*of, min(eigenvalues, weights), **limits)
    say(f"largest eigenvalues {', '.join(f'{value:.4g}' for value in top.values)}")
    low = curvature.top_eigenvalues(*of, which="smallest", **limits)
    say(f"smallest eigenvalue {_shown(low.values[0], low.residuals[0], low.converged)}")
    trace = curvature.trace(*of, max_iterations=max_iterations, strategy=strategy)
    say(f"trace {trace.value:.4g} ± {trace.standard_error:.1g}")
    density = curvature.spectral_density(*of, probes=probes, strategy=strategy)
    say(f"spectral density by {probes} probes")
    return {
        "examples": len(data[1]),
        "parameters": weights,
        "gradient_norm": slope,
        "sharpness": a.without_vector(),
        "nonuniformity": s.without_vector(),
        **stability_margins(a.value, s.value, trained.settings, len(data[1])),
        "eigenvalues": top.values.tolist(),
        "eigenvalue_residuals": top.residuals.tolist(),
        "eigenvalues_converged": top.converged,
        "smallest_eigenvalue": {
            "value": float(low.values[0]),
            "residual": float(low.residuals[0]),
            "iterations": low.iterations,
            "converged": low.converged,
        },
        "trace": dataclasses.asdict(trace),
        "density": {
            "nodes": density.nodes.tolist(),
            "weights": density.weights.tolist(),
            "second_moment": density.moment(2)[0],
            "second_moment_standard_error": density.moment(2)[1],
        },
        "noise": noise_of(*of, trained.settings),
        "norms": norms_of(network),
        "margins": margins_of(network, data),
    }


def _shown(value: float, residual: float, converged: bool) -> str:
    rest = "" if converged else ", not converged: raise --max_iterations"
    return f"{value:.6g} (residual {residual:.1g}{rest})"


def gradient_norm(network, loss, data) -> float:
    """Return the Euclidean norm of the gradient of the mean loss, summed in float64.

    Raises:
      ValueError: it is not finite.
    """
    import numpy as np
    import tensorflow as tf

    inputs, targets = data
    weights = [tf.convert_to_tensor(v.value) for v in network.trainable_variables]
    state = [tf.convert_to_tensor(v.value) for v in network.non_trainable_variables]
    total = [np.zeros(w.shape) for w in weights]
    for begin in range(0, len(targets), BATCH):
        x, y = (tf.convert_to_tensor(part[begin : begin + BATCH]) for part in (inputs, targets))
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs, _ = network.stateless_call(weights, state, x, training=False)
            summed = tf.reduce_sum(loss(y, outputs))
        gradients = tape.gradient(summed, weights, unconnected_gradients="zero")
        total = [before + g.numpy() for before, g in zip(total, gradients)]
    norm = sum(float(np.sum(part**2)) for part in total) ** 0.5 / len(targets)
    if not math.isfinite(norm):
        raise ValueError("the gradient is not finite: have the weights diverged?")
    return norm


def stability_margins(a: float, s: float, settings, examples: int) -> dict:
    """Return a and s over the bounds of linear stability, None where the run was no such SGD."""
    from repro.curvature import stability

    rate, batch_size = (getattr(settings, name, None) for name in ("learning_rate", "batch_size"))
    if rate is None or batch_size is None:
        return {"sharpness_margin": None, "nonuniformity_margin": None}
    batch_size = min(batch_size, examples)
    return {
        "sharpness_margin": stability.sharpness_margin(
            a, rate, getattr(settings, "momentum", None) or 0.0
        ),
        "nonuniformity_margin": stability.nonuniformity_margin(s, rate, batch_size, examples),
    }


def noise_of(network, loss, data, settings) -> dict | None:
    """Return Frobenius norm and noise alignment, None where the run was no such SGD."""
    from repro import curvature

    rate, batch_size = (getattr(settings, name, None) for name in ("learning_rate", "batch_size"))
    if rate is None or batch_size is None:
        return None
    examples = len(data[1])
    found = curvature.noise_alignment(network, loss, data, max_iterations=NOISE_VECTORS)
    return found.of_sgd(rate, min(batch_size, examples), examples)


def norms_of(network) -> dict:
    """Return the norms of a network's weights, without path norms where it has none."""
    from repro import norms

    try:
        norms.check_paths(network)
    except ValueError as error:
        return {**norms.frobenius(network), "folded": None, "no_path_norm": str(error)}
    return norms.nested(norms.readings(network)())


def margins_of(network, data) -> dict | None:
    """Return the margins of the logits over the examples, None where targets are no classes."""
    import numpy as np

    from repro import norms

    inputs, targets = data[0], np.asarray(data[1])
    if targets.ndim == 2 and targets.shape[1] > 1 and np.isin(targets, (0, 1)).all():
        if not (targets.sum(1) == 1).all():
            return None
        targets = targets.argmax(1)
    if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
        return None
    return norms.margins(norms.logits_on(network, inputs), targets)


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
        said = json.loads(record.read_text())["command"] if record.exists() else ""
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

    path = epath.Path(arguments.run)
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
    found = measure(trained, **limits, strategy=strategy, say=functools.partial(print, flush=True))
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
        help="how products are distributed, as of the binaries",
    )
    parsed = parser.parse_args(arguments)

    from repro.launch import one_line_errors

    with one_line_errors():
        run(parsed)


if __name__ == "__main__":
    main()
