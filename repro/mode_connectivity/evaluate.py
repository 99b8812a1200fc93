"""The stage `evaluate`: measure along a curve, its segment, and the curve as it trained."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from repro import models
from repro.landscape import curves, evaluation, points, repair
from repro.mode_connectivity import kept
from repro.mode_connectivity.data import PlainData
from repro.mode_connectivity.measuring import make_measure, measure_all
from repro.mode_connectivity.names import curve_epochs_kept
from repro.mode_connectivity.networks import build_network, prepare_data, protocol
from repro.mode_connectivity.settings import Curve, Evaluate
from repro.training.runs import Job


def run(settings: Evaluate, job: Job) -> dict:
    """Measure along a curve, along the segment of its ends, and along the curve as it trained."""
    s, n = settings, settings.points
    epochs = curve_epochs_kept(s.curve_epochs) if s.snapshots else [s.curve_epochs]
    *earlier, curve = (kept.curve_of(job, s.of_stage(Curve), epoch) for epoch in epochs)
    segment = curves.Polychain([curve.nodes[0], curve.nodes[-1]])
    data = prepare_data(s, job.data_dir, job.download)
    network = build_network(s, data, job.strategy)
    paths = {**dict(zip(epochs, earlier)), "segment": segment, "curve": curve}
    if s.repair:
        paths["repaired"] = Repaired(network, segment.nodes, data)

    ts, names = evaluation.grid(n), list(paths)
    found = measure_all(
        job,
        n * len(paths),
        lambda i: paths[names[i // n]].at(ts[i % n]),
        make_measure(s, network, data, job.strategy),
    )
    split = {name: dict(zip(names, values.reshape(-1, n))) for name, values in found.items()}
    along, straight, repaired = (
        {name: rows[path] for name, rows in split.items() if path in rows}
        for path in ("curve", "segment", "repaired")
    )
    lengths = {path: evaluation.arc_length(paths[path], ts) for path in ("curve", "segment")}
    job.directory.save_arrays(
        t=ts,
        length=lengths["curve"],
        **along,
        segment_length=lengths["segment"],
        **{f"segment_{name}": values for name, values in straight.items()},
        **{f"repaired_{name}": values for name, values in repaired.items()},
        snapshot_epochs=np.array(epochs),
        **{
            f"snapshot_{name}": np.array([rows[e] for e in (*epochs[:-1], "curve")])
            for name, rows in split.items()
        },
    )
    worst = [1 - errors["test_error"].max() for errors in (along, straight)]
    return {
        "summary": f"validation accuracy at least {worst[0]:.1%} on the curve, "
        f"{worst[1]:.1%} on the segment",
        "curve_metrics": metrics(along, lengths["curve"]),
        "segment_metrics": metrics(straight, lengths["segment"]),
        "curve_barrier": barriers(ts, along["train_nll"]),
        "segment_barrier": barriers(ts, straight["train_nll"]),
        **({"repaired_barrier": barriers(ts, repaired["train_nll"])} if repaired else {}),
        "exactness": exactness(s, job, curve, segment),
        "network_sizes": network_sizes(data),
        **data.facts,
        "protocol": f"{protocol(s, data)}; {s.curve}, {s.bends} bend(s), "
        f"{s.curve_epochs} curve epochs before scaling, {n} points",
    }


class Repaired:
    """The networks of a segment, each with the statistics between those of the ends (REPAIR)."""

    def __init__(self, network: keras.Model, ends: Sequence[Sequence[np.ndarray]], data: PlainData):
        self.network = network
        self.ends = tuple(ends)  # without batch norm these are all of the network's weights
        self.batches = [images for images, _ in data.statistics.epoch(1)]

    def at(self, t: float) -> list[np.ndarray]:
        """Return the weights at share t of the way."""
        repair.repair(self.network, self.ends, t, self.batches)
        return points.get(self.network)


def metrics(quantities: Mapping[str, np.ndarray], lengths: np.ndarray) -> dict:
    """Return Garipov et al.'s metrics of each quantity along a path."""
    return {
        name: dataclasses.asdict(evaluation.summarize(values, lengths))
        for name, values in quantities.items()
    }


def barriers(ts: np.ndarray, losses: np.ndarray) -> dict:
    """Return how far losses along a path rise over the higher end, and over their chord."""
    return {
        "over_maximum": evaluation.barrier_over_maximum(losses),
        "over_chord": evaluation.barrier_over_chord(ts, losses),
    }


def exactness(settings: Evaluate, job: Job, curve, segment: curves.Polychain) -> dict:
    """Return the largest deviations from what a curve is by definition.

    Its ends are compared with the points they were made of, unless they were trained or permuted.
    """
    s = settings

    def off(one, other):
        return float(max(np.abs(x - y).max() for x, y in zip(one, other)))

    untrained = curves.CURVES[s.curve](curves.straight_nodes(*segment.nodes, s.bends))
    found = {
        "untrained": max(off(untrained.at(t), segment.at(t)) for t in (0.1, 0.25, 0.5, 0.7, 0.9))
    }
    if not s.free_ends:
        found["start"] = off(curve.at(0.0), kept.load(s, job, s.from_))
        if s.align == "none":
            found["end"] = off(curve.at(1.0), kept.load(s, job, s.to))
    if s.curve == "polychain" and s.bends == 1:
        found["middle"] = off(curve.at(0.5), curve.nodes[1])
    return found


def network_sizes(data: PlainData) -> dict[str, int]:
    """Return the numbers of parameters of the papers' networks."""
    sizes = {}
    for name in ("vgg16", "vgg16_bn"):  # zeros, as drawing weights takes a second
        network = models.build(name, data.image_shape, data.num_classes, initializer="zeros")
        sizes[name] = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    return sizes
