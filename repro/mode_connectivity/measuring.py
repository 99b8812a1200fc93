"""The stages of repro.mode_connectivity that measure along curves: evaluate and study.

Each takes a Context, measures what an interrupted run has not, and returns the result of the run.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from repro.mode_connectivity.context import (
    Context,
    build_network,
    curve_snapshots,
    decayed_weights,
    keeper,
    load,
    load_nodes,
    prepare_data,
    protocol,
)
from repro.mode_connectivity.names import VARIANTS


def make_measure(context: Context, network, data) -> Callable:
    """Return `measure(point) -> {train_loss, train_nll, ...}`, batch norm re-estimated there.

    train_loss is the cross-entropy train_nll and weight_decay / 2 * the squared norm of what L2
    acts on; errors are shares.
    """
    import tensorflow as tf

    from repro.landscape import batch_norm, points
    from repro.training import step

    evaluate = step.make_evaluate(network, context.strategy)
    reestimate = batch_norm.make_reestimate(network, context.settings["batch_norm"] or "pooled")
    decayed, decay = decayed_weights(context, network), context.settings["weight_decay"]

    def measure(point) -> dict[str, float]:
        points.put(network, point)
        if batch_norm.layers(network):
            reestimate(images for images, _ in data.statistics.epoch(1))
        found = {name: evaluate(batches) for name, batches in data.evaluations.items()}
        squares = sum(float(tf.nn.l2_loss(v.value)) for v in decayed)
        return {
            "train_loss": found["train"]["loss"] + decay * squares,
            "train_nll": found["train"]["loss"], "train_error": 1 - found["train"]["accuracy"],
            "test_nll": found["test"]["loss"], "test_error": 1 - found["test"]["accuracy"],
        }  # fmt: skip

    return measure


def evaluate(context: Context) -> dict:
    """Measure along a curve, along the segment of its ends, and along the curve as it trained."""
    from repro.landscape import curves, evaluation
    from repro.training import snapshots

    s, place = context.settings, context.run.path / "checkpoints"
    directory = context.need("curve")
    epochs = curve_snapshots(s) if s["snapshots"] else [s["curve_epochs"]]
    *earlier, last = (
        curves.CURVES[s["curve"]](load_nodes(directory, e, s["bends"] + 2)) for e in epochs
    )
    segment = curves.Polychain([last.nodes[0], last.nodes[-1]])
    data = prepare_data(context)
    network = build_network(context, data)
    paths = {**dict(zip(epochs, earlier)), "segment": segment, "curve": last}
    if s["repair"]:
        paths["repaired"] = Repaired(network, segment.nodes, data)
    ts, n, every = evaluation.grid(s["points"]), s["points"], list(paths)
    context.run.begin(0, context.environment)
    found = evaluation.measure_points(
        n * len(paths), lambda i: paths[every[i // n]].at(ts[i % n]),
        make_measure(context, network, data),
        done=snapshots.load(place), keep=keeper(context, place),
    )  # fmt: skip
    split = {name: dict(zip(every, values.reshape(-1, n))) for name, values in found.items()}
    along, straight, repaired = (
        {name: rows[path] for name, rows in split.items() if path in rows}
        for path in ("curve", "segment", "repaired")
    )
    lengths = evaluation.arc_length(last, ts)
    straight_lengths = evaluation.arc_length(segment, ts)
    context.run.save_arrays(
        t=ts, length=lengths, **along, segment_length=straight_lengths,
        **{f"segment_{name}": values for name, values in straight.items()},
        **{f"repaired_{name}": values for name, values in repaired.items()},
        snapshot_epochs=np.array(epochs),
        **{f"snapshot_{name}": np.array([rows[e] for e in (*epochs[:-1], "curve")])
           for name, rows in split.items()},
    )  # fmt: skip

    worst = [1 - errors["test_error"].max() for errors in (along, straight)]
    return {
        "summary": "validation accuracy at least {:.1%} on the curve, {:.1%} on the segment".format(
            *worst
        ),
        "curve_metrics": _metrics(along, lengths),
        "segment_metrics": _metrics(straight, straight_lengths),
        "curve_barrier": _barriers(ts, along["train_nll"]),
        "segment_barrier": _barriers(ts, straight["train_nll"]),
        **({"repaired_barrier": _barriers(ts, repaired["train_nll"])} if repaired else {}),
        "exactness": _exactness(context, last, segment),
        "network_sizes": _network_sizes(data), **data.facts,
        "protocol": f"{protocol(context, data)}; {s['curve']}, {s['bends']} bend(s), "
                    f"{s['curve_epochs']} curve epochs before scaling, {n} points",
    }  # fmt: skip


class Repaired:
    """The networks of a segment, each with the statistics between those of the ends (REPAIR)."""

    def __init__(self, network, ends: Sequence[Sequence[np.ndarray]], data):
        self.network = network
        paths = [v.path for v in network.trainable_variables]
        self.ends = tuple(dict(zip(paths, end)) for end in ends)
        self.batches = [images for images, _ in data.statistics.epoch(1)]

    def at(self, t: float) -> list[np.ndarray]:
        """Return the weights at share t of the way."""
        from repro.landscape import points, repair

        repair.repair(self.network, self.ends, t, self.batches)
        return points.get(self.network)


def _metrics(quantities: dict, lengths: np.ndarray) -> dict:
    from repro.landscape import evaluation

    summaries = {name: evaluation.summarize(v, lengths) for name, v in quantities.items()}
    return {name: dataclasses.asdict(summary) for name, summary in summaries.items()}


def _barriers(ts: np.ndarray, losses: np.ndarray) -> dict:
    from repro.landscape import evaluation

    return {
        "over_maximum": evaluation.barrier_over_maximum(losses),
        "over_chord": evaluation.barrier_over_chord(ts, losses),
    }


def _exactness(context: Context, path, segment) -> dict:
    """Return the largest deviations from what a curve is by definition.

    Its ends are compared with the points they were made of, unless they were trained or permuted.
    """
    from repro.landscape import curves

    s = context.settings

    def off(one, other):
        return float(max(np.abs(x - y).max() for x, y in zip(one, other)))

    untrained = curves.CURVES[s["curve"]](curves.straight_nodes(*segment.nodes, s["bends"]))
    found = {
        "untrained": max(off(untrained.at(t), segment.at(t)) for t in (0.1, 0.25, 0.5, 0.7, 0.9))
    }
    if not s["free_ends"]:
        found["start"] = off(path.at(0.0), load(context, s["from"]))
        if s["align"] == "none":
            found["end"] = off(path.at(1.0), load(context, s["to"]))
    if s["curve"] == "polychain" and s["bends"] == 1:
        found["middle"] = off(path.at(0.5), path.nodes[1])
    return found


def _network_sizes(data) -> dict[str, int]:
    """Return the numbers of parameters of the papers' networks."""
    from repro import models

    sizes = {}
    for name in ("vgg16", "vgg16_bn"):  # zeros, as drawing weights takes a second
        network = models.build(name, data.image_shape, data.num_classes, initializer="zeros")
        sizes[name] = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    return sizes


