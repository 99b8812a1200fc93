"""Liu et al. (NeurIPS 2020), Figure 1: a bad minimum one can see, on two blobs in the plane.

    python -m repro.toy_minima

A 2-100-100-1 ReLU network, logistic loss, batches of 10, in four stages, the figure's panels:

* random_vanilla       from random weights, true labels, rate .01, mean loss, 1,000 epochs
* pretrained           from random weights, random labels, rate .003, sum loss, 100,000 epochs;
                       the rate falls by .3 when accuracy has not risen for 10,000 epochs
* adversarial_vanilla  from `pretrained`, true labels, rate .003, sum loss, 10,000 epochs
* adversarial_sota     from `pretrained`, true labels, every point with two jittered copies, L2 of
                       .1, momentum .9, rate .01, sum loss, 1,000 epochs

These are the settings of the authors' toy code. A loss summed over the batch is a rate ten times
as high: random_vanilla alone averages. Points, labels and first weights are drawn by --seed; the
authors' file of points cannot be drawn again, as the script beside it draws others.
"""

from pathlib import Path

from absl import app, flags

from repro import common_flags

MODULE = "repro.toy_minima"
TUNED = Path(__file__).parent.parent / "configs" / "bad_minima" / "tuned.json"

BATCH, PATIENCE, RATE_DROP = 10, 10_000, 0.3
COPIES, L2, MOMENTUM = 2, 0.1, 0.9  # of adversarial_sota
PIECE = 2_000  # epochs between checkpoints
ORDERS = 200  # streams of random numbers of the stages, apart from those of blobs.py and planar.py
GRID = (306, 201)  # columns and rows of the window: steps of 0.01


def define_flags():
    common_flags.define_run(checkpoint_unit=f"Pieces of {PIECE:,} epochs")
    flags.adopt_module_key_flags(common_flags)
    flags.DEFINE_integer("per_class", 50, "Training points, and as many test points.",
                         lower_bound=1)  # fmt: skip
    flags.DEFINE_integer("pretrain_epochs", 100_000, "On random labels.", lower_bound=1)
    flags.DEFINE_integer("vanilla_epochs", 1_000, "From random weights.", lower_bound=1)
    flags.DEFINE_integer("fine_tune_epochs", 10_000, "From pre-trained weights.", lower_bound=1)
    flags.DEFINE_integer("sota_epochs", 1_000, "With all three heuristics.", lower_bound=1)


def run(
    *,
    per_class: int,
    pretrain_epochs: int,
    vanilla_epochs: int,
    fine_tune_epochs: int,
    sota_epochs: int,
    seed: int,
    run_directory,
    environment: dict,
    checkpoint_every: int = 1,
) -> dict:
    """Train the four panels' networks and return how far their boundaries are from straight.

    Arguments are the flags of the same names; `run_directory` is a training.runs.RunDirectory.
    """
    import numpy as np

    from repro.bad_minima import blobs
    from repro.bad_minima import planar
    from repro.training import snapshots

    points, truth = blobs.two_blobs(per_class, seed)
    test_points, test_truth = blobs.two_blobs(per_class, seed, test=True)
    random = blobs.coin_labels(len(points), seed)
    augmented = blobs.with_jittered_copies(points, truth, COPIES, seed)
    slow, quick = {"rate": 0.003}, {"rate": 0.01}
    sota = {"momentum": MOMENTUM, "l2": L2, **quick}
    plateau = {"patience": PATIENCE, "rate_drop": RATE_DROP, **slow}
    stages = {  # panel -> the panel it starts from, what it learns, for how long, how
        "random_vanilla": (None, (points, truth), vanilla_epochs, {**quick, "mean": True}),
        "pretrained": (None, (points, random), pretrain_epochs, plateau),
        "adversarial_vanilla": ("pretrained", (points, truth), fine_tune_epochs, slow),
        "adversarial_sota": ("pretrained", augmented, sota_epochs, sota),
    }

    place = run_directory.path / "checkpoints"
    state = snapshots.load(place) or {"pieces": np.array(0)}
    pieces = int(state["pieces"])
    run_directory.begin(pieces, environment)
    for number, (panel, (source, data, epochs, recipe)) in enumerate(stages.items()):
        first = planar.weights_of(state, source) if source else planar.initial_weights(seed)
        now = planar.weights_of(state, panel) or planar.start(first, recipe)
        while int(now["epoch"]) < epochs:
            now = planar.train(
                now, data, min(PIECE, epochs - int(now["epoch"])), BATCH,
                [seed, ORDERS + number], recipe,
            )
            pieces += 1
            state |= {f"{panel}/{name}": value for name, value in now.items()}
            state["pieces"] = np.array(pieces)
            accuracy = planar.accuracy(now, *data)
            run_directory.log({
                "epoch": pieces, "step": int(now["epoch"]), f"{panel}/train_accuracy": accuracy,
                f"{panel}/learning_rate": float(now["rate"]),
            })  # fmt: skip
            if pieces % checkpoint_every == 0 or int(now["epoch"]) == epochs:
                snapshots.save(place, **state)

    grid = blobs.window_grid(*GRID)
    straight = (grid[:, 0] > blobs.CENTRE).astype(np.float32)
    maps, panels = {}, {}
    for panel, (_, data, _, _) in stages.items():
        trained = planar.weights_of(state, panel)
        maps[panel] = planar.probabilities(trained, grid).reshape(GRID[::-1])
        sides = maps[panel].ravel() > 0.5
        panels[panel] = {
            "train_accuracy": planar.accuracy(trained, *data),
            "true_accuracy": planar.accuracy(trained, points, truth),
            "test_accuracy": planar.accuracy(trained, test_points, test_truth),
            "disagreement_with_line": float((sides != straight).mean()),
            "disagreement_with_random_vanilla": float(
                (sides != (maps["random_vanilla"].ravel() > 0.5)).mean()
            ),
        }
    run_directory.save_arrays(points=points, truth=truth, random=random, **maps)
    return {
        "status": "complete" if all(np.isfinite(m).all() for m in maps.values()) else "diverged",
        "panels": panels,
        "random_labels_that_are_true": float((random == truth).mean()),
        "summary": ", ".join(
            f"{name} {panel['disagreement_with_line']:.1%}" for name, panel in panels.items()
        ) + " of the window on the wrong side",
        "protocol": (
            f"{2 * per_class} points, {pretrain_epochs:,} epochs on random labels, then "
            f"{fine_tune_epochs:,} (vanilla) or {sota_epochs:,} (SOTA) on true ones, seed {seed}"
        ),
    }  # fmt: skip


def main(argv):
    common_flags.reject_stray_arguments(argv)
    values = common_flags.values()
    if 2 * values["per_class"] % BATCH:
        raise ValueError(f"per_class={values['per_class']} must be a multiple of {BATCH // 2}")
    common_flags.run_binary(MODULE, values, {}, TUNED, f"seed{values['seed']}", run)


if __name__ == "__main__":
    define_flags()
    app.run(common_flags.end_with_one_line(main))
