"""What a run of the randomization tests depends on."""

import dataclasses
from typing import ClassVar, Self

from repro.curvature_on_request import Curvature
from repro.data import (
    AUGMENTATION_RANGES,
    AUGMENTATIONS,
    CORRUPTIONS,
    GAUSSIAN_MOMENTS,
    PERMUTES,
)
from repro.data.datasets import DATASETS
from repro.fields import flag
from repro.models import MODELS
from repro.settings import Settings, Training

COLOURS = {"brightness", "saturation", "hue", "contrast"}  # changes that --augment_ranges is about
FAST_NETWORKS = ("inception", "wrn")  # networks that start at a rate of 0.1, all others at 0.01
IN_MEMORY = tuple(name for name in DATASETS if name != "imagenet2012")
# Of exp(-gamma |x - x'|^2), the first author's on MNIST in 0..1; of exp(-gamma |x - x'|), ours.
GAMMAS = {"gaussian": 0.02, "laplace": 0.1}
FLOAT64_POINTS = 2000  # of Theorem 1's network, up to which float64 is enough
BITS = 256  # of ball arithmetic


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(Curvature, Training):
    """Train one network on one corruption of a dataset (Zhang et al. 2017, section 2)."""

    paper: ClassVar[str] = "randomization"

    model: str = flag("inception", "Network to train.", choices=MODELS)
    initializer: str | None = flag(
        None, "Keras initializer of the kernels, such as he_normal; by default the network's own."
    )
    dataset: str = flag("cifar10", "Images to train and test on.", choices=DATASETS)
    train_split: str = flag("train", "What to train on: a tensorflow-datasets split string.")
    test_split: str = flag(
        "test",
        "What to test on, such as train[45000:]; held_out is what --train_examples leaves out.",
    )
    train_examples: int | None = flag(
        None, "Train on a class-balanced subset of this size.", unit="images", low=1
    )

    corruption: str | None = flag(
        None,
        "What is randomised; by default partial_labels where --corrupt_prob is given.",
        choices=CORRUPTIONS,
    )
    corrupt_prob: float = flag(
        0.0,
        "Probability that a label is replaced by a uniform one (partial_labels).",
        low=0,
        high=1,
    )
    permute: str | None = flag(
        "entries",
        "What pixel corruptions permute: all entries, or positions of whole pixels.",
        choices=PERMUTES,
    )
    gaussian_moments: str | None = flag(
        "dataset", "Whose mean and variance Gaussian noise has.", choices=GAUSSIAN_MOMENTS
    )
    redraw: bool = flag(
        False, "Corrupt afresh at every access, as the EPFL student rerun did by mistake."
    )
    augment: tuple[str, ...] = flag(
        (), "Random changes of training images, applied in this order.", choices=AUGMENTATIONS
    )

    distorted_crops: bool | None = flag(
        None,
        "Train on random boxes of whole images of imagenet2012, as TensorFlow's Inception did.",
    )
    augment_ranges: str | None = flag(
        None,
        "How far random changes of colour go: as in the original TensorFlow pipeline, or as "
        "in the EPFL student rerun.",
        choices=AUGMENTATION_RANGES,
    )

    epochs: int = flag(100, "Train for at most so many epochs.", unit="epochs", low=1)
    stop_train_loss: float | None = flag(None, "Stop at this loss over the whole training set.")
    stop_train_accuracy: float | None = flag(
        None, "Stop at this accuracy over the whole training set."
    )
    learning_rate: float | None = flag(
        None,
        "Learning rate of the first epoch; by default 0.1 for Inception and wide residual nets, "
        "0.01 for others.",
        low=0,
    )
    learning_rate_decay: float = flag(0.95, "Factor of the rate after every epoch.", low=0)
    momentum: float = flag(0.9, "Momentum of SGD.", low=0, high=1)
    batch_size: int = flag(None, "Images of a step, over all replicas.", unsaid=128, low=1)
    dropout_rate: float = flag(
        None, "Share of activations that dropout zeroes.", unsaid=0.0, low=0, high=0.99
    )
    weight_decay: float = flag(
        None, "Coefficient of half the squared norm of weights in the loss.", unsaid=0.0, low=0
    )
    decayed: str | None = flag(
        None,
        "Which weights --weight_decay acts on; by default kernels.",
        choices=("kernels", "all"),
    )
    eval_every: int = flag(
        1, "Measure losses and accuracies every so many epochs.", unit="epochs", low=1
    )
    test_every: int | None = flag(
        None,
        "Measure on test data only every so many epochs, and at the end; by default with the rest.",
        unit="epochs",
        low=1,
    )

    def settled(self) -> Self:
        if self.corrupt_prob and self.corruption not in (None, "partial_labels"):
            raise ValueError(f"--corrupt_prob is for partial_labels, not {self.corruption}")
        corruption = self.corruption or ("partial_labels" if self.corrupt_prob else "none")
        if corruption == "partial_labels" and self.corrupt_prob in (0, 1):  # one name a training
            corruption = "random_labels" if self.corrupt_prob else "none"
        fast = self.model.startswith(FAST_NETWORKS)
        rate = (0.1 if fast else 0.01) if self.learning_rate is None else self.learning_rate
        ranges = (self.augment_ranges or "tensorflow") if COLOURS & set(self.augment) else None
        prob = self.corrupt_prob if corruption == "partial_labels" else 0.0
        decayed = None if self.decayed == "kernels" else self.decayed
        return (
            super()
            .settled()
            .replace(
                corruption=corruption,
                corrupt_prob=prob,
                learning_rate=rate,
                augment_ranges=ranges,
                decayed=decayed,
                distorted_crops=self.distorted_crops or None,
                redraw=self.redraw and corruption != "none",
                permute=self.permute if corruption.endswith("_pixels") else None,
                gaussian_moments=self.gaussian_moments if corruption == "gaussian" else None,
            )
        )

    def label(self) -> str:
        parts = [self.model, self.dataset, self.corruption]
        if self.corruption == "partial_labels":
            parts.append(f"p{self.corrupt_prob:g}")
        if self.train_examples:
            parts.append(f"n{self.train_examples}")
        parts += self.augment
        if self.redraw:
            parts.append("redraw")
        return "-".join([*parts, f"seed{self.seed}"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kernel(Settings):
    """Interpolate by the minimum-norm function of a kernel (Zhang et al. 2017, section 5)."""

    paper: ClassVar[str] = "randomization"
    stage: ClassVar[str] = "kernel"
    absent: ClassVar[dict] = {
        "strategy": "its float64 matrices are made and solved by NumPy, on one machine's processors"
    }

    dataset: str = flag("cifar10", "Images to train and test on.", choices=IN_MEMORY)
    train_split: str = flag("train", "What to train on: a tensorflow-datasets split string.")
    test_split: str = flag(
        "test",
        "What to test on, such as train[45000:]; held_out is what --train_examples leaves out.",
    )
    train_examples: int | None = flag(
        None, "Train on a class-balanced subset of this size.", unit="images", low=1
    )
    corruption: str = flag(
        "none",
        "Whether the training labels are the true ones or random ones.",
        choices=("none", "random_labels"),
    )
    kernel: str = flag(
        "gaussian",
        "The kernel: linear is x x', the paper's equation 3; gaussian "
        "exp(-gamma |x - x'|^2); laplace exp(-gamma |x - x'|); quartic (x x')^4.",
        choices=("linear", "gaussian", "laplace", "quartic"),
    )
    gamma: float | None = flag(
        None,
        "How narrow the Gaussian or Laplace's kernel is; by default 0.02, which the first "
        "author used on MNIST, and 0.1.",
        above=0,
    )
    features: str | None = flag(
        None,
        "What the kernel looks at: pixels in 0..1, each image whitened, each normalized to "
        "length 1, moduli of Gabor wavelets, or responses of random filters; by default pixels, "
        "and normalized for the quartic kernel.",
        choices=("pixels", "whitened", "normalized", "gabor", "filters"),
    )
    filters: int | None = flag(
        None, "How many random filters; by default 32000 as in the paper.", unit="filters", low=1
    )
    patch: int | None = flag(
        None, "Side of a random filter; by default 6 as Coates and Ng's.", unit="pixels", low=2
    )
    filters_from: str | None = flag(
        None,
        "Random filters are whitened patches of training images, or normal noise; by default "
        "patches.",
        choices=("patches", "noise"),
    )
    weight_decay: float = flag(
        0.0,
        "Coefficient of half the squared norm of the function beside the mean over images of "
        "half the squared error; 0 interpolates.",
        low=0,
    )
    gradient_steps: int | None = flag(
        None,
        "Also train the weights of the linear kernel by gradient descent with momentum, from "
        "zero and from random weights, and compare.",
        unit="steps",
        low=1,
    )

    def settled(self) -> Self:
        features = self.features or ("normalized" if self.kernel == "quartic" else "pixels")
        changes = {
            "features": features,
            "gamma": None,
            "filters": None,
            "patch": None,
            "filters_from": None,
        }
        if self.kernel in GAMMAS:
            changes["gamma"] = GAMMAS[self.kernel] if self.gamma is None else self.gamma
        if features == "filters":
            changes["filters"] = 32_000 if self.filters is None else self.filters
            changes["patch"] = 6 if self.patch is None else self.patch
            changes["filters_from"] = self.filters_from or "patches"
        return super().settled().replace(**changes)

    def check(self) -> None:
        super().check()
        if self.gradient_steps and (self.kernel != "linear" or self.weight_decay):
            raise ValueError("--gradient_steps is for --kernel=linear without --weight_decay")
        if self.gradient_steps and self.features == "filters":
            raise ValueError("--gradient_steps wants features that fit into memory, not filters")

    def label(self) -> str:
        parts = ["kernel", self.kernel, self.features, self.dataset, self.corruption]
        if self.train_examples:
            parts.append(f"n{self.train_examples}")
        return "-".join([*parts, f"seed{self.seed}"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Theorem1(Settings):
    """Construct the network of 2n + d weights that fits any n labels (Zhang et al. 2017)."""

    paper: ClassVar[str] = "randomization"
    stage: ClassVar[str] = "theorem1"
    absent: ClassVar[dict] = {
        "strategy": "its weights are constructed one after the other, in float64 on one processor"
    }

    dataset: str = flag(
        "gaussian",
        "The points: normal ones, or training images of a dataset.",
        choices=("gaussian", *IN_MEMORY),
    )
    dimension: int | None = flag(
        None, "Dimension d of normal points; by default 100.", unit="coordinates", low=1
    )
    train_examples: int = flag(1000, "How many points, n of the theorem.", unit="images", low=2)
    layers: int = flag(
        1, "Layers of rectified units: 1 is Theorem 1, more are its corollary on depth.", low=1
    )
    arithmetic: str | None = flag(
        None,
        "How the fit is verified: float64 measures the largest error, balls prove a bound on "
        "it; by default float64 up to 2,000 points or with several layers, balls beyond.",
        choices=("float64", "balls"),
    )
    bits: int | None = flag(None, "Precision of balls; by default 256.", unit="bits", low=64)

    def settled(self) -> Self:
        dimension = (self.dimension or 100) if self.dataset == "gaussian" else None
        small = self.layers > 1 or self.train_examples <= FLOAT64_POINTS
        arithmetic = self.arithmetic or ("float64" if small else "balls")
        bits = (self.bits or BITS) if arithmetic == "balls" else None
        return super().settled().replace(dimension=dimension, arithmetic=arithmetic, bits=bits)

    def check(self) -> None:
        super().check()
        if self.layers > 1 and self.arithmetic == "balls":
            raise ValueError("--arithmetic=balls is for --layers=1, whose function deep ones have")
        if self.layers > self.train_examples + 1:
            raise ValueError(
                f"--layers={self.layers} leaves layers without units: at most "
                f"{self.train_examples + 1} for {self.train_examples} points"
            )

    def label(self) -> str:
        points = f"d{self.dimension}" if self.dimension else self.dataset
        parts = ["theorem1", points, f"n{self.train_examples}"]
        if self.layers > 1:
            parts.append(f"layers{self.layers}")
        return "-".join([*parts, f"seed{self.seed}"])


STAGES = {"train": Train, "kernel": Kernel, "theorem1": Theorem1}
