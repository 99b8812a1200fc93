"""Fill what a paper leaves unsaid: values found by keras-tuner, else documented defaults."""

import json
from collections.abc import Mapping
from pathlib import Path


def fill_unsaid(
    settings: Mapping, defaults: Mapping, tuned_file: Path, key: str
) -> tuple[dict, dict]:
    """Fill settings that are None: from the sweep recorded under `key`, else from `defaults`.

    Args:
      settings: flags by name; None alone is what gets filled.
      defaults: name -> documented default of a flag the paper leaves unsaid.
      tuned_file: tuned.json as `tools/tune` writes it; need not exist.
      key: of the sweep in that file.

    Returns:
      the settings, and name -> `tuned` or `default` for each that was filled.
    """
    tuned = {}
    if tuned_file.exists():
        tuned = json.loads(tuned_file.read_text()).get(key, {}).get("values", {})
    filled, source = dict(settings), {}
    for name, default in defaults.items():
        if filled[name] is None:
            filled[name] = tuned.get(name, default)
            source[name] = "tuned" if name in tuned else "default"
    return filled, source
