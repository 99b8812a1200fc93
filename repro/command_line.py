"""From a command line to settings: absl flags of a paper's fields, mistakes in one line."""

import dataclasses
from collections.abc import Mapping, Sequence

from absl import flags as absl_flags

from repro import settings as settings_
from repro.fields import base_type, fields, flag_name
from repro.settings import Place, Settings


def parse(stages: Mapping[str, type[Settings]], arguments: Sequence[str]) -> tuple[Settings, Place]:
    """Return what a command line says, flag files included.

    Raises:
      ValueError: one line on what is wrong with a flag.
    """
    arguments = _flattened(arguments)
    kind = _stage_of(stages, arguments)
    arguments = [_with_value(argument, kind) for argument in arguments]
    _refuse_foreign(arguments, kind, stages)
    values = _defined(kind, stages)
    try:
        rest = values(["", *arguments])
    except absl_flags.Error as error:
        raise ValueError(" ".join(str(error).split())) from error
    if len(rest) > 1:
        raise ValueError(f"unexpected arguments: {' '.join(rest[1:])}; flags are --name=value")
    given = {name: values[name].value for name in values}
    place = {f.name: given[f.name] for f, _ in fields(Place)}
    own = {flag_name(f): given[flag_name(f)] for f, _ in fields(kind)}
    return settings_.from_dict(stages, {"stage": kind.stage, **own}), Place(**place)


def usage(stages: Mapping[str, type[Settings]], arguments: Sequence[str]) -> str:
    """Return the help of a binary: all flags of the stage that the arguments name."""
    kind = _stage_of(stages, arguments)
    lines = [kind.__doc__ or "", "", f"python -m repro.{kind.paper} [--name=value ...]", ""]
    if len(stages) > 1:
        lines += [
            f"--stage={'|'.join(stages)}  (default {next(iter(stages))}; here {kind.stage})",
            "    What is done; --stage=NAME --help lists the flags of another one.",
            "",
        ]
    for title, owner in (("What is computed", kind), ("Where, and who watches", Place)):
        lines += [f"{title}:", ""]
        for field, _ in fields(owner):
            lines += _usage_of(field)
        if owner is kind:
            for name, why in kind.absent.items():
                lines += [f"  --{name}", f"      Not for this stage: {why}."]
        lines.append("")
    lines.append("--flagfile=FILE reads flags from a file, such as a run's flags.cfg.")
    return "\n".join(lines)


def _usage_of(field: dataclasses.Field) -> list[str]:
    said, default = field.metadata, field.default
    default = said["unsaid"] if default is None else default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    notes = [] if default is None else [f"default {shown}"]
    notes += ["unsaid by the paper"] if said["unsaid"] is not None else []
    notes += [said["unit"]] if said["unit"] else []
    notes += [f"above {said['above']:g}"] if said["above"] is not None else []
    notes += [f"from {said['low']:g}"] if said["low"] is not None else []
    notes += [f"up to {said['high']:g}"] if said["high"] is not None else []
    lines = [f"  --{flag_name(field)}" + (f"  ({', '.join(notes)})" if notes else "")]
    lines.append(f"      {said['help']}")
    if said["choices"] is not None:
        lines.append(f"      One of: {', '.join(map(str, said['choices']))}.")
    return lines


def asks_for_help(arguments: Sequence[str]) -> bool:
    return any(a in ("--help", "-help", "-h", "--helpfull", "--helpshort") for a in arguments)


def _flattened(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with those of flag files in place."""
    reader = absl_flags.FlagValues()
    absl_flags.DEFINE_string("flagfile", "", "", flag_values=reader)
    try:
        return reader.read_flags_from_files(list(arguments), force_gnu=True)
    except (absl_flags.Error, OSError) as error:
        raise ValueError(f"cannot read a flag file: {error}") from error


def _stage_of(stages: Mapping[str, type[Settings]], arguments: Sequence[str]) -> type[Settings]:
    stage = next(iter(stages))
    for argument, following in zip(arguments, [*arguments[1:], ""]):
        if argument.startswith(("--stage=", "-stage=")):
            stage = argument.split("=", 1)[1]
        elif argument in ("--stage", "-stage"):
            stage = following
    return settings_.of_stage(stages, stage)


def _with_value(argument: str, kind: type[Settings]) -> str:
    """Give a flag without a value the one that it stands for, where there is one."""
    bare = {f"--{flag_name(f)}": f.metadata["bare"] for f, _ in fields(kind) if f.metadata["bare"]}
    return f"{argument}={bare[argument]}" if argument in bare else argument


def _refuse_foreign(arguments, kind: type[Settings], stages) -> None:
    known = {flag_name(f) for owner in (kind, Place) for f, _ in fields(owner)} | {"stage"}
    for argument in arguments:
        name = argument.lstrip("-").split("=", 1)[0]
        if argument.startswith("-") and name not in known and name.removeprefix("no") not in known:
            raise ValueError(settings_.unknown(name, kind, stages))


def _defined(kind: type[Settings], stages: Mapping) -> absl_flags.FlagValues:
    """Return absl flags for all fields of a stage and of Place."""
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_enum("stage", kind.stage, list(stages), "What is done.", flag_values=values)
    for field, type_ in [*fields(kind), *fields(Place)]:
        type_, help_ = base_type(type_), field.metadata["help"]
        define = {
            bool: absl_flags.DEFINE_bool,
            int: absl_flags.DEFINE_integer,
            float: absl_flags.DEFINE_float,
            str: absl_flags.DEFINE_string,
        }.get(type_, absl_flags.DEFINE_list)
        default = field.default
        default = list(map(str, default)) if isinstance(default, tuple) else default
        define(flag_name(field), default, help_, flag_values=values)
    return values
