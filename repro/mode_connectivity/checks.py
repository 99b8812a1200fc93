"""What cannot work, said in one line before any work starts. Settings are those of settings.py."""

from collections.abc import Mapping

from repro.fields import read_flag_file
from repro.mode_connectivity.names import (
    AVERAGED_FROM,
    EPOCHS,
    MILESTONES,
    kept_epochs,
    middles,
    parse_point,
    scaled,
)

REPAIRABLE = ("vgg16_quarter", "vgg16", "mlp_1x512", "mlp_3x512")  # no batch norm, all biases
# What an endpoint in a directory must share with the run that it is an end of.
SHARED = ("model", "dataset", "train_split", "train_examples")


def check_epochs(modes: set[str], scale: float, cycle_epochs: int | None) -> None:
    """Raise ValueError unless epochs at which modes change or are kept are whole when scaled."""
    for mode in sorted(modes):
        for epoch in (*kept_epochs(mode, cycle_epochs), *MILESTONES.get(mode, ())):
            scaled(epoch, scale)
    if "fge" not in modes:
        return
    if not middles(cycle_epochs):
        left = EPOCHS - AVERAGED_FROM
        raise ValueError(f"--cycle_epochs={cycle_epochs}: no cycle fits in {left}")
    if scaled(cycle_epochs, scale) % 2:
        raise ValueError("--cycle_epochs, scaled, must be even: rates are lowest in the middle")


def check_points(points: Mapping[str, str], settings) -> None:
    """Raise ValueError for points that no run keeps, or that are the same.

    Args:
      points: by flag, those that are given.
      settings: of the run.
    """
    for name, text in points.items():
        parsed = parse_point(text)
        if parsed is None:
            _check_directory(name, text, settings)
        elif parsed[2] is not None:
            kept = kept_epochs(parsed[0], settings.cycle_epochs)
            if parsed[2] not in kept:
                raise ValueError(
                    f"--{name}={text}: {parsed[0]} keeps the epochs {', '.join(map(str, kept))}"
                )
    if "to" in points and _same(points["from"], points["to"]):
        raise ValueError(f"--from and --to are the same point, {points['to']}")
    for name in ("from", "to"):
        if "third" in points and _same(points["third"], points[name]):
            raise ValueError(f"--third={points['third']} is --{name}: that spans no plane")


def check_principal(point: str, dimensions: int, cycle_epochs: int | None) -> None:
    """Raise ValueError unless a mode keeps enough iterates to have so many main directions."""
    parsed = parse_point(point)
    if parsed is None:
        raise ValueError(f"--directions=pca needs a mode, not the directory {point}")
    kept = sum(epoch <= (parsed[2] or EPOCHS) for epoch in kept_epochs(parsed[0], cycle_epochs))
    if kept <= dimensions:
        raise ValueError(
            f"--directions=pca needs more than {dimensions} iterates, and {parsed[0]} "
            f"keeps {kept} up to --from={point}; sgdr and step keep several"
        )


def check_odd(points: int) -> None:
    """Raise ValueError for an even number of points along a path."""
    if points % 2 == 0:
        raise ValueError(f"--points={points} must be odd, so that t = 1/2 is among them")


def check_repair(model: str) -> None:
    """Raise ValueError for a network whose segments cannot be repaired, or need not be."""
    if model not in REPAIRABLE:
        raise ValueError(
            f"--repair is for {', '.join(REPAIRABLE)}: batch norm's statistics are re-estimated "
            f"anyway, and --model={model} has it"
        )


def _same(one: str, other: str) -> bool:
    """Say whether two texts name one point: G is G@200, but swa is an average."""
    points = [parse_point(text) for text in (one, other)]
    if None in points:
        return one == other
    last = [None if mode == "swa" else EPOCHS for mode, _, _ in points]
    return len({(*p[:2], p[2] or end) for p, end in zip(points, last)}) == 1


def _check_directory(name: str, text: str, settings) -> None:
    """Raise ValueError unless `text` is a complete endpoint of the same network and data."""
    from etils import epath

    path = epath.Path(text)
    if not (path / "result.json").exists():
        raise ValueError(f"--{name}={text} holds no complete run (there is no result.json)")
    made_with = read_flag_file(path / "flags.cfg")
    if made_with.get("stage") != "endpoint":
        raise ValueError(f"--{name}={text} is no endpoint: it was not made with --stage=endpoint")
    for shared in SHARED:
        value = getattr(settings, shared)
        if made_with.get(shared) != (None if value is None else str(value)):
            raise ValueError(
                f"--{name}={text} has --{shared}={made_with.get(shared)}, "
                f"this run --{shared}={value}: a curve needs one network and data set"
            )
