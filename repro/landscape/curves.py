"""Curves through weight space with fixed ends and trainable bends (Garipov et al. 2018).

    Polychain([a, bend, b]).at(0.5)  # the bend
    Bezier([a, bend, b]).at(0.5)     # a / 4 + bend / 2 + b / 4

A curve is phi(t) = sum_k c_k(t) node_k for t in [0, 1]: its kind is the functions c_k, its nodes
are points as in points.py. A chain of n nodes has n - 2 bends; a Bezier curve has degree n - 1.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from repro.landscape import points


def polychain_coefficients(t, nodes: int) -> tf.Tensor:
    """Return c_k(t) = max(0, 1 - |t (n - 1) - k|), [n] for a scalar t, in t's precision.

    Half way through a chain of three nodes this is the paper's 2 (t theta + (1/2 - t) w_a).
    """
    t = tf.convert_to_tensor(t)
    return tf.nn.relu(1 - tf.abs(t * (nodes - 1) - tf.range(nodes, dtype=t.dtype)))


def bezier_coefficients(t, nodes: int) -> tf.Tensor:
    """Return the Bernstein polynomials c_k(t) = C(n-1, k) t^k (1 - t)^(n-1-k), [n]."""
    t = tf.convert_to_tensor(t)
    degree, k = nodes - 1, tf.range(nodes, dtype=t.dtype)
    binomials = tf.constant([math.comb(degree, i) for i in range(nodes)], t.dtype)
    return binomials * t**k * (1 - t) ** (degree - k)


COEFFICIENTS = {"polychain": polychain_coefficients, "bezier": bezier_coefficients}


@dataclasses.dataclass(frozen=True)
class _Curve:
    """A curve by its nodes, the first and the last of which are its ends."""

    nodes: Sequence[points.Point]

    def __post_init__(self):
        if len(self.nodes) < 2:
            raise ValueError("a curve needs two nodes or more")
        for other in self.nodes[1:]:
            points.check_same(self.nodes[0], other)

    def at(self, t: float) -> list[np.ndarray]:
        """Return phi(t).

        Raises:
          ValueError: t outside [0, 1].
        """
        if not 0 <= t <= 1:
            raise ValueError(f"t={t} lies outside [0, 1]")
        coefficients = COEFFICIENTS[self.kind](np.float64(t), len(self.nodes)).numpy()
        return points.combine(coefficients, self.nodes)


class Polychain(_Curve):
    """Straight lines from node to node; node k is phi(k / (n - 1))."""

    kind = "polychain"


class Bezier(_Curve):
    """The Bezier curve of its nodes, of degree n - 1; inner nodes are not on it."""

    kind = "bezier"


CURVES = {"polychain": Polychain, "bezier": Bezier}


def straight_nodes(start: points.Point, end: points.Point, bends: int) -> list[list[np.ndarray]]:
    """Return the nodes training starts from: equally spaced on the segment, so phi is the segment.

    Args:
      start, end: the ends; copied exactly.
      bends: number of inner nodes; with one it is (start + end) / 2.
    """
    if bends < 0:
        raise ValueError(f"bends={bends} must not be negative")
    steps = [j / (bends + 1) for j in range(bends + 2)]
    return [points.combine((1 - s, s), (start, end)) for s in steps]
