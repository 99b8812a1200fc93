"""What a run on the stability of minima depends on: training, an escape, the toy."""

import dataclasses
from typing import ClassVar, Self

from repro.curvature_on_request import Curvature
from repro.data.datasets import DATASETS
from repro.fields import fields, flag
from repro.settings import Replicas, Settings

NETWORKS = ("fnn", "vgg_small", "fnn_tenth")  # the paper's two, whose dense layers have a --gain
IN_MEMORY = tuple(name for name in DATASETS if name != "imagenet2012")
CLASSES = {"cifar10": (0, 1)}  # of whose images the paper takes those of two classes
MOVED = {
    "stage=measure": "use tools/measure RUN",
    "run": "use tools/measure RUN",
    "eigenvalues": "use tools/measure RUN --eigenvalues=K",
    "probes": "use tools/measure RUN --probes=K",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images(Replicas):
    """What training and escapes have in common: squared errors of a few images, SGD or GD."""

    paper: ClassVar[str] = "stability"
    moved: ClassVar[dict] = MOVED

    model: str = flag("fnn", "Network to train.", choices=NETWORKS)
    gain: float = flag(1.0, "Factor of the dense layers' initial kernels.", low=0)
    dataset: str = flag("fashion_mnist", "Images to train and test on.", choices=IN_MEMORY)
    classes: tuple[int, ...] | None = flag(
        None,
        "Labels whose images are used, renumbered in this order; by default 0 and 1 of "
        "CIFAR-10, airplanes and automobiles, and all of other datasets.",
        low=0,
    )
    train_split: str = flag("train", "What to train on: a tensorflow-datasets split string.")
    test_split: str = flag("test", "What to test on, such as train[40000:].")
    train_examples: int = flag(
        1000,
        "Train on so many images, the first that are stored, with their true labels.",
        unit="images",
        low=2,
    )
    wrong_examples: int = flag(
        0,
        "Train on so many more, the next that are stored, with wrong labels.",
        unit="images",
        low=0,
    )
    learning_rate: float = flag(0.1, "Learning rate of SGD, the same at every step.", low=0)
    batch_size: int | None = flag(
        None, "Images of a step; by default all of them, which is GD.", unit="images", low=1
    )
    momentum: float = flag(
        0.0,
        "Momentum of the heavy ball: v <- momentum v + gradient, w <- w - learning_rate v.",
        low=0,
        high=1,
    )
    stop_loss: float = flag(
        1e-4,
        "Stop once a moving average of the minibatches' losses is below; 0 never stops.",
        low=0,
    )
    iterations: int = flag(200_000, "Train for at most so many steps.", unit="steps", low=1)
    measure_every: int = flag(
        1000,
        "Measure losses and accuracies every so many steps, and at the end.",
        unit="steps",
        low=1,
    )
    tolerance: float = flag(
        1e-4,
        "Largest residual of an eigenvalue of the curvature, as a share of the largest.",
        low=0,
    )
    max_iterations: int = flag(
        200, "Lanczos takes at most so many products for an eigenvalue.", unit="products", low=2
    )
    deterministic: bool = flag(
        False, "Use only kernels that give the same bits again, on GPUs too; slower."
    )

    @property
    def examples(self) -> int:
        """Number of images that are trained on, those with wrong labels too."""
        return self.train_examples + self.wrong_examples

    def settled(self) -> Self:
        classes = self.classes or CLASSES.get(self.dataset)
        if classes == tuple(range(DATASETS[self.dataset])):
            classes = None
        batch_size = self.examples if self.batch_size is None else self.batch_size
        return super().settled().replace(classes=classes, batch_size=batch_size)

    def check(self) -> None:
        super().check()
        if self.batch_size > self.examples:
            raise ValueError(
                f"--batch_size={self.batch_size} is larger than the {self.examples} examples"
            )
        labels, count = self.classes, DATASETS[self.dataset]
        if labels is not None:
            shown = f"--classes={','.join(map(str, labels))}"
            if len(set(labels)) < max(len(labels), 2):
                raise ValueError(f"{shown} must be two different labels or more")
            if max(labels) >= count:
                raise ValueError(f"{shown}: {self.dataset} has the labels 0 to {count - 1}")
        if self.wrong_examples and len(labels or range(count)) < 3:
            raise ValueError(
                f"--wrong_examples={self.wrong_examples} wants three classes or more: the released "
                "code never draws the last one, so that of two the first has no wrong label"
            )

    def label(self) -> str:
        parts = [
            self.stage,
            self.model,
            self.dataset,
            f"lr{self.learning_rate:g}",
            f"B{self.batch_size}",
        ]
        parts += [f"m{self.momentum:g}"] if self.momentum else []
        parts += [f"wrong{self.wrong_examples}"] if self.wrong_examples else []
        parts += [f"gain{self.gain:g}"] if self.gain != 1 else []
        return "-".join([*parts, super().label()])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(Curvature, Images):
    """Train a network by GD or SGD, and measure how sharp and how uneven its minimum is."""

    def check(self) -> None:
        super().check()
        if self.curvature_every and self.curvature_every % self.measure_every:
            raise ValueError(
                f"--curvature_every={self.curvature_every} must be a multiple of "
                f"--measure_every={self.measure_every}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Escape(Images):
    """Go to a minimum by GD, SGD or L-BFGS, then let another optimiser go on from there.

    --stop_loss is that of the way to the minimum; what follows takes all its --iterations.
    """

    stage: ClassVar[str] = "escape"

    iterations: int = flag(3000, "Take so many steps after the switch.", unit="steps", low=1)
    measure_every: int = flag(
        40,
        "Measure losses, accuracies and curvature every so many steps after the switch.",
        unit="steps",
        low=1,
    )
    start_optimizer: str | None = flag(
        None, "What goes to the minimum that is then left; by default GD.", choices=("lbfgs",)
    )
    start_learning_rate: float | None = flag(
        0.1, "Learning rate of GD or SGD on its way to the minimum; L-BFGS has none.", low=0
    )
    start_batch_size: int | None = flag(
        None,
        "Images of a step on the way to the minimum; by default all of them, which is GD.",
        unit="images",
        low=1,
    )
    start_iterations: int = flag(
        200_000, "GD, SGD or L-BFGS take at most so many to the minimum.", unit="steps", low=1
    )

    def settled(self) -> Self:
        rate = None if self.start_optimizer else self.start_learning_rate
        size = None if self.start_batch_size == self.examples else self.start_batch_size
        return super().settled().replace(start_learning_rate=rate, start_batch_size=size)

    def check(self) -> None:
        super().check()
        if self.start_batch_size is None:
            return
        if self.start_optimizer:
            raise ValueError(
                f"--start_batch_size={self.start_batch_size} is of SGD, and "
                f"--start_optimizer={self.start_optimizer} takes all images: leave one out"
            )
        if self.start_batch_size > self.examples:
            raise ValueError(
                f"--start_batch_size={self.start_batch_size} is larger than the {self.examples} "
                "examples"
            )

    def needs(self) -> list[Settings]:
        """Return the training that ends in the minimum; L-BFGS takes no run of its own."""
        if self.start_optimizer:
            return []
        shared = {field.name: getattr(self, field.name) for field, _ in fields(Images)}
        own = {
            "learning_rate": self.start_learning_rate,
            "batch_size": self.start_batch_size,
            "momentum": 0.0,
            "iterations": self.start_iterations,
            "measure_every": Images.measure_every,
        }
        return [Train(**shared | own)]

    def label(self) -> str:
        """Say where it starts from too, if that is no minimum of GD."""
        start = [self.start_optimizer] if self.start_optimizer else []
        start += [f"startB{self.start_batch_size}"] if self.start_batch_size else []
        return "-".join([super().label(), *start])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(Settings):
    """Let GD, and SGD 2,000 times, start beside the minimum x = 1 of two functions (section 2)."""

    paper: ClassVar[str] = "stability"
    stage: ClassVar[str] = "toy"
    moved: ClassVar[dict] = MOVED
    absent: ClassVar[dict] = {"strategy": "all its runs take a second of one processor"}

    learning_rate: float = flag(0.7, "Learning rate of GD and SGD.", low=0)
    iterations: int = flag(500, "Take so many steps.", unit="steps", low=1)

    def label(self) -> str:
        return f"toy-lr{self.learning_rate:g}-{super().label()}"


STAGES = {"train": Train, "escape": Escape, "toy": Toy}
