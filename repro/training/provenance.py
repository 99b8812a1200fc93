"""Where a number comes from: versions, code, machine, devices, command."""

import ast
import functools
import hashlib
import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What says nothing of a run's numbers: flags, whose values are recorded, bookkeeping, drawing.
ASIDE = {
    "settings",
    "launch",
    "papers",
    "tuning",
    "provenance",
    "files",
    "runs",
    "locks",
    "figures",
    "tables",
    "claims",
    "measures",
    "reporting",
    "tools",
}


def environment(strategy: str, devices: Sequence[str], paper: str) -> dict:
    """Return what a number may depend on beyond its settings.

    Args:
      strategy: name of the strategy.
      devices: names of the devices it computes on.
      paper: whose binary runs, as in `python -m repro.randomization`.
    """
    return {
        "command": shlex.join(["python", "-m", f"repro.{paper}", *sys.argv[1:]]),
        "python": sys.version.split()[0],
        "versions": _versions(),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "strategy": strategy,
        "float32_products": _product_precision(strategy),
        "devices": list(devices),
        "cpus": os.cpu_count(),
        "machine": machine(),
    }


@functools.cache
def _versions() -> dict[str, str]:
    found = ((package.name, package.version) for package in importlib.metadata.distributions())
    return dict(sorted(pair for pair in found if pair[0]))  # one removed by halves has no name


def _product_precision(strategy: str) -> str:
    """Return what devices multiply float32 matrices in; processors know float32 only."""
    import tensorflow as tf

    if strategy == "tpu":
        return "bfloat16"
    reduced = tf.config.experimental.tensor_float_32_execution_enabled()
    return "tf32" if reduced and tf.config.list_physical_devices("GPU") else "float32"


def machine() -> dict:
    """Return processor, accelerators, memory in GiB, threads, and what changes last bits."""
    import tensorflow as tf

    details = tf.config.experimental.get_device_details
    gpus = tf.config.list_physical_devices("GPU")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "system": platform.platform(),
        "gpus": [details(gpu).get("device_name", gpu.name) for gpu in gpus],
        "memory_gib": round(memory, 1),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0",
        "tensor_float_32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }


def code(modules: Iterable[str] | None = None) -> dict[str, str]:
    """Return module of this project -> 8 hex digits that stand for what it computes.

    Comments, docstrings and layout do not count. A run records this at its end; the same call on
    the same names later shows which modules have changed since.

    Args:
      modules: names; None: those imported so far that a run's numbers can depend on.
    """
    if modules is None:
        modules = (name for name in sys.modules if name.startswith("repro."))
        modules = (name for name in modules if not any(map(_aside, name.split("."))))
    own = (name for name in modules if re.fullmatch(r"repro(\.\w+)+", name))  # not a file's path
    return {name: digits for name in sorted(own) if (digits := _digits(name))}


def _aside(part: str) -> bool:
    return part in ASIDE or part.endswith(("_figures", "_settings"))


def _digits(module: str) -> str | None:
    place = ROOT.joinpath(*module.split("."))
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.exists():
            return _digits_of(file.read_text())
    return None


@functools.cache
def _digits_of(source: str) -> str:
    tree = _without_docstrings(ast.parse(source))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:8]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = body[1:]
    return tree


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
