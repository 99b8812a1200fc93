"""What Liu et al. 2020 leave unsaid of their adversary, searched by tools/tune."""

from repro.tuning import Sweep

SWEEPS = {
    "adversary": Sweep(
        says="copies R and zeroed share N of Algorithm 1, of which the code has two settings",
        space={"replicas": (1, 2, 5, 10), "zero_out": (0.1, 0.05, 0.2)},
        objective=lambda result: -result["test_accuracy"],
        judged_by="test accuracy of vanilla SGD from the adversarial start, the lower the better: "
        "the published fall of up to 40 points is beyond all of them",
        flags={"init": "adversarial", "sharpness_examples": 0},
        epochs=45,
        diverged=-1.0,
    ),
}
