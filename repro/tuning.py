"""Fill what a paper leaves unsaid: values found by keras-tuner, else documented defaults.

A paper's `sweeps.py` says what of it is unsaid, as `SWEEPS`; `tools/tune` searches.
"""

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from repro import files

TUNERS = ("random", "grid", "hyperband", "bayesian")
DEFAULT_TRIALS = {"random": 20, "bayesian": 20}  # grid and hyperband end by themselves
OBJECTIVE = "objective"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """What of a paper is searched, on which runs, and by what they are judged."""

    says: str  # what is unsaid, in a line
    space: Mapping[str, Sequence]  # flag -> values to choose from, the documented default first
    objective: Callable[[Mapping], float]  # result.json of a complete trial -> more is better
    judged_by: str  # what the objective is
    flags: Mapping = dataclasses.field(default_factory=dict)  # of all trials
    splits: tuple[str, str] | None = None  # to train on, and held out; None: chosen to match
    epochs: int | None = None  # of a trial; None where its flags say how long it takes
    applies_to: tuple[str, ...] = ()  # runs that agree in these flags use what was found
    diverged: float = 0.0  # objective of a trial that diverged, which is worse than any other

    def of(self, result: Mapping) -> float:
        """Return the objective of a trial."""
        return self.objective(result) if result["status"] == "complete" else self.diverged


@dataclasses.dataclass(frozen=True)
class Trial:
    """Values a sweep tried, the epochs they were trained for, the objective (more is better)."""

    values: dict
    epochs: int
    objective: float


# --- using what was found -------------------------------------------------------------------------


def values(tuned_file: Path, settings: Mapping) -> dict:
    """Return what sweeps found for a run like this, name -> value; {} where none speaks for it.

    A sweep speaks only for what it was run on: its values are used where the settings agree with
    its `applies_to`, such as one network on true labels of one dataset. What was chosen to match a
    published number applies to nothing by itself.

    Args:
      tuned_file: tuned.json as `tools/tune` writes it; need not exist.
      settings: of the run, by name.

    Raises:
      ValueError: the file is not JSON, or not what `tools/tune` writes.
    """
    filled = {}
    for sweep in read(tuned_file).values():
        applies = sweep["applies_to"]
        if applies is not None and all(
            settings.get(key) == value for key, value in applies.items()
        ):
            filled |= sweep["values"]
    return filled


def read(tuned_file: Path) -> dict[str, dict]:
    """Return the sweeps of a tuned.json by name, as tools/tune wrote them; {} where there is none.

    Raises:
      ValueError: the file is not JSON, or not what `tools/tune` writes.
    """
    sweeps = _read(tuned_file)
    for name, sweep in sweeps.items():
        try:
            found, applies = sweep["values"], sweep["applies_to"]
            trials = [Trial(**each) for each in sweep["trials"]]
            right = isinstance(found, dict) and isinstance(applies, dict | None)
            right = right and best(trials).values == found
            right = right and {type(sweep[name]) for name in ("says", "judged_by")} == {str}
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            raise ValueError(
                f"{tuned_file} holds no sweep {name} that today's tools/tune could have written "
                f"({error}): mend it, or sweep again"
            ) from error
        if not right:
            raise ValueError(
                f"{tuned_file} is damaged: its values of {name} are not its best trial's"
            )
    return sweeps


def record(tuned_file: Path, key: str, sweep: Mapping) -> None:
    """Write a sweep under `key` of tuned.json, whole or not at all; other keys stay."""
    tuned = {**_read(tuned_file), key: sweep}
    tuned_file.parent.mkdir(parents=True, exist_ok=True)
    partial = tuned_file.with_name(f"{tuned_file.name}.partial")
    partial.write_text(json.dumps(tuned, indent=1, sort_keys=True) + "\n")
    partial.replace(tuned_file)


def _read(tuned_file: Path) -> dict:
    if not tuned_file.exists():
        return {}
    try:
        tuned = json.loads(files.read(tuned_file).decode())
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{tuned_file} is not JSON ({error}); remove or mend it") from error
    if not isinstance(tuned, dict):
        raise ValueError(f"{tuned_file} is no JSON object; remove or mend it")
    return tuned


# --- finding it -----------------------------------------------------------------------------------


def best(trials: Sequence[Trial]) -> Trial:
    """Return the best of the trials trained longest, the first of equals."""
    return max(trials, key=lambda trial: (trial.epochs, trial.objective))


