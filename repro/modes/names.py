"""Modes and points of repro.mode_connectivity by name, their epochs, and what cannot work.

Nothing here imports TensorFlow: mistakes are found before anything slow happens.
"""

import json
import re
from pathlib import Path

# Mode -> what it changes of G's flags (Gotmare et al., section 3). Batch (A), optimiser (B) and
# learning rates are in training.py.
MODES = {
    "G": {},
    "A": {},
    "B": {},
    "C": {},
    "D": {"weight_decay": 0.01},  # a factor, as is init_scale
    "E": {"init_scale": 3.0},
    "F": {"augment": []},
    "sgdr": {},
    "step": {},
    "swa": {},
    "fge": {},
}
VARIANTS = ("A", "B", "C", "D", "E", "F")
EPOCHS = 200
MILESTONES = {"G": (60, 120, 160), "step": (60, 150)}
SGDR = {"highest": 0.05, "lowest": 1e-6, "period": 10, "multiplier": 2}
FGE_LOWEST = 1e-4  # Garipov et al.'s default
AVERAGED_FROM = 160  # swa and fge: epoch after which they gather networks
CURVE_SNAPSHOTS = (20, 40, 60, 80)  # epochs of Figure 1
REPAIRABLE = ("vgg16_quarter", "vgg16", "mlp_1x512", "mlp_3x512")  # no batch norm, all biases
POINT = re.compile(r"(?P<mode>[A-Za-z]+)(?P<next>\+1)?(@(?P<epoch>\d+))?")


def parse_point(text: str) -> tuple[str, bool, int | None] | None:
    """Return mode, whether of the next seed, and epoch of a point; None for a directory.

    Raises:
      ValueError: neither a mode nor a path.
    """
    if "/" in text:
        return None
    match = POINT.fullmatch(text)
    if not match or match["mode"] not in MODES:
        raise ValueError(
            f"unknown point {text!r}; a point is one of {', '.join(MODES)}, with +1 for the next "
            "seed and @epoch for an epoch kept, such as sgdr@70, or a directory with a / in it"
        )
    return match["mode"], bool(match["next"]), int(match["epoch"]) if match["epoch"] else None


def modes_used(values: dict) -> set[str]:
    """Return the modes that a run of these flags trains or needs."""
    if values["stage"] == "endpoint":
        return {values["mode"]}
    if values["stage"] == "study":
        return {"G", *VARIANTS}
    named = [values[name] for name in ("from", "to", "third") if values[name] is not None]
    return {parsed[0] for parsed in map(parse_point, named) if parsed is not None}


def kept_epochs(mode: str, cycle_epochs: int | None = None) -> list[int]:
    """Return the epochs, unscaled, whose iterates a mode keeps; its last one always."""
    kept = {
        "sgdr": [*range(10, EPOCHS, 10)],
        "step": [55, 65, 145, 155, 165],
        "swa": [*range(AVERAGED_FROM + 5, EPOCHS, 5)],
    }.get(mode, [])
    if mode == "fge":
        kept = middles(cycle_epochs)
    return [*(epoch for epoch in kept if epoch < EPOCHS), EPOCHS]


