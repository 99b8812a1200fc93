"""The stage `slice`: losses along one or two directions through a point (Li et al. 2018)."""

from collections.abc import Sequence

import keras
import numpy as np

from repro.landscape import directions
from repro.mode_connectivity import kept
from repro.mode_connectivity.measuring import make_measure, measure_all
from repro.mode_connectivity.names import EPOCHS, parse_point
from repro.mode_connectivity.networks import build_network, prepare_data, protocol
from repro.mode_connectivity.settings import Slice
from repro.training.runs import Job


def run(settings: Slice, job: Job) -> dict:
    """Measure along one or two directions through --from: random, or of its mode's trajectory."""
    s = settings
    centre = kept.load(s, job, s.from_)
    data = prepare_data(s, job.data_dir, job.download)
    network = build_network(s, data, job.strategy)
    kept.check(network, {s.from_: centre})
    if s.directions == "pca":
        axes, steps, found = principal(s, job)
    else:
        axes, found = random(s, network, centre), {}
        steps = [directions.coordinates(s.points, s.reach)] * s.dimensions
    grids = np.meshgrid(*steps, indexing="ij")
    numbers = measure_all(
        job,
        grids[0].size,
        lambda i: directions.along(centre, axes, [grid.flat[i] for grid in grids]),
        make_measure(s, network, data, job.strategy),
    )
    numbers = {name: values.reshape(grids[0].shape) for name, values in numbers.items()}
    job.directory.save_arrays(**dict(zip(("alpha", "beta"), grids)), **numbers, **found)
    losses = numbers["train_nll"]
    shares = {k: values.tolist() for k, values in found.items() if k.startswith("explained")}
    return {
        "summary": f"training loss {np.nanmin(losses):.4g} to {np.nanmax(losses):.4g} on the slice",
        **shares,
        **data.facts,
        "protocol": f"{protocol(s, data)}; {s.points} points a direction",
    }


def random(settings: Slice, network: keras.Model, centre: Sequence[np.ndarray]) -> list:
    """Return random directions, normalised as --directions says, the second orthogonal."""
    drawn = [
        directions.random(network, centre, [settings.seed, number], settings.directions)
        for number in range(settings.dimensions)
    ]
    return [drawn[0], *(directions.orthogonal(other, drawn[0]) for other in drawn[1:])]


def principal(settings: Slice, job: Job) -> tuple[list, list, dict]:
    """Return principal directions of the iterates up to --from, coordinates, and what they are."""
    mode, following, epoch = parse_point(settings.from_)
    epochs, iterates = kept.trajectory(settings, job, mode, following, epoch or EPOCHS)
    components = directions.principal_components(iterates, settings.dimensions)
    steps = []
    for along in components.coordinates.T:
        around = settings.margin * np.ptp(along)
        steps.append(np.linspace(along.min() - around, along.max() + around, settings.points))
    facts = {
        "explained": components.explained,
        "explained_centred": components.explained_centred,
        "iterate_epochs": np.array(epochs),
        "iterates": components.coordinates,
    }
    return components.components, steps, facts