def sweep(
    run: Callable[[dict, int], float],
    space: Mapping[str, Sequence],
    *,
    tuner: str,
    trials: int | None,
    epochs: int,
    seed: int,
    directory: Path,
) -> list[Trial]:
    """Search `space` for the values with the largest objective and return all trials.

    The state of a sweep is its runs: keras-tuner's own is thrown away at the start. The same seed
    asks for the same values again, and `run` answers at once for those it has run before, so a
    sweep goes on after a kill as if there had been none. (keras-tuner 1.4.8 reloads grid searches
    wrongly, forgets the random state of Bayesian ones and cannot read a file cut off by a kill.)

    With KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT set, this process is
    the chief, which hands out trials and returns them, or a worker, which runs them.

    Args:
      run: (values by name, epochs) -> objective, a finite number. Asked again, it should answer
        without computing again.
      space: name -> values to choose from, the documented default among them.
      tuner: one of TUNERS.
      trials: at most so many; None: DEFAULT_TRIALS, or all there are.
      epochs: of a trial; hyperband's longest, while its short ones have fewer.
      seed: of the search.
      directory: for keras-tuner's files.

    Returns:
      the completed trials in order; none in a worker.

    Raises:
      Whatever `run` raises, which ends the sweep.
    """
    import keras_tuner
    from keras_tuner.engine.base_tuner import BaseTuner

    class Searching(BaseTuner):
        def pre_create_trial(self):
            if is_worker():
                time.sleep(0.2)  # a worker that waits for others would ask without a pause

        def run_trial(self, trial, verbose):
            chosen = trial.hyperparameters.values
            values = {name: chosen[name] for name in space}
            try:
                return {OBJECTIVE: run(values, chosen.get("tuner/epochs", epochs))}
            except Exception as error:  # any other kind keras-tuner would take for a bad trial
                raise keras_tuner.errors.FatalError(str(error)) from error

    if not is_worker():
        shutil.rmtree(directory, ignore_errors=True)
    searching = Searching(
        _oracle(space, tuner, trials, epochs, seed),
        directory=directory.parent,
        project_name=directory.name,
    )
    try:
        searching.search(verbose=0)
    except keras_tuner.errors.FatalError as error:
        raise error.__cause__ from None
    if is_worker():
        return []
    return [
        Trial(
            {name: trial.hyperparameters.values[name] for name in space},
            trial.hyperparameters.values.get("tuner/epochs", epochs),
            trial.score,
        )
        for _, trial in sorted(searching.oracle.trials.items())
        if trial.status == "COMPLETED"
    ]


def is_worker() -> bool:
    """Whether this process runs trials that the chief of a distributed sweep hands out."""
    return "KERASTUNER_ORACLE_IP" in os.environ and "chief" not in os.environ.get(
        "KERASTUNER_TUNER_ID", ""
    )


def _oracle(space, tuner, trials, epochs, seed):
    """Return keras-tuner's oracle, which decides what to try next."""
    import keras_tuner

    hyperparameters = keras_tuner.HyperParameters()
    for name, values in space.items():
        numbers = not any(isinstance(value, str) for value in values)
        hyperparameters.Choice(name, list(values), ordered=numbers)
    common = {
        "objective": keras_tuner.Objective(OBJECTIVE, "max"),
        "hyperparameters": hyperparameters,
        "seed": seed + 1,  # keras-tuner takes 0 for "draw one"
    }
    trials = trials or DEFAULT_TRIALS.get(tuner)
    if tuner == "hyperband":
        oracle = _defaults_first(keras_tuner.oracles.HyperbandOracle)(max_epochs=epochs, **common)
        oracle.max_trials = trials
        return oracle
    oracles = {
        "random": _defaults_first(keras_tuner.oracles.RandomSearchOracle),
        "grid": keras_tuner.oracles.GridSearchOracle,
        "bayesian": _defaults_first(keras_tuner.oracles.BayesianOptimizationOracle),
    }
    return oracles[tuner](max_trials=trials, **common)


def _defaults_first(kind: type) -> type:
    """Return an oracle that draws at random, but tries the documented defaults first."""

    class DefaultsFirst(kind):
        def _random_values(self):
            if self._tried_so_far:
                return super()._random_values()
            defaults = {each.name: each.default for each in self.hyperparameters.space}
            self._tried_so_far.add(self._compute_values_hash(defaults))
            return defaults

    return DefaultsFirst