def middles(cycle_epochs: int) -> list[int]:
    """Return the epochs in the middle of FGE's cycles, where the rate is lowest."""
    return [*range(AVERAGED_FROM + cycle_epochs // 2, EPOCHS + 1, cycle_epochs)]


def scaled(epoch: int, scale: float) -> int:
    """Return an epoch of the paper in a run scaled by --epoch_scale.

    Raises:
      ValueError: it is no whole number of epochs there.
    """
    exact = epoch * scale
    if abs(exact - round(exact)) > 1e-6 or round(exact) < 1:
        raise ValueError(
            f"--epoch_scale={scale:g} makes epoch {epoch} {exact:g}, which is not whole; "
            "choose another, such as 0.2"
        )
    return round(exact)


def check(values: dict) -> None:
    """Raise ValueError for flags that cannot work, before any work starts."""
    scale = values["epoch_scale"]
    for mode in modes_used(values):
        for epoch in (*kept_epochs(mode, values["cycle_epochs"]), *MILESTONES.get(mode, ())):
            scaled(epoch, scale)
        if mode == "fge" and not middles(values["cycle_epochs"]):
            left = EPOCHS - AVERAGED_FROM
            raise ValueError(f"--cycle_epochs={values['cycle_epochs']}: no cycle fits in {left}")
        if mode == "fge" and scaled(values["cycle_epochs"], scale) % 2:
            raise ValueError("--cycle_epochs, scaled, must be even: rates are lowest in the middle")
    for name in ("from", "to", "third"):
        if values[name] is None:
            continue
        parsed = parse_point(values[name])
        if parsed is None:
            _check_directory(name, Path(values[name]), values)
        elif parsed[2] is not None:
            kept = kept_epochs(parsed[0], values["cycle_epochs"])
            if parsed[2] not in kept:
                raise ValueError(
                    f"--{name}={values[name]}: {parsed[0]} keeps the epochs "
                    f"{', '.join(map(str, kept))}"
                )
    if values["from"] is not None and _same(values["from"], values["to"]):
        raise ValueError(f"--from and --to are the same point, {values['to']}")
    for name in ("from", "to"):
        if values["third"] is not None and _same(values["third"], values[name]):
            raise ValueError(f"--third={values['third']} is --{name}: that spans no plane")
    if values["perplexity"] is not None and not values["perplexity"] < 13:
        raise ValueError(f"--perplexity={values['perplexity']:g} must lie below the 13 points")
    if values["curve_epochs"] is not None:
        scaled(values["curve_epochs"], scale)
    if values["directions"] == "pca":
        _check_principal(values)
    if values["stage"] == "study" and values["free_ends"]:
        raise ValueError("--stage=study joins curves in mode G: --free_ends would move it")
    if values["repair"] and values["model"] not in REPAIRABLE:
        raise ValueError(
            f"--repair is for {', '.join(REPAIRABLE)}: batch norm's statistics are re-estimated "
            f"anyway, and --model={values['model']} has it"
        )
    if values["init_dense"] and not values["model"].startswith("vgg16"):
        raise ValueError(f"--init_dense is for vgg16 and its kin, not --model={values['model']}")


def _same(one: str, other: str | None) -> bool:
    """Say whether two texts name one point: G is G@200, but swa is an average."""
    if other is None:
        return False
    points = [parse_point(text) for text in (one, other)]
    if None in points:
        return one == other
    last = [None if mode == "swa" else EPOCHS for mode, _, _ in points]
    return len({(*p[:2], p[2] or end) for p, end in zip(points, last)}) == 1


def _check_principal(values: dict) -> None:
    """Raise ValueError unless a mode keeps enough iterates to have so many principal directions."""
    parsed = parse_point(values["from"])
    if parsed is None:
        raise ValueError(f"--directions=pca needs a mode, not the directory {values['from']}")
    epochs = kept_epochs(parsed[0], values["cycle_epochs"])
    kept = sum(epoch <= (parsed[2] or EPOCHS) for epoch in epochs)
    if kept <= values["dimensions"]:
        raise ValueError(
            f"--directions=pca needs more than {values['dimensions']} iterates, and {parsed[0]} "
            f"keeps {kept} up to --from={values['from']}; sgdr and step keep several"
        )


def _check_directory(name: str, path: Path, values: dict) -> None:
    """Raise ValueError unless `path` holds a complete endpoint of the same network and data."""
    if not (path / "result.json").exists():
        raise ValueError(f"--{name}={path} holds no complete run (there is no result.json)")
    settings = json.loads((path / "result.json").read_text()).get("settings", {})
    if settings.get("stage") != "endpoint":
        raise ValueError(f"--{name}={path} is no endpoint: it was not made with --stage=endpoint")
    for setting in ("model", "dataset", "train_split", "train_examples"):
        if settings.get(setting) != values[setting]:
            raise ValueError(
                f"--{name}={path} has --{setting}={settings.get(setting)}, "
                f"this run --{setting}={values[setting]}: a curve needs one network and data set"
            )


def run_name(values: dict) -> str:
    """Return the readable part of a run directory's name."""
    parts = [values["stage"]]
    if values["stage"] == "endpoint":
        parts.append(values["mode"])
    elif values["stage"] == "slice":
        parts += [Path(values["from"]).name.replace("+1", "next").replace("@", "")]
        parts += [values["directions"], f"{values['dimensions']}d"]
    elif values["stage"] != "study":
        ends = [Path(values[name]).name for name in ("from", "to")]
        parts += ["to".join(ends).replace("+1", "next").replace("@", ""), values["curve"]]
    parts += [values["model"], values["dataset"]]
    if values["train_examples"]:
        parts.append(f"n{values['train_examples']}")
    return "-".join([*parts, f"seed{values['seed']}"])