# --- study ----------------------------------------------------------------------------------------


def study(context: Context) -> dict:
    """Lay out the modes and bends of the six curves from G, and connect all pairs through G."""
    import itertools

    from repro.landscape import points

    s = context.settings
    context.run.begin(0, context.environment)
    layout, worst, ends = {"G": load(context, "G")}, {}, {}
    for mode in VARIANTS:
        ends_of = {"from": "G", "to": mode}
        nodes = load_nodes(context.need("curve", **ends_of), s["curve_epochs"], s["bends"] + 2)
        with np.load(str(context.need("evaluate", **ends_of) / "arrays.npz")) as arrays:
            errors = arrays["test_error"]
        layout |= {mode: nodes[-1], f"bend G{mode}": nodes[len(nodes) // 2]}
        worst[mode], ends["G"], ends[mode] = errors.max(), errors[0], errors[-1]
    named = list(layout.values())
    distances = np.zeros((len(named), len(named)))
    for (i, a), (j, b) in itertools.combinations(enumerate(named), 2):
        distances[i, j] = distances[j, i] = points.distance(a, b)
    pairs = list(itertools.combinations(("G", *VARIANTS), 2))
    # From X to Y: along theta_GX to G and along theta_GY; G itself is on both.
    worst_of_pairs = [max(worst.get(x, 0.0), worst[y]) for x, y in pairs]
    context.run.save_arrays(
        names=np.array(list(layout)), distances=distances, pairs=np.array(pairs),
        positions=_tsne(distances, s["perplexity"], s["seed"]),
        pair_worst_test_error=np.array(worst_of_pairs),
        pair_end_test_error=np.array([max(ends[x], ends[y]) for x, y in pairs]),
    )  # fmt: skip
    data = prepare_data(context)
    return {
        "summary": f"{len(pairs)} pairs of modes connected through G; validation accuracy at least "
                   f"{1 - max(worst_of_pairs):.1%}",
        **data.facts, "protocol": protocol(context, data), "pairs": len(pairs),
    }  # fmt: skip


def _tsne(distances: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """Return t-SNE's positions [n, 2] of points from their distances [n, n]."""
    from sklearn.manifold import TSNE

    tsne = TSNE(
        metric="precomputed", init="random", perplexity=perplexity, random_state=seed,
    )  # fmt: skip
    return tsne.fit_transform(distances)
