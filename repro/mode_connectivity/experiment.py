"""Gotmare, Keskar, Xiong, Socher (2018), with Garipov et al. (2018): curves between networks.

    python -m repro.mode_connectivity --from=G --to=A

trains modes G and A and a curve between them where they are missing, and measures the loss along
the curve and along the segment. --stage says how far to go:

* endpoint  trains one mode: G, variants A (batch 4000), B (Adam), C (linear decay), D (weight decay
            / 100), E (initial weights x 3), F (no augmentation); sgdr and step, whose trajectories
            the paper studies; swa and fge, what came of it.
* curve     trains a curve --from one point --to another.
* evaluate  measures along curve and segment, at several epochs of the curve's training.
* plane     measures on the plane of both ends and the curve's bend, and projects the trajectory.
* slice     measures along random or principal directions through a point.
* study     takes the six curves from G: t-SNE, and the 21 pairs of modes connected through G.

A point is a mode (`G`), an epoch of it (`sgdr@70`; what SGDR returns is `sgdr@150`), a mode trained
from the next seed (`G+1`), or the directory of a run; `swa` is the average. All epochs are the
paper's: --epoch_scale=0.2 trains a fifth of them and scales every schedule alike, and names stay.

Each stage makes the runs it needs beside its own, or finds them there by their settings. What the
paper leaves open is a flag; defaults and reasons are in WORKSPACE.md, "Mode connectivity: choices".
"""

from pathlib import Path

from absl import app, flags

from repro import common_flags
from repro.data import AUGMENTATIONS
from repro.mode_connectivity import names

MODULE = "repro.mode_connectivity"
STAGES = ("endpoint", "curve", "evaluate", "plane", "slice", "study")

# Flags of one mode, and of one stage or more: None elsewhere, so that no run depends on them.
OF_MODE = {
    "large_batch_size": ("A", 4000),
    "adam_learning_rate": ("B", 1e-3),
    "sgdr_update": ("sgdr", "epoch"),
    "swa_learning_rate": ("swa", 0.01),
    "cycle_epochs": ("fge", 4),
}
CURVE_STAGES = ("curve", "evaluate", "plane", "study")
OF_STAGE = {
    "mode": (("endpoint",), "G"),
    "from": (("curve", "evaluate", "plane", "slice"), "G"),
    "to": (("curve", "evaluate", "plane"), "A"),
    "curve": (CURVE_STAGES, "polychain"),
    "bends": (CURVE_STAGES, 1),
    "curve_epochs": (CURVE_STAGES, 80),
    "curve_learning_rate": (CURVE_STAGES, 0.015),
    "curve_schedule": (CURVE_STAGES, "garipov"),
    "curve_t": (CURVE_STAGES, "uniform"),
    "free_ends": (CURVE_STAGES, False),
    "align": (CURVE_STAGES, "none"),
    "points": (("evaluate", "study", "slice"), 61),
    "snapshots": (("evaluate", "study"), True),
    "repair": (("evaluate",), None),
    "batch_norm": (("evaluate", "plane", "slice", "study"), "pooled"),
    "third": (("plane",), None),
    "grid": (("plane",), 21),
    "margin": (("plane", "slice"), 0.2),
    "projection": (("plane",), "affine"),
    "hessian_examples": (("plane",), None),
    "directions": (("slice",), "filter"),
    "dimensions": (("slice",), 1),
    "reach": (("slice",), 1.0),
    "perplexity": (("study",), 4.0),
}


