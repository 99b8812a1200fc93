"""What the EPFL slides leave unsaid of their students, searched by tools/tune."""

from repro.tuning import Sweep

NEGATIVE = 0.347  # the slides' share of students with a negative smallest eigenvalue


def share(counted) -> float:
    """Return what part of all students a result counts.

    Raises:
      ValueError: there is none.
    """
    if not counted["of"]:
        raise ValueError("no student has a negative smallest eigenvalue: ask for more of them")
    return counted["count"] / counted["of"]


SWEEPS = {
    "adam": Sweep(
        says="steps of Adam, initial weights, and what Adam computes in",
        space={
            "adam_steps": (30_000, 10_000, 100_000),
            "init": ("glorot", "torch"),
            "adam_precision": ("float64", "float32"),
        },
        objective=lambda result: -abs(share(result["negative"]) - NEGATIVE),
        judged_by="share of students of width 5 with a negative smallest eigenvalue, the nearer to "
        f"the published {NEGATIVE} the better",
        flags={"stage": "slides", "num_students": 100, "slsqp_students": 0},
        diverged=-1.0,
    ),
    "perturbation": Sweep(
        says="length of a perturbation, and the change of the loss at which SLSQP stops",
        space={"epsilon": (0.01, 0.001, 0.1), "slsqp_ftol": (1e-6, 1e-12, 1e-30)},
        objective=lambda result: share(result["perturbed_positive"]),
        judged_by="share of students with a negative smallest eigenvalue that end with a positive "
        "one, the larger the better, as all do on the slides",
        flags={"stage": "slides", "num_students": 100, "slsqp_students": 10},
    ),
}
