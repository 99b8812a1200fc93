"""Settings: what a run's result depends on, declared once, in frozen dataclasses.

A paper has one class per stage in its `settings.py`; a field made by `flag` is a flag of the
binary, with its default, unit, help, choices and range (`repro.fields`). Everybody who names,
starts or looks for a run goes through `settle` and `name` of this module: so the same settings are
one run, whoever asks. Nothing here imports TensorFlow.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from repro import tuning
from repro.fields import (
    base_type,
    check_value,
    converted,
    fields,
    flag,
    flag_name,
    read_flag_file,
)

CONFIGS = Path(__file__).parent.parent / "configs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What every run depends on. A subclass is one stage of one paper.

    Raises:
      ValueError: a value is of the wrong type, out of its range, or no choice; the message names
        the flag.
    """

    paper: ClassVar[str]
    stage: ClassVar[str] = "train"
    moved: ClassVar[Mapping[str, str]] = {}  # old name of a flag -> what to say instead
    absent: ClassVar[Mapping[str, str]] = {}  # flag of other stages -> why this one has it not

    seed: int = flag(0, "Number that everything random is keyed by.", low=0, high=2**31 - 1)

    def __post_init__(self):
        for field, kind in fields(type(self)):
            value = getattr(self, field.name)
            check_value(field, kind, value)
            if base_type(kind) is float and type(value) is int:  # 1 and 1.0 are one setting
                object.__setattr__(self, field.name, float(value))

    def settled(self) -> Self:
        """Return the settings with all values derived that follow from others.

        Subclasses extend it; what does not matter to this run becomes None, so that no run's name
        depends on it.
        """
        return self

    def check(self) -> None:
        """Raise ValueError where settled values cannot go together. Subclasses extend it."""

    def label(self) -> str:
        """Return the readable part of a run's name. Subclasses say what a reader looks for."""
        return f"seed{self.seed}"

    def needs(self) -> list["Settings"]:
        """Return the settings of the runs that this one starts from, for whoever shows it."""
        return []

    def without_curvature(self) -> list[str]:
        """Return how to say that no curvature be measured, for each flag that asks for it."""
        return []

    def replace(self, **changes) -> Self:
        """Return settings with some fields changed."""
        return dataclasses.replace(self, **changes)


def as_dict(settings: Settings) -> dict:
    """Return all settings by name, `stage` among them, as JSON has them: lists, no tuples."""
    values = {flag_name(f): getattr(settings, f.name) for f, _ in fields(type(settings))}
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
    return {"stage": settings.stage, **values}


def from_dict(stages: Mapping[str, type[Settings]], values: Mapping) -> Settings:
    """Return the settings that `as_dict` wrote, or that a table of a TOML says.

    Args:
      stages: a paper's classes by stage, the default one first.
      values: by name, with or without `stage`. A list may be a string with commas.

    Raises:
      ValueError: an unknown stage or name, or a bad value.
    """
    values = dict(values)
    stage = values.pop("stage", None) or next(iter(stages))
    kind = of_stage(stages, stage)
    known = {flag_name(f): (f.name, t) for f, t in fields(kind)}
    for name in values:
        if name not in known:
            raise ValueError(unknown(name, kind, stages))
    return kind(
        **{known[name][0]: converted(value, known[name][1]) for name, value in values.items()}
    )


def of_stage(stages: Mapping[str, type[Settings]], stage: str) -> type[Settings]:
    """Return the class of a stage.

    Raises:
      ValueError: there is none; one line says what to say instead, which the default stage's
        `moved` has as `stage=NAME`.
    """
    if isinstance(stage, str) and stage in stages:
        return stages[stage]
    instead = next(iter(stages.values())).moved.get(f"stage={stage}")
    if instead:
        raise ValueError(f"--stage={stage} is gone: {instead}")
    raise ValueError(f"--stage={stage} is unknown: choose from {', '.join(stages)}")


def unknown(name: str, kind: type[Settings], stages: Mapping[str, type[Settings]]) -> str:
    """Return the one line that says why a flag is not one of this stage's."""
    if name in kind.moved:
        return f"--{name} is gone: {kind.moved[name]}"
    if name in kind.absent:
        return f"--{name} is not for --stage={kind.stage}: {kind.absent[name]}"
    owners = [s for s, other in stages.items() if name in {flag_name(f) for f, _ in fields(other)}]
    if owners:
        return f"--{name} is not for --stage={kind.stage}, but for --stage={' and '.join(owners)}"
    import difflib

    near = difflib.get_close_matches(name, [flag_name(f) for f, _ in fields(kind)], n=1)
    return f"--{name} is unknown" + (f": is --{near[0]} meant?" if near else "")


def tuned_file_of(paper: str) -> Path:
    """Return where tools/tune writes what it found for a paper."""
    return CONFIGS / paper / "tuned.json"


