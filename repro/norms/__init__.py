"""Norms of a network's weights, and how far they moved.

from repro import norms
folded = norms.fold_batch_norm(model)
norms.frobenius(model)["log10_product"]
norms.path_norm(model, p=2)
norms.distances(norms.snapshot(model), model)
"""

from repro.norms.copies import at_dtype
from repro.norms.distances import distances, snapshot
from repro.norms.folding import fold_batch_norm, refold
from repro.norms.frobenius import frobenius
from repro.norms.margins import logits_on, margins
from repro.norms.paths import check_paths, log10_around_batch_norm, log10_path_norm, path_norm
from repro.norms.readings import nested, readings, rescaling_check, summary

__all__ = [
    "at_dtype",
    "check_paths",
    "distances",
    "fold_batch_norm",
    "frobenius",
    "log10_around_batch_norm",
    "log10_path_norm",
    "logits_on",
    "margins",
    "nested",
    "path_norm",
    "readings",
    "refold",
    "rescaling_check",
    "snapshot",
    "summary",
]