def define_flags():
    common_flags.define(model="vgg16", dataset="cifar10")
    flags.adopt_module_key_flags(common_flags)
    flags.FLAGS.set_default("train_split", None)  # None: 90% and 10% of what has slices
    flags.FLAGS.set_default("test_split", None)
    flags.DEFINE_enum("stage", "evaluate", STAGES, "How far to go.")
    modes = ", ".join(names.MODES)
    flags.DEFINE_enum("mode", None, list(names.MODES), "endpoint: what to train. G.")
    flags.DEFINE_string("from", None, f"A point: mode[+1][@epoch], or a directory. {modes}.")
    flags.DEFINE_string("to", None, "A point, as --from.")
    _define_training()
    flags.DEFINE_enum("curve", None, ["polychain", "bezier"], "Kind of curve. polychain.")
    flags.DEFINE_integer("bends", None, "Inner nodes of the curve. 1.", lower_bound=1)
    flags.DEFINE_integer("curve_epochs", None, "80, where the paper's plots end.", lower_bound=1)
    flags.DEFINE_float("curve_learning_rate", None, "0.015, Garipov's.", lower_bound=0.0)
    flags.DEFINE_enum("curve_schedule", None, ["garipov", "constant"], "Of the rate. garipov.")
    flags.DEFINE_enum("curve_t", None, ["uniform", "stratified"], "Draws of t. uniform.")
    flags.DEFINE_bool("free_ends", None, "Train the curve's ends too. false.")
    flags.DEFINE_enum(
        "align", None, ["none", "weights", "activations"],
        "Permute the neurons of --to to match those of --from before connecting. none.",
    )
    flags.DEFINE_integer("points", None, "t along curve, segment, slice; odd. 61.", lower_bound=2)
    flags.DEFINE_bool("snapshots", None, "Measure earlier epochs of the curve too. true.")
    flags.DEFINE_bool(
        "repair", None, "Reset the segment's statistics too, of networks without batch norm. false."
    )
    flags.DEFINE_enum(
        "batch_norm", None, ["pooled", "reference"],
        "How statistics are re-estimated at each point, see landscape/batch_norm.py. pooled.",
    )
    flags.DEFINE_string("third", None, "plane: its third point; none: the curve's bend.")
    flags.DEFINE_integer("grid", None, "plane: points along each side. 21.", lower_bound=2)
    flags.DEFINE_float("margin", None, "plane, slice: around the points. 0.2.", lower_bound=0.0)
    flags.DEFINE_enum(
        "projection", None, ["affine", "linear"],
        "plane: of iterates onto it, or, as the paper's formula, onto its linear span. affine.",
    )
    flags.DEFINE_integer(
        "hessian_examples", None,
        "plane: extreme eigenvalues of the loss of so many images, too. none.", lower_bound=1,
    )
    flags.DEFINE_enum(
        "directions", None, ["filter", "layer", "weight", "pca"],
        "slice: random ones, how normalised, or those of the mode's trajectory up to there. filter."
    )
    flags.DEFINE_integer("dimensions", None, "slice: 1 or 2. 1.", lower_bound=1, upper_bound=2)
    flags.DEFINE_float("reach", None, "slice: each way, of random ones. 1.", lower_bound=0.0)
    flags.DEFINE_float("perplexity", None, "study: of t-SNE, below 13. 4.", lower_bound=1.0)


def _define_training():
    """Define the flags of endpoints, which curves share."""
    flags.DEFINE_float("epoch_scale", 1.0, "Factor on all epochs.", lower_bound=0.0)
    flags.DEFINE_integer("batch_size", 100, "Over all replicas.", lower_bound=1)
    flags.DEFINE_integer("large_batch_size", None, "A: 4000.", lower_bound=1)
    flags.DEFINE_float("learning_rate", 0.05, "Of SGD, before decay.", lower_bound=0.0)
    flags.DEFINE_float("adam_learning_rate", None, "B: unsaid, 0.001.", lower_bound=0.0)
    flags.DEFINE_float("swa_learning_rate", None, "swa: 0.01, Izmailov's.", lower_bound=0.0)
    flags.DEFINE_integer("cycle_epochs", None, "fge: epochs of a cycle. 4.", lower_bound=2)
    flags.DEFINE_enum("sgdr_update", None, ["epoch", "step"], "sgdr: unsaid, epoch.")
    flags.DEFINE_float("momentum", 0.9, "Of SGD.", lower_bound=0.0, upper_bound=1.0)
    flags.DEFINE_float("weight_decay", 5e-4, "Coefficient of L2 / 2.", lower_bound=0.0)
    flags.DEFINE_enum("decayed", "all", ["all", "kernels"], "What L2 acts on.")
    flags.DEFINE_enum(
        "mode_seeds", "own", ["own", "shared"],
        "Whether modes differ in initial weights and order of the data, or only in what is named.",
    )
    flags.DEFINE_float("init_scale", 1.0, "Factor on sqrt(2 / n); E: 3 times it.", lower_bound=0.0)
    flags.DEFINE_enum("init_spread", "std", ["std", "variance"], "What sqrt(2 / n) is.")
    flags.DEFINE_enum("init_fan", "in", ["in", "out"], "Whether n counts inputs or outputs.")
    flags.DEFINE_enum(
        "init_dense", None, ["torch"], "Dense layers start as PyTorch's, as in Garipov's code."
    )
    flags.DEFINE_enum(
        "schedule", None, ["constant", "garipov"], "Of modes, instead of G's step decay."
    )
    flags.DEFINE_float(
        "dropout_rate", 0.5, "Of the dense layers.", lower_bound=0.0, upper_bound=0.99
    )
    flags.DEFINE_list("augment", ["crop"], f"Any of {', '.join(AUGMENTATIONS)}; F: none.")
    flags.register_validator(
        "augment",
        lambda chosen: set(chosen) <= set(AUGMENTATIONS),
        f"choose from {', '.join(AUGMENTATIONS)}",
    )
    flags.DEFINE_integer("eval_every", 1, "Epochs between evaluations.", lower_bound=1)
    flags.DEFINE_integer(
        "eval_examples", None, "Measure training loss on so many images; none: all.", lower_bound=1
    )


