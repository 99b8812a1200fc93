"""How a field of a settings class becomes a flag: declared by `flag`, checked, and written.

`repro.settings` has the classes, `repro.command_line` makes command-line flags of their fields.
"""

import dataclasses
import functools
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from repro import files

PLACES = "# where things are, not what is computed"  # in a flags.cfg, before flags of a Place


def flag(
    default: Any,
    help: str,
    *,
    unit: str | None = None,
    choices: typing.Iterable[Any] | None = None,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    unsaid: Any = None,
    bare: str | None = None,
) -> Any:
    """Declare a field of a settings class, and with it a flag.

    Args:
      default: the value where none is given; lists are tuples.
      help: whole sentences.
      unit: what a number counts, such as `epochs`.
      choices: the values (of a list: the members) that are allowed.
      low, high: the smallest and the largest allowed number.
      above: the number that a value must exceed.
      unsaid: the documented default of what the paper leaves unsaid. The field's own default is
        then None, and None alone is what a sweep's value or this one fills.
      bare: the value of the flag where it is given without one, as `--augment` once was.
    """
    metadata = {
        "help": help,
        "unit": unit,
        "low": low,
        "high": high,
        "above": above,
        "unsaid": unsaid,
        "choices": None if choices is None else tuple(choices),
        "bare": bare,
    }
    return dataclasses.field(default=default, metadata=metadata)


@functools.cache  # type hints are slow to find
def fields(kind: type) -> tuple[tuple[dataclasses.Field, Any], ...]:
    """Return the fields of a dataclass that are flags, with the types of their values."""
    hints = typing.get_type_hints(kind)
    return tuple((f, hints[f.name]) for f in dataclasses.fields(kind) if "help" in f.metadata)


def flag_name(field: dataclasses.Field) -> str:
    """Return the name of a field's flag: `from` for `from_`, a word that Python keeps to itself."""
    return field.name.removesuffix("_")


def base_type(kind: Any) -> Any:
    """Return the type of a field without `| None`."""
    if isinstance(kind, types.UnionType):
        (kind,) = (part for part in kind.__args__ if part is not type(None))
    return kind


def check_value(field: dataclasses.Field, kind: Any, value: Any) -> None:
    """Raise ValueError, naming the flag, for a value of the wrong type, range or choice."""
    if value is None and (field.default is None or kind is not base_type(kind)):
        return
    kind, said = base_type(kind), field.metadata
    listed = typing.get_origin(kind) is tuple
    member = kind.__args__[0] if listed else kind
    members = value if listed and isinstance(value, tuple) else (value,)
    allowed = (int, float) if member is float else (member,)
    for one in members:
        if not isinstance(one, allowed) or (isinstance(one, bool) and member is not bool):
            raise ValueError(f"--{flag_name(field)}={one} is no {_TYPES[member]}")
        shown = f"--{flag_name(field)}={one}"
        if said["choices"] is not None and one not in said["choices"]:
            raise ValueError(f"{shown} is none of {', '.join(map(str, said['choices']))}")
        if member is int and not -(2**63) <= one < 2**63:
            raise ValueError(f"--{flag_name(field)} is beyond 64 bits")
        if member is float and one != one:
            raise ValueError(f"{shown} is no number")
        if member is float and abs(one) > sys.float_info.max:
            raise ValueError(f"--{flag_name(field)} is no finite number")
        if said["low"] is not None and one < said["low"]:
            raise ValueError(f"{shown} must be {said['low']:g} or more")
        if said["high"] is not None and one > said["high"]:
            raise ValueError(f"{shown} must be {said['high']:g} or less")
        if said["above"] is not None and one <= said["above"]:
            raise ValueError(f"{shown} must be above {said['above']:g}")


_TYPES = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def converted(value: Any, kind: Any) -> Any:
    """Return a value of JSON, a TOML or a flag file as the field has it."""
    kind = base_type(kind)
    if value is None:
        return None
    if typing.get_origin(kind) is tuple:
        parts = map(str.strip, value.split(",")) if isinstance(value, str) else value
        parts = parts if isinstance(parts, Iterable) else [parts]
        return tuple(converted(part, kind.__args__[0]) for part in parts if part != "")
    if isinstance(value, str) and kind is bool:
        return {"true": True, "false": False}.get(value.lower(), value)
    if isinstance(value, str) or (kind is float and type(value) is int):
        try:
            return kind(value)
        except (ValueError, OverflowError):
            return value  # check_value says what is wrong with it, and of which flag
    return value


def read_flag_file(file) -> dict[str, str]:
    """Return the flags that a run's flags.cfg says, as text, without those of places.

    Args:
      file: a path, local or remote (etils.epath).

    Raises:
      ValueError: it is damaged.
    """
    try:
        lines = files.read(file).decode().split(PLACES)[0].splitlines()
        pairs = (line.removeprefix("--").split("=", 1) for line in lines if line.startswith("--"))
        found = {name: value for name, value in pairs}
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file} is damaged ({reason}): make the run anew elsewhere") from error
    if not found:
        raise ValueError(f"{file} is damaged, as it says no flag: make the run anew elsewhere")
    return found


def flag_lines(values: Mapping) -> list[str]:
    """Return values by name as lines of a flag file; None is left to the flag's default."""
    lines = []
    for key, value in values.items():
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        if value is not None:
            lines.append(f"--{key}={str(value).lower() if isinstance(value, bool) else value}")
    return lines
