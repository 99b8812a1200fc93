"""The stage of repro.mode_connectivity that looks at slices through one point (Li et al. 2018)."""

from collections.abc import Sequence

import numpy as np

from repro.mode_connectivity.context import (
    Context,
    build_network,
    keeper,
    load,
    prepare_data,
    protocol,
    trajectory,
)
from repro.mode_connectivity.measuring import make_measure
from repro.mode_connectivity.names import EPOCHS, parse_point


def through(context: Context) -> dict:
    """Measure along one or two directions through --from: random, or of its mode's trajectory."""
    from repro.landscape import directions, evaluation
    from repro.training import snapshots

    s, place = context.settings, context.run.path / "checkpoints"
    centre = load(context, s["from"])
    if s["directions"] == "pca":
        axes, steps, found = _principal(context)
    else:
        axes, found = _random(context, centre), {}
        steps = [directions.coordinates(s["points"], s["reach"])] * s["dimensions"]
    grids = np.meshgrid(*steps, indexing="ij")
    data = prepare_data(context)
    network = build_network(context, data)
    context.run.begin(0, context.environment)
    numbers = evaluation.measure_points(
        grids[0].size,
        lambda i: directions.along(centre, axes, [grid.flat[i] for grid in grids]),
        make_measure(context, network, data),
        done=snapshots.load(place), keep=keeper(context, place),
    )  # fmt: skip
    numbers = {name: values.reshape(grids[0].shape) for name, values in numbers.items()}
    context.run.save_arrays(**dict(zip(("alpha", "beta"), grids)), **numbers, **found)
    losses = numbers["train_nll"]
    shares = {k: values.tolist() for k, values in found.items() if k.startswith("explained")}
    return {
        "summary": f"training loss {np.nanmin(losses):.4g} to {np.nanmax(losses):.4g} on the slice",
        **shares, **data.facts,
        "protocol": f"{protocol(context, data)}; {s['points']} points a direction",
    }  # fmt: skip


def _random(context: Context, centre: Sequence[np.ndarray]) -> list:
    """Return random directions, normalised as --directions says, the second orthogonal."""
    from repro.landscape import directions

    s = context.settings
    drawn = [
        directions.random(centre, [s["seed"], number], s["directions"])
        for number in range(s["dimensions"])
    ]
    return [drawn[0], *(directions.orthogonal(other, drawn[0]) for other in drawn[1:])]


def _principal(context: Context) -> tuple[list, list, dict]:
    """Return principal directions of the iterates up to --from, coordinates, and what they are."""
    from repro.landscape import directions

    s = context.settings
    mode, following, epoch = parse_point(s["from"])
    epochs, iterates = trajectory(context, mode, following, epoch or EPOCHS)
    components = directions.principal_components(iterates, s["dimensions"])
    steps = []
    for along in components.coordinates.T:
        around = s["margin"] * np.ptp(along)
        steps.append(np.linspace(along.min() - around, along.max() + around, s["points"]))
    return components.components, steps, {
        "explained": components.explained, "explained_centred": components.explained_centred,
        "iterate_epochs": np.array(epochs),
        "iterates": components.coordinates,
    }  # fmt: skip
