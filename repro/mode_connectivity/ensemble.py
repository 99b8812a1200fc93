"""The stage `ensemble`: how much better networks along a curve are together than alone."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from repro.landscape import batch_norm, evaluation, points
from repro.mode_connectivity import kept
from repro.mode_connectivity.data import PlainData
from repro.mode_connectivity.measuring import measure_all
from repro.mode_connectivity.networks import build_network, prepare_data, protocol
from repro.mode_connectivity.settings import Curve, Ensemble
from repro.training.runs import Job

BATCH = 250  # images of a prediction


def run(settings: Ensemble, job: Job) -> dict:
    """Average the probabilities of networks along a curve (Garipov et al. 2018)."""
    s, ts = settings, evaluation.grid(settings.points)
    curve = kept.curve_of(job, s.of_stage(Curve))
    data = prepare_data(s, job.data_dir, job.download)
    predict = make_predict(s, build_network(s, data, job.strategy), data)
    labels, start = data.arrays["test"][1], predict(curve.at(0.0))

    def measure(point: Sequence[np.ndarray]) -> dict[str, float]:
        found = predict(point)
        return {"test_error": error(found, labels), "test_pair": error(found + start, labels)}

    found = measure_all(job, len(ts), lambda i: curve.at(ts[i]), measure)
    everywhere = sum(predict(curve.at(t)) for t in ts)
    job.directory.save_arrays(t=ts, **found)
    result = {
        "ends_error": float(found["test_pair"][-1]),
        "ensemble_error": error(everywhere, labels),
    }
    return {
        "summary": f"of {len(labels):,} images {result['ensemble_error']:.2%} wrong by all "
        f"networks of the curve, {result['ends_error']:.2%} by its two ends",
        **result,
        "alone_errors": [float(found["test_error"][0]), float(found["test_error"][-1])],
        **data.facts,
        "protocol": f"{protocol(s, data)}; {s.curve}, {s.points} networks",
    }


def make_predict(settings: Ensemble, network: keras.Model, data: PlainData) -> Callable:
    """Return `predict(point) -> probabilities`, float64 [images, classes], of validation images.

    Batch norm's statistics are estimated at the point first.
    """
    reestimate = batch_norm.make_reestimate(network, settings.batch_norm)
    images = data.arrays["test"][0]

    def predict(point: Sequence[np.ndarray]) -> np.ndarray:
        points.put(network, point)
        if batch_norm.layers(network):
            reestimate(batch for batch, _ in data.statistics.epoch(1))
        logits = network.predict(images, batch_size=BATCH, verbose=0)
        return tf.nn.softmax(tf.cast(logits, tf.float64)).numpy()

    return predict


def error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images that are taken wrongly.

    Args:
      probabilities: [images, classes], of a network, or summed over several.
      labels: [images].
    """
    return float((probabilities.argmax(axis=1) != labels).mean())
