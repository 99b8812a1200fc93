"""The stage `instability`: how far two trainings that were one until an epoch end up apart."""

import numpy as np

from repro.landscape import curves, evaluation, points
from repro.mode_connectivity import kept
from repro.mode_connectivity.measuring import make_measure, measure_all
from repro.mode_connectivity.names import EPOCHS
from repro.mode_connectivity.networks import build_network, prepare_data, protocol
from repro.mode_connectivity.settings import Instability
from repro.training.runs import Job


def run(settings: Instability, job: Job) -> dict:
    """Measure along the segment between the ends of both trainings (Frankle et al. 2020)."""
    s, ts = settings, evaluation.grid(settings.points)
    siblings = [job.need(needed).path / "checkpoints" for needed in s.needs()]
    ends = [kept.load_point(kept.iterate_file(place, EPOCHS)) for place in siblings]
    segment = curves.Polychain(ends)
    data = prepare_data(s, job.data_dir, job.download)
    network = build_network(s, data, job.strategy)
    measure = make_measure(s, network, data, job.strategy)
    found = measure_all(job, len(ts), lambda i: segment.at(ts[i]), measure)
    job.directory.save_arrays(t=ts, **found)
    heights = {name: instability(values) for name, values in found.items()}
    return {
        "summary": f"error rises by {100 * heights['train_error']:.2f} points on the training "
        f"images and {100 * heights['test_error']:.2f} on those for validation",
        "instability": heights,
        "distance": points.distance(*ends),
        **data.facts,
        "protocol": f"{protocol(s, data)}; forked after epoch {s.fork}, {s.points} points",
    }


def instability(values: np.ndarray) -> float:
    """Return how far values along a segment, [points], rise over the mean of its ends' values.

    Frankle et al. 2020, section 2: the highest on the way, the ends among it, less that mean.
    """
    return float(np.max(values) - (values[0] + values[-1]) / 2)
