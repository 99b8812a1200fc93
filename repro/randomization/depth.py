"""The corollary of Theorem 1 of Zhang et al. 2017: a depth of k wants a width of O(n / k) only."""

import dataclasses

import numpy as np
from scipy import sparse

ROWS = 200  # points evaluated at once


@dataclasses.dataclass(frozen=True)
class DeepNetwork:
    """Layers of rectified units, max(W h + b, 0), and a linear output."""

    layers: list[tuple[sparse.csr_array, np.ndarray]]  # W [units, inputs], b [units]
    output: np.ndarray  # [units of the last layer]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return the outputs of points [m, d]."""
        outputs = []
        for part in np.array_split(points, -(-len(points) // ROWS)):
            hidden = part.T
            for matrix, bias in self.layers:
                hidden = np.maximum(matrix @ hidden + bias[:, None], 0)
            outputs.append(self.output @ hidden)
        return np.concatenate(outputs)

    def width(self) -> int:
        """Return the number of units of the widest layer."""
        return max(matrix.shape[0] for matrix, _ in self.layers)

    def connections(self) -> int:
        """Return how many weights and biases are not 0, as if none were shared."""
        inside = sum(matrix.nnz + np.count_nonzero(bias) for matrix, bias in self.layers)
        return int(inside + np.count_nonzero(self.output))


def deepen(
    direction: np.ndarray, thresholds: np.ndarray, weights: np.ndarray, layers: int
) -> DeepNetwork:
    """Return sum_j w_j max(<a, x> - b_j, 0), for all x, as a network of several layers.

    The first layer has two units, the positive and the negative part of <a, x>. Each of the others
    has its share of the n units of Theorem 1, four more that hand on <a, x> and the sum so far by
    their positive and negative parts, and so a width of n / (layers - 1) + 4 at most, rounded up.
    """
    pair = np.array([1.0, -1.0])
    made = [(sparse.csr_array(np.stack([direction, -direction])), np.zeros(2))]
    groups = np.array_split(np.arange(len(weights)), layers - 1)
    before = np.zeros(0)  # weights of the units of the layer before
    for group in groups:
        # Inputs: both parts of <a, x> and, but for the first layer, both of the sum, then units.
        first = len(made) == 1
        inputs = 2 if first else 4 + len(before)
        to_sum = np.zeros(inputs)
        if not first:
            to_sum[2:] = [*pair, *before]
        to_projection = np.zeros(inputs)
        to_projection[:2] = pair
        rows = [to_projection, -to_projection, to_sum, -to_sum]
        units = sparse.csr_array(np.ones((len(group), 1))) @ sparse.csr_array(to_projection[None])
        matrix = sparse.vstack([sparse.csr_array(np.stack(rows)), units], format="csr")
        made.append((matrix, np.concatenate([np.zeros(4), -thresholds[group]])))
        before = weights[group]
    return DeepNetwork(made, np.concatenate([np.zeros(2), pair, before]))
