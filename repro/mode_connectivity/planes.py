"""The stage of repro.mode_connectivity that looks at the plane of a curve and its ends."""

from collections.abc import Callable

import numpy as np

from repro.mode_connectivity.context import (
    Context,
    build_network,
    keeper,
    load,
    load_nodes,
    prepare_data,
    protocol,
    trajectory,
)
from repro.mode_connectivity.measuring import make_measure
from repro.mode_connectivity.names import parse_point


def plane(context: Context) -> dict:
    """Measure on the plane of both ends and the bend (or --third), and project the trajectory."""
    from repro.landscape import curves, evaluation, planes, points
    from repro.training import snapshots

    s, place = context.settings, context.run.path / "checkpoints"
    if s["third"] is None:
        nodes = load_nodes(context.need("curve"), s["curve_epochs"], s["bends"] + 2)
        anchors = [nodes[0], nodes[-1], nodes[len(nodes) // 2]]
        path = curves.CURVES[s["curve"]](nodes)
        along = [path.at(t) for t in evaluation.grid()]
    else:
        along = []  # three points, and no curve
        anchors = [load(context, s[name]) for name in ("from", "to", "third")]
    spanned = planes.through(*anchors)
    axis = planes.axis(s["grid"], s["margin"])
    alpha, beta = np.meshgrid(axis, axis, indexing="ij")
    epochs, iterates = _iterates(context)
    project = {
        "affine": lambda point: planes.project(spanned, point),
        "linear": lambda point: planes.project_linear(spanned, anchors, point),
    }[s["projection"]]
    projected = [project(point) for point in (*anchors, *iterates)]
    shadow = [planes.project(spanned, point).coordinates for point in along]
    data = prepare_data(context)
    network = build_network(context, data)
    measure = make_measure(context, network, data)
    if s["hessian_examples"] is not None:
        measure = planes.with_eigenvalues(measure, make_eigenvalues(context, network, data))
    context.run.begin(0, context.environment)

    def at(i: int):
        i -= len(anchors)
        return anchors[i] if i < 0 else spanned.at(alpha.flat[i], beta.flat[i])

    found = evaluation.measure_points(
        len(anchors) + alpha.size, at, measure,
        done=snapshots.load(place), keep=keeper(context, place),
    )  # fmt: skip
    grids = {name: values[len(anchors):].reshape(alpha.shape) for name, values in found.items()}
    context.run.save_arrays(
        alpha=alpha, beta=beta, **grids, test_loss=grids["test_nll"],
        anchors=np.array([p.coordinates for p in projected[: len(anchors)]]),
        **{f"anchor_{name}": values[: len(anchors)] for name, values in found.items()},
        curve=np.array(shadow).reshape(-1, 2), iterate_epochs=np.array(epochs),
        iterates=np.array([p.coordinates for p in projected[len(anchors):]]).reshape(-1, 2),
        residuals=np.array([p.residual for p in projected[len(anchors):]]),
        residual_cosines=np.array([p.cosines for p in projected[len(anchors):]]).reshape(-1, 2),
        iterate_distances=np.array([points.distance(p, anchors[0]) for p in iterates]),
    )  # fmt: skip
    lowest = np.unravel_index(np.nanargmin(grids["train_nll"]), alpha.shape)
    return {
        "summary": f"lowest training loss {grids['train_nll'][lowest]:.4g} at alpha "
                   f"{alpha[lowest]:.2f}, beta {beta[lowest]:.2f}",
        "axis_lengths": spanned.scales(), **data.facts,
        "protocol": f"{protocol(context, data)}; {s['grid']}x{s['grid']} grid",
    }  # fmt: skip


def _iterates(context: Context) -> tuple[list[int], list]:
    """Return epochs and iterates kept by the mode that both ends come from; none if they differ."""
    ends = [parse_point(context.settings[name]) for name in ("from", "to")]
    if None in ends or ends[0][:2] != ends[1][:2]:
        return [], []
    mode, following, _ = ends[0]
    return trajectory(context, mode, following)


def make_eigenvalues(context: Context, network, data) -> Callable:
    """Return a function () -> the Hessian's (lambda_max, lambda_min) at the network's weights.

    Of the cross-entropy of the first --hessian_examples images, in float32, batch norm in inference
    mode with the statistics just estimated; Lanczos to 1 % of the larger, as in Li et al.'s maps.
    """
    from repro import curvature
    from repro.landscape import alignment
    from repro.training import step

    exact = build_network(context, data, precision="float32")
    pairs = tuple(x[: context.settings["hessian_examples"]] for x in data.arrays["train"])

    def eigenvalues() -> tuple[float, float]:
        alignment.put_weights(exact, alignment.weights_by_path(network))
        return tuple(
            float(curvature.top_eigenvalues(
                exact, step.cross_entropy, pairs, which=which, tolerance=1e-2, max_iterations=100,
            ).values[0])
            for which in ("largest", "smallest")
        )  # fmt: skip

    return eigenvalues
