"""What a student's neurons are: copies of each other, of the teacher's, dead, or constant.

The neurons (w, a) and (-w, -a) differ by a constant function only, so neurons are compared up to
that sign throughout. One student is an array [3, m]: two rows of incoming weights, one outgoing.
With biases it is [4, m]: a bias counts as an incoming weight, of an input that is always 1.
"""

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment


def distances(student: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distances [m, n] of neurons [3, m] and [3, n] up to sign, and those signs."""
    gap = student[:, :, None] - other[:, None]
    gap_flipped = student[:, :, None] + other[:, None]
    same, flipped = np.linalg.norm(gap, axis=0), np.linalg.norm(gap_flipped, axis=0)
    return np.minimum(same, flipped), np.where(same <= flipped, 1, -1)


def match_distance(student: np.ndarray, other: np.ndarray) -> float:
    """Return the largest distance between neurons matched modulo permutation and sign."""
    table, _ = distances(student, other)
    rows, columns = linear_sum_assignment(table)
    return float(table[rows, columns].max())


def distinct(
    theta: np.ndarray, loss: np.ndarray, loss_tolerance: float, tolerance: float
) -> np.ndarray:
    """Number critical points so that equal ones, modulo permutation and signs, share a number.

    Args:
      theta: students [S, 3, m].
      loss: [S].
      loss_tolerance: relative; of equal points.
      tolerance: of the distance between matched neurons.

    Returns:
      numbers [S] from 0, in order of loss.
    """
    order = np.argsort(loss, kind="stable")
    numbers = np.full(len(theta), -1)
    heads: list[int] = []
    for student in order:
        for number in range(len(heads) - 1, -1, -1):
            head = heads[number]
            if loss[student] - loss[head] > loss_tolerance * loss[student]:
                break
            if match_distance(theta[student], theta[head]) < tolerance:
                numbers[student] = number
                break
        if numbers[student] < 0:
            numbers[student] = len(heads)
            heads.append(student)
    return numbers


def copies(student: np.ndarray, tolerance: float, *, up_to_sign: bool = False) -> list[list[int]]:
    """Return groups of neurons with equal incoming weights, linked by steps below `tolerance`."""
    incoming = student[:-1]
    gap = np.linalg.norm(incoming[:, :, None] - incoming[:, None], axis=0)
    if up_to_sign:
        gap = np.minimum(gap, np.linalg.norm(incoming[:, :, None] + incoming[:, None], axis=0))
    left, groups = set(range(student.shape[1])), []
    while left:
        group, frontier = [], {min(left)}
        while frontier:
            left -= frontier
            group += sorted(frontier)
            frontier = {j for j in left if (gap[j, group] < tolerance).any()}
        groups.append(group)
    return groups


@dataclasses.dataclass(frozen=True)
class Decomposition:
    """A zero-loss student as teacher groups, dead and constant neurons.

    `labels` has one entry a neuron: `+2` for a copy of teacher neuron 2, `-2` for its reflection,
    `c` for a constant neuron (w = 0), `0` for a dead one (a = 0), `z` for one of a group of equal
    neurons whose outgoing weights sum to zero. `error` is the largest violation of the rules.
    """

    labels: tuple[str, ...]
    error: float

    @property
    def kind(self) -> str:
        """The symmetry type: which of the ways beyond a permutation of the teacher it uses."""
        extra = []
        count = {label: self.labels.count(label) for label in self.labels}
        for label, name in (("0", "dead"), ("z", "zero group"), ("c", "constant")):
            extra += [name] * (label in count)
        teacher = [label for label in count if label[0] in "+-"]
        extra += ["copy"] * any(count[label] > 1 for label in teacher)
        both = any("-" + label[1:] in count for label in teacher if label[0] == "+")
        extra += ["opposite copy"] * both
        flips = sum(1 for label in teacher if label[0] == "-")
        return " + ".join([f"{flips} reflected", *extra])


def decompose(
    student: np.ndarray, incoming: np.ndarray, outgoing: np.ndarray, tolerance: float
) -> Decomposition | None:
    """Explain a zero-loss student by the teacher's symmetries, or return None.

    For the bias-free logistic sigma the output equals the teacher's if, for every teacher neuron,
    the outgoing weights of its copies minus those of its reflections sum to a*, if all other groups
    sum to zero (constant neurons, w = 0, are free), and if all outgoing weights sum to sum a*,
    where that of a constant neuron with a bias b counts 1 + tanh(b/2) times.

    Args:
      student: [d + 1, m].
      incoming, outgoing: the teacher's weights, [r, d] and [r].
      tolerance: of weights; must grow like loss^(1/4), or 1/6 for triples, see loss.
    """
    labels = ["?"] * student.shape[1]
    errors, total_outgoing = [], student[-1].sum()
    for group in copies(student, tolerance, up_to_sign=True):
        centre = student[:-1, group[0]]
        signs = np.where(centre @ student[:-1, group] >= 0, 1, -1)
        total = float(signs @ student[-1, group])
        near = {
            (sign, t): np.linalg.norm(sign * centre - w)
            for t, w in enumerate(incoming)
            for sign in (1, -1)
        }
        (sign, t), gap = min(near.items(), key=lambda item: item[1])
        if gap < tolerance:
            members = sign * signs * student[:-1, group]
            farthest = np.linalg.norm(members - incoming[t][:, None], axis=0).max()
            errors += [farthest, abs(sign * total - outgoing[t])]
            marks = [f"{'+' if sign * s > 0 else '-'}{t + 1}" for s in signs]
        elif np.linalg.norm(student[:2, group], axis=0).max() < tolerance:
            marks = ["c"] * len(group)
            biases = student[2:-1, group].sum(axis=0)  # no row, which sums to zero, or one
            total_outgoing += student[-1, group] @ np.tanh(biases / 2)
        else:
            members = signs * student[:-1, group]
            apart = np.linalg.norm(members - members.mean(axis=1, keepdims=True), axis=0).max()
            errors += [apart, abs(total)]
            marks = ["0" if abs(student[-1, i]) < tolerance else "z" for i in group]
        for neuron, mark in zip(group, marks):
            labels[neuron] = mark
    errors.append(abs(total_outgoing - outgoing.sum()))
    found = {int(label[1:]) for label in labels if label[0] in "+-"}
    if found != set(range(1, len(incoming) + 1)) or max(errors) > tolerance:
        return None
    return Decomposition(tuple(sorted(labels)), max(errors))
