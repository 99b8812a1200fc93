"""Give every student where descent stopped exactly one class, with the evidence."""

import dataclasses

import numpy as np

from repro.critical import channels, newton
from repro.critical.loss import Problem
from repro.critical.neurons import decompose
from repro.critical.splitting import merge, sign_matrices, split_spectrum

ZERO_LOSS = 1e-20  # converged students are below, or above 1e-7: nothing lies between
# Students of more than WIDE times the teacher's neurons come near zero long before each neuron is
# near one of the teacher's. A loss that still falls there, ten decades below any other minimum that
# was found, is on its way to zero.
WIDE, WIDE_ZERO = 2, 1e-17
GROUP_TOLERANCE = (1e-6, 0.12)  # of zero-loss students; teacher neurons are 0.3 apart
COPY_TOLERANCE = 1e-6  # of incoming weights of one neuron split in two
SIGN_TOLERANCE = 1e-10  # of the sign matrix M and of shares


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A student's class, what kind of it, its number of negative eigenvalues, and why."""

    name: str
    kind: str
    index: int
    evidence: dict


def classify(
    theta: np.ndarray, given: Problem, incoming: np.ndarray, outgoing: np.ndarray
) -> list[Verdict]:
    """Classify students [S, d + 1, m] of a teacher with weights [r, d] and [r]."""
    loss, gradient, hessian = newton.evaluate(theta, given)
    gradient_norm = np.abs(gradient).max(axis=1)
    eigenvalues = np.linalg.eigvalsh(hessian)
    tolerance = newton.zero_tolerance(eigenvalues)
    verdicts: list[Verdict | None] = []
    for s, student in enumerate(theta):
        index = int((eigenvalues[s] < -tolerance[s]).sum())
        if loss[s] < newton.VALLEY[1]:
            verdicts.append(_global(student, loss[s], incoming, outgoing))
        elif gradient_norm[s] < newton.GRADIENT_TOLERANCE:
            verdicts.append(_finite(student, given, eigenvalues[s], tolerance[s], index))
        else:
            verdicts.append(None)
    open_ = [s for s, verdict in enumerate(verdicts) if verdict is None]
    for s, verdict in zip(open_, _channels(theta[open_], given) if open_ else []):
        verdicts[s] = verdict
    return verdicts


def zero_loss(width: int, teacher_width: int) -> float:
    """Return the loss below which a student of this width is taken to reach zero."""
    return WIDE_ZERO if width > WIDE * teacher_width else ZERO_LOSS


def _global(student, loss, incoming, outgoing) -> Verdict:
    """Explain a student with (almost) zero loss by symmetry, else leave it undecided.

    Wide students below WIDE_ZERO count as global minima without an explanation. That is weaker
    evidence, and a kind of its own.

    Outgoing weights of k neurons near one place can cancel all but the k-th order of the distance d
    between them, so that the loss is ~ d^(2k), and d is as large as loss^(1/2k).
    """
    largest = max(4, student.shape[1] - len(incoming) + 1)
    for k in range(2, largest + 1):
        factor = {2: 10, 3: 30}.get(k, 15)
        tolerance = np.clip(factor * loss ** (1 / (2 * k)), *GROUP_TOLERANCE)
        found = decompose(student, incoming, outgoing, tolerance)
        if found is not None:
            evidence = {"labels": " ".join(found.labels), "error": found.error}
            return Verdict("global", found.kind, 0, evidence)
    if loss < zero_loss(student.shape[1], len(incoming)) > ZERO_LOSS:
        return Verdict("global", "falls to zero, neurons not told apart", 0, {})
    kind = "zero loss, no symmetry type" if loss < ZERO_LOSS else "loss still falling"
    return Verdict("undecided", kind, 0, {})


def _finite(student, given, eigenvalues, tolerance, index) -> Verdict | None:
    """Classify a converged student with positive loss; None if only a channel can explain it."""
    narrow, merged = merge(student, COPY_TOLERANCE)
    if merged:
        return _split(narrow, merged, given)
    evidence = {"lambda_min": float(eigenvalues[0]), "lambda_max": float(eigenvalues[-1])}
    if eigenvalues[0] > tolerance:
        return Verdict("local", "isolated", 0, evidence)
    if index:
        return Verdict("saddle", "isolated", index, evidence)
    return None


def _split(narrow, merged, given) -> Verdict:
    """Classify a student with split neurons by its parent and the sign rule."""
    parent = newton.to_critical_point(narrow[None], given)
    _, gradient, hessian = newton.evaluate(parent, given)
    eigenvalues = np.linalg.eigvalsh(hessian)
    tolerance = float(newton.zero_tolerance(eigenvalues)[0])
    matrices = sign_matrices(parent[0], given)
    added = [split_spectrum(matrices[i], shares, SIGN_TOLERANCE) for i, shares in merged]
    evidence = {
        "parent": parent[0].tolist(),
        "parent_gradient_norm": float(np.abs(gradient).max()),
        "parent_lambda_min": float(eigenvalues[0, 0]),
        "parent_index": int((eigenvalues < 0).sum()),
        "neurons": [i for i, _ in merged],
        "shares": [shares.tolist() for _, shares in merged],
        "sign_eigenvalues": [np.linalg.eigvalsh(matrices[i]).tolist() for i, _ in merged],
    }
    kind = f"split from width {narrow.shape[1]}"
    moved = np.abs(parent[0] - narrow).max()
    if None in added or np.abs(eigenvalues).min() < tolerance or moved > 1e-3:
        return Verdict("undecided", kind, 0, evidence)
    index = evidence["parent_index"] + sum(part.negative for part in added)
    return Verdict("saddle" if index else "plateau", kind, index, evidence)


def _channels(theta: np.ndarray, given: Problem) -> list[Verdict]:
    """Decide by jumping whether students are in channels; copies of a neuron jump as one."""
    narrow = [merge(student, COPY_TOLERANCE)[0] for student in theta]
    verdicts: list[Verdict | None] = [None] * len(theta)
    for width in sorted({student.shape[1] for student in narrow}):
        chosen = [s for s, student in enumerate(narrow) if student.shape[1] == width]
        test = channels.follow(np.stack([narrow[s] for s in chosen]), given)
        for row, s in enumerate(chosen):
            verdicts[s] = _channel_verdict(test, row, theta.shape[2] - width)
    return verdicts


def _channel_verdict(test: channels.ChannelTest, row: int, level: int) -> Verdict:
    evidence = {
        name: getattr(test, name)[row].tolist() for name in ("gap", "loss", "largest", "lambda_max")
    }
    if test.is_channel[row]:
        kind = f"{test.growing[row]} growing neurons" + (", split" if level else "")
    elif test.slides[row]:
        kind = "still sliding"
    else:
        return Verdict("undecided", "not converged", 0, evidence)
    return Verdict("channel", kind, 0, evidence)
