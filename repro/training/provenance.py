"""Where a number comes from: versions, commit, devices, command."""

import importlib.metadata
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence

PACKAGES = ("tensorflow", "keras", "numpy", "tensorflow-datasets", "keras-tuner")


def environment(strategy: str, devices: Sequence[str], module: str) -> dict:
    """Return what a number may depend on beyond its settings: versions, commit, devices, command.

    Args:
      strategy: name of the strategy.
      devices: names of the devices it computes on.
      module: of the binary, as in `python -m repro.randomization`.
    """
    return {
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        "python": sys.version.split()[0],
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "strategy": strategy,
        "devices": list(devices),
        "cpus": os.cpu_count(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    here = os.path.dirname(os.path.abspath(__file__))
    try:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