def filled(values: dict) -> dict:
    """Return flags with what a stage leaves out set to None and its defaults filled in.

    Raises:
      ValueError: a point is given that the stage does not use.
    """
    values, stage = dict(values), values["stage"]
    for name, (stages, default) in OF_STAGE.items():
        if stage in stages:
            values[name] = default if values[name] is None else values[name]
        elif values[name] is not None and name in ("mode", "from", "to", "third"):
            raise ValueError(f"--{name} is not for --stage={stage}")
        else:
            values[name] = None
    modes = names.modes_used(values)
    for name, (mode, default) in OF_MODE.items():
        if mode in modes:
            values[name] = default if values[name] is None else values[name]
        else:
            values[name] = None
    if values["points"] is not None and values["points"] % 2 == 0:
        raise ValueError(f"--points={values['points']} must be odd, so that t = 1/2 is among them")
    whole = values["dataset"] == "digits"
    for name, parts in (("train_split", ("train", "train[:90%]")),
                        ("test_split", ("test", "train[90%:]"))):
        if values[name] is None:
            values[name] = parts[0] if whole else parts[1]
    return values


def make(values: dict, *, wait: bool = False) -> dict:
    """Make the run of these flags, or find it, and return its result."""
    return common_flags.run_binary(
        MODULE, values, {}, Path("no sweeps"), names.run_name(values), run, wait=wait
    )


def run(*, run_directory, environment, strategy, checkpoint_every, data_dir, download, **settings):
    """Go through one stage and return its result.

    Arguments are the flags; `run_directory` is a training.runs.RunDirectory. Runs it needs are
    made beside that.
    """
    from repro.mode_connectivity import measuring, planes, slices, training
    from repro.mode_connectivity.context import Context
    from repro.training import runs

    settings["strategy"] = environment["strategy"]  # its name, as a flag says it
    home = run_directory.path.parent
    places = {"data_dir": data_dir, "download": download}

    def need(stage: str, **changes):
        """Return the directory of a run that this one needs, made where it is missing."""
        asked = _asked(settings, stage, changes)
        path = runs.find(home, asked)
        path = path or home / f"{names.run_name(asked)}-{runs.settings_hash(asked)}"
        if not (path / "result.json").exists():
            print(f"{settings['stage']} needs {path.name}", flush=True)
            make({
                **asked, **places, "run_dir": str(path), "checkpoint_every": checkpoint_every,
                "output_dir": None, "wandb_project": None, "profile_dir": None,
            }, wait=True)  # fmt: skip
        return path

    context = Context(
        settings, places, strategy, run_directory, environment, checkpoint_every, need
    )
    stages = {
        "endpoint": training.endpoint, "curve": training.curve,
        "evaluate": measuring.evaluate, "plane": planes.plane, "slice": slices.through,
        "study": measuring.study,
    }  # fmt: skip
    return stages[settings["stage"]](context)


def _asked(settings: dict, stage: str, changes: dict) -> dict:
    """Return the settings of a needed run: those of this one that matter to it, and changes."""
    values = {**settings, "stage": stage}
    for name, (stages, _) in OF_STAGE.items():
        if stage not in stages:
            values[name] = None
    return dict(sorted(filled({**values, **changes}).items()))


def main(argv):
    common_flags.reject_stray_arguments(argv)
    values = filled(common_flags.values())
    names.check(values)
    make(values)


if __name__ == "__main__":
    define_flags()
    app.run(common_flags.end_with_one_line(main))