def settle(settings: Settings, tuned_file: Path | None = None) -> tuple[Settings, dict]:
    """Return complete, checked settings: what a run is named by, and what it computes.

    Args:
      settings: what was asked for.
      tuned_file: what sweeps found; None: configs/<paper>/tuned.json.

    Returns:
      the settings, and name -> `tuned` or `default` for each that the paper leaves unsaid and that
      was filled.

    Raises:
      ValueError: values that cannot go together.
    """
    settings = settings.settled()
    open_ = {
        f.name: f.metadata["unsaid"]
        for f, _ in fields(type(settings))
        if f.metadata["unsaid"] is not None and getattr(settings, f.name) is None
    }
    file = tuned_file or tuned_file_of(settings.paper)
    tuned = tuning.values(file, as_dict(settings)) if open_ else {}
    settings = settings.replace(**{name: tuned.get(name, open_[name]) for name in open_})
    settings.check()
    return settings, {name: "tuned" if name in tuned else "default" for name in open_}


def name(settings: Settings) -> str:
    """Return the name of a run's directory: what a reader looks for, and 8 digits for the rest.

    The digits stand for all settings that are not None: a new flag whose default is None leaves
    the names of old runs.

    Args:
      settings: settled.
    """
    said = {key: value for key, value in as_dict(settings).items() if value is not None}
    digits = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8]
    return f"{settings.label()}-{digits}"


def read(stages: Mapping[str, type[Settings]], path) -> Settings:
    """Return the settled settings of a run, from the flags.cfg in its directory.

    Args:
      stages: the paper's classes by stage.
      path: of the directory, local or remote (etils.epath).

    Raises:
      ValueError: there is none, or its flags are none of the paper's.
    """
    file = path / "flags.cfg"
    if not file.exists():
        raise ValueError(f"{path} holds no run: there is no flags.cfg")
    return settle(from_dict(stages, read_flag_file(file)))[0]


# --- groups of flags that several papers share ----------------------------------------------------


DRIFT = (
    "Losses are those of one device up to rounding, which in float32 flips ReLUs and max-pools: "
    "3e-3 after 5 steps of Inception, 1e-15 in float64."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Devices(Settings):
    """Where the arithmetic happens, as far as results depend on it."""

    strategy: str = flag(
        "default",
        "How a run is distributed: default is one device, mirrored all GPUs of this machine, "
        "multi_worker several machines as TF_CONFIG says, tpu a TPU, where no curvature is "
        "measured. Replicas share every batch of training and evaluation, also at points of curves "
        f"and planes; each worker makes all other measurements for itself. {DRIFT}",
        choices=("default", "mirrored", "multi_worker", "tpu"),
    )
    deterministic: bool = flag(
        False, "Use only kernels that give the same bits again, on GPUs too; slower."
    )

    def check(self) -> None:
        super().check()
        instead = self.without_curvature()
        if self.strategy == "tpu" and instead:
            raise ValueError(
                "--strategy=tpu measures no curvature, as a TPU multiplies float32 matrices in "
                f"bfloat16: {' and '.join(instead)}, and measure afterwards with tools/measure on "
                "a machine with GPUs or CPUs"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replicas(Settings):
    """Where runs of other loops than the suite's are computed; None is one device."""

    strategy: str | None = flag(
        None,
        "How a run is distributed: by default one device, mirrored all GPUs of this machine, "
        "multi_worker several machines as TF_CONFIG says. Replicas share every batch of training "
        "and of closing curvature, or the students; each worker makes all other measurements, all "
        "of L-BFGS and of the slides' SLSQP, and proofs, for itself. No TPU: it wants batches of "
        f"one size, and has no float64 for proofs nor full float32 for curvature. {DRIFT}",
        choices=("default", "mirrored", "multi_worker"),
    )

    def __post_init__(self):
        if self.strategy == "tpu":
            raise ValueError(
                f"--strategy=tpu is not for {self.paper}: a TPU wants batches of one size, and has "
                "no float64 for proofs nor full float32 for curvature; choose from default, "
                "mirrored, multi_worker"
            )
        super().__post_init__()

    def settled(self) -> Self:
        settled = super().settled()
        return settled.replace(strategy=None) if self.strategy == "default" else settled


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training(Devices):
    """Training by the suite's loop."""

    precision: str = flag(
        "float32",
        "What layers compute in; weights and logits stay float32. mixed_float16 needs a GPU.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    xla: bool = flag(False, "Compile forward and backward pass with XLA.")

    def check(self) -> None:
        super().check()
        if self.xla and self.deterministic:
            raise ValueError("--xla and --deterministic exclude each other: choose one")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run is made and who watches: flags of every binary, no part of what it computes."""

    output_dir: str = flag("outputs", "Runs land in <output_dir>/<paper>/<name of the run>.")
    run_dir: str | None = flag(None, "The exact directory of this run, instead.")
    data_dir: str | None = flag(None, "Where tensorflow-datasets keeps prepared data.")
    download: bool = flag(True, "Let tensorflow-datasets download what is missing.")
    checkpoint_every: int = flag(
        1, "Pieces of work between two checkpoints: epochs, or thousands of small steps.", low=1
    )
    wait: bool = flag(
        False, "Wait for another process that makes the same run, instead of ending in an error."
    )
    wandb_project: str | None = flag(
        None, "Send what TensorBoard gets to this project of Weights & Biases too."
    )
    wandb_group: str | None = flag(
        None, "The group of the run in Weights & Biases; if not said, the paper's name."
    )
    profile_dir: str | None = flag(None, "Write a TensorFlow profile of training there.")

    __post_init__ = Settings.__post_init__
