"""Whether the ends of training, and SGDR's iterates, are minima (Gotmare et al., section 4)."""

import itertools
from collections.abc import Sequence

import keras

from repro import curvature_on_request, norms
from repro.landscape import batch_norm, points
from repro.mode_connectivity import kept
from repro.mode_connectivity.data import PlainData
from repro.mode_connectivity.settings import Endpoint
from repro.training import step
from repro.training.runs import Job

RESTARTS = (30, 70, 150)  # epochs after which SGDR's later periods end


def measure(
    settings: Endpoint,
    job: Job,
    network: keras.Model,
    data: PlainData,
    weight_decay: float,
    decayed: Sequence[keras.Variable],
) -> dict:
    """Return `criticality` of the end, and `criticality_of_iterates` by epoch for sgdr.

    The iterates are those where a period of SGDR ends, with batch norm's statistics estimated
    there, in float32 as all that is measured.
    """
    acted_on = {id(variable) for variable in decayed}
    places = [id(variable) in acted_on for variable in network.trainable_variables]

    def look(network: keras.Model) -> dict:
        return curvature_on_request.at_end(
            settings,
            network,
            step.cross_entropy,
            data.arrays["train"],
            weight_decay=weight_decay,
            decayed=list(itertools.compress(network.trainable_variables, places)),
        )

    found = look(network)
    if settings.mode == "sgdr":
        iterate, of_iterates = norms.at_dtype(network, "float32"), {}
        reestimate = batch_norm.make_reestimate(iterate)
        for epoch in RESTARTS:
            points.put(iterate, kept.load_point(kept.iterate_file(job.checkpoints, epoch)))
            reestimate(images for images, _ in data.statistics.epoch(1))
            of_iterates[str(epoch)] = look(iterate)["criticality"]
        found["criticality_of_iterates"] = of_iterates
    return found
