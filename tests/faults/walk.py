"""A run in a tenth of a second: a random walk, with all files that a run of a paper has.

Its directory is that of a census; either store keeps its state, as papers keep theirs.
"""

import argparse
from pathlib import Path

import numpy as np

from repro import launch
from repro.settings import as_dict, settle
from repro.teacher_student.settings import Census

PIECES = 4


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("checkpoints", "snapshots"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run_dir", type=Path)
    arguments = parser.parse_args()
    with launch.one_line_errors():
        make(arguments.kind, arguments.seed, arguments.run_dir)


def make(kind: str, seed: int, run_dir: Path) -> None:
    import tensorflow as tf

    from repro.training.resume import resume
    from repro.training.runs import Job, RunDirectory

    settings = settle(Census(seed=seed))[0]
    directory = RunDirectory(run_dir, as_dict(settings), environment={"command": "walk"})
    try:
        if directory.result() is not None:
            print("complete already")
            return
        job = Job(directory=directory, strategy=tf.distribute.get_strategy())
        store, get, put = stores(kind, job.checkpoints)

        def piece(number, row):
            step = np.random.default_rng([seed, number]).normal(size=3)
            put(get() / 3 + step)
            return {"epoch": number, "step": number, "walk/sum": float(get().sum())}

        row = resume(job, store, piece, lambda row: row.get("epoch", 0) >= PIECES)
        directory.save_arrays(point=get())
        directory.finish({**row, "settings": as_dict(settings)})
    finally:
        directory.close()


def stores(kind: str, folder: Path):
    """Return a store, and what gets and puts the point that it keeps."""
    import keras
    import tensorflow as tf

    from repro.training.checkpoints import Checkpoints
    from repro.training.snapshots import Snapshots

    if kind == "snapshots":
        store = Snapshots(folder, {"point": np.zeros(3)})
        return store, lambda: store.state["point"], lambda p: setattr(store, "state", {"point": p})
    point = tf.Variable(np.zeros(3))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    return Checkpoints(folder, model, others={"point": point}), point.numpy, point.assign


if __name__ == "__main__":
    main()
