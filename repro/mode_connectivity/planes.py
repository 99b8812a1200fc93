"""The stage `plane`: losses on the plane of a curve and its ends, and a trajectory projected."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from repro import curvature, norms
from repro.landscape import alignment, evaluation, planes, points
from repro.mode_connectivity import kept
from repro.mode_connectivity.data import PlainData
from repro.mode_connectivity.measuring import make_measure, measure_all
from repro.mode_connectivity.names import parse_point
from repro.mode_connectivity.networks import build_network, prepare_data, protocol
from repro.mode_connectivity.settings import Curve, Plane
from repro.training import step
from repro.training.runs import Job


def run(settings: Plane, job: Job) -> dict:
    """Measure on the plane of both ends and the bend (or --third), and project the trajectory."""
    s = settings
    anchors, along = spanning(s, job)
    data = prepare_data(s, job.data_dir, job.download)
    network = build_network(s, data, job.strategy)
    if s.third is not None:
        kept.check(network, dict(zip((s.from_, s.to, s.third), anchors)))
    spanned, axis = planes.through(*anchors), planes.axis(s.grid, s.margin)
    alpha, beta = np.meshgrid(axis, axis, indexing="ij")
    epochs, iterates = trajectory_of_both_ends(s, job)
    projected = [project(s.projection, spanned, anchors, p) for p in (*anchors, *iterates)]
    shadow = [planes.project(spanned, point).coordinates for point in along]

    measure = make_measure(s, network, data, job.strategy)
    if s.hessian_examples is not None:
        measure = planes.with_eigenvalues(measure, make_eigenvalues(s, network, data))
    first = len(anchors)

    def at(i: int):
        on_grid = i - first
        return anchors[i] if i < first else spanned.at(alpha.flat[on_grid], beta.flat[on_grid])

    found = measure_all(job, first + alpha.size, at, measure)
    grids = {name: values[first:].reshape(alpha.shape) for name, values in found.items()}
    job.directory.save_arrays(
        alpha=alpha,
        beta=beta,
        **grids,
        test_loss=grids["test_nll"],
        anchors=np.array([p.coordinates for p in projected[:first]]),
        **{f"anchor_{name}": values[:first] for name, values in found.items()},
        curve=np.array(shadow).reshape(-1, 2),
        iterate_epochs=np.array(epochs),
        iterates=np.array([p.coordinates for p in projected[first:]]).reshape(-1, 2),
        residuals=np.array([p.residual for p in projected[first:]]),
        residual_cosines=np.array([p.cosines for p in projected[first:]]).reshape(-1, 2),
        iterate_distances=np.array([points.distance(p, anchors[0]) for p in iterates]),
    )
    lowest = np.unravel_index(np.nanargmin(grids["train_nll"]), alpha.shape)
    return {
        "summary": f"lowest training loss {grids['train_nll'][lowest]:.4g} at alpha "
        f"{alpha[lowest]:.2f}, beta {beta[lowest]:.2f}",
        "axis_lengths": spanned.scales(),
        **data.facts,
        "protocol": f"{protocol(s, data)}; {s.grid}x{s.grid} grid",
    }


def spanning(settings: Plane, job: Job) -> tuple[list, list]:
    """Return the three points that span the plane, and points along the curve, if there is one."""
    s = settings
    if s.third is not None:
        return [kept.load(s, job, point) for point in (s.from_, s.to, s.third)], []
    curve = kept.curve_of(job, s.of_stage(Curve))
    spanned = [curve.nodes[0], curve.nodes[-1], curve.nodes[len(curve.nodes) // 2]]
    return spanned, list(map(curve.at, evaluation.grid()))


def project(
    projection: str,
    spanned: planes.Plane,
    anchors: Sequence[Sequence[np.ndarray]],
    point: Sequence[np.ndarray],
):
    """Return where a point is seen in the plane, as --projection says."""
    if projection == "affine":
        return planes.project(spanned, point)
    return planes.project_linear(spanned, anchors, point)


def trajectory_of_both_ends(settings: Plane, job: Job) -> tuple[list[int], list]:
    """Return epochs and iterates kept by the mode that both ends come from; none if they differ."""
    ends = [parse_point(point) for point in (settings.from_, settings.to)]
    if None in ends or ends[0][:2] != ends[1][:2]:
        return [], []
    mode, following, _ = ends[0]
    return kept.trajectory(settings, job, mode, following)


def make_eigenvalues(
    settings: Plane, network: keras.Model, data: PlainData
) -> Callable[[], tuple[float, float]]:
    """Return a function () -> the Hessian's (lambda_max, lambda_min) at the network's weights.

    Of the cross-entropy of the first --hessian_examples images, in float32, batch norm in inference
    mode with the statistics just estimated; Lanczos to 1 % of the larger, as in Li et al.'s maps.
    """
    exact = norms.at_dtype(network, "float32")
    pairs = tuple(x[: settings.hessian_examples] for x in data.arrays["train"])

    def eigenvalues() -> tuple[float, float]:
        alignment.put_weights(exact, alignment.get_weights(network))
        return tuple(
            float(
                curvature.top_eigenvalues(
                    exact,
                    step.cross_entropy,
                    pairs,
                    which=which,
                    tolerance=1e-2,
                    max_iterations=100,
                ).values[0]
            )
            for which in ("largest", "smallest")
        )

    return eigenvalues
