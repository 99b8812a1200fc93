"""The stage `study`: the modes and bends of the six curves from G, and all pairs through G."""

import itertools

import numpy as np

from repro.landscape import points
from repro.mode_connectivity import kept
from repro.mode_connectivity.names import VARIANTS
from repro.mode_connectivity.networks import prepare_data, protocol
from repro.mode_connectivity.settings import Curve, Evaluate, Study
from repro.training import snapshots
from repro.training.runs import Job


def run(settings: Study, job: Job) -> dict:
    """Lay out the modes and bends of the six curves from G, and connect all pairs through G."""
    s = settings
    layout, worst, ends = {"G": kept.load(s, job, "G")}, {}, {}
    for mode in VARIANTS:
        curve = kept.curve_of(job, s.of_stage(Curve, from_="G", to=mode))
        measured = job.need(s.of_stage(Evaluate, from_="G", to=mode))
        errors = snapshots.read_arrays(measured.path / "arrays.npz")["test_error"]
        layout |= {mode: curve.nodes[-1], f"bend G{mode}": curve.nodes[len(curve.nodes) // 2]}
        worst[mode], ends["G"], ends[mode] = errors.max(), errors[0], errors[-1]
    job.directory.begin(0)
    named = list(layout.values())
    distances = np.zeros((len(named), len(named)))
    for (i, a), (j, b) in itertools.combinations(enumerate(named), 2):
        distances[i, j] = distances[j, i] = points.distance(a, b)
    pairs = list(itertools.combinations(("G", *VARIANTS), 2))
    # From X to Y: along theta_GX to G and along theta_GY; G itself is on both.
    worst_of_pairs = [max(worst.get(x, 0.0), worst[y]) for x, y in pairs]
    job.directory.save_arrays(
        names=np.array(list(layout)),
        distances=distances,
        pairs=np.array(pairs),
        positions=tsne(distances, s.perplexity, s.seed),
        pair_worst_test_error=np.array(worst_of_pairs),
        pair_end_test_error=np.array([max(ends[x], ends[y]) for x, y in pairs]),
    )
    data = prepare_data(s, job.data_dir, job.download)
    return {
        "summary": f"{len(pairs)} pairs of modes connected through G; validation accuracy at least "
        f"{1 - max(worst_of_pairs):.1%}",
        **data.facts,
        "protocol": protocol(s, data),
        "pairs": len(pairs),
    }


def tsne(distances: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """Return t-SNE's positions [n, 2] of points from their distances [n, n]."""
    from sklearn.manifold import TSNE

    layout = TSNE(metric="precomputed", init="random", perplexity=perplexity, random_state=seed)
    return layout.fit_transform(distances)
