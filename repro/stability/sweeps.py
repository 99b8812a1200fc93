"""What Wu, Ma, E 2018 leave unsaid of initial weights, searched by tools/tune."""

from repro.tuning import Sweep

NONUNIFORMITY = 7.94  # published mean of 15 networks at eta = 0.5, B = 25

SWEEPS = {
    "gain": Sweep(
        says="scale of the initial weights: the code has three, and published numbers are over all",
        space={"gain": (1.0, 0.5, 0.75, 1.25, 1.5)},
        objective=lambda result: (
            -abs(result["nonuniformity"]["value"] - NONUNIFORMITY) if result["fitted"] else -1000.0
        ),
        judged_by="non-uniformity at eta = 0.5 and B = 25, the nearer to the published mean over "
        f"the three scales, {NONUNIFORMITY}, the better",
        flags={"stage": "train", "learning_rate": 0.5, "batch_size": 25},
        diverged=-1000.0,
    ),
}
