"""What a run of the bad global minima depends on: training, pre-training, and the toy."""

import dataclasses
from typing import ClassVar, Self

from repro.bad_minima import adversarial
from repro.curvature_on_request import Curvature
from repro.data.datasets import DATASETS
from repro.fields import fields, flag
from repro.models import MODELS, WIDTHS
from repro.settings import Settings, Training

IN_MEMORY = tuple(name for name in DATASETS if name != "imagenet2012")
BATCH = 10  # points of a step of the toy
ZERO_LOGITS = "he_uniform_zero_logits"
INITIALIZERS = (
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "orthogonal",
    ZERO_LOGITS,
)

# What is None, and no part of a run, where nothing is pre-trained; where training starts at random.
PRETRAINING = (
    "pretrain_split",
    "replicas",
    "zero_out",
    "zero_unit",
    "pretrain_epochs",
    "pretrain_learning_rate",
    "pretrain_drop_at",
    "pretrain_accuracy",
)
HANDOVER = ("start", "reset_batch_norm")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images(Training):
    """What training on true labels and pre-training on random ones have in common.

    The authors' generator makes R = 10 copies of an image, their trainers R = 1; both N = 0.1.
    """

    paper: ClassVar[str] = "bad_minima"

    model: str = flag("resnet18", "Network to train.", choices=MODELS)
    width: float | None = flag(
        1.0, f"Factor of the number of channels, for {', '.join(WIDTHS)}.", above=0
    )
    initializer: str | None = flag(
        None,
        "What all kernels are drawn from at first, Keras's name for it; by default as each "
        "network's authors draw them, in ResNets and VGG as PyTorch does. "
        f"{ZERO_LOGITS} is that of the JAX rerun, whose last layer starts at zero.",
        choices=INITIALIZERS,
    )
    dataset: str = flag("cifar10", "Images to train and test on.", choices=IN_MEMORY)
    train_split: str = flag("train", "What to train on: a tensorflow-datasets split string.")
    test_split: str = flag(
        "test",
        "What to test on, such as train[45000:]; held_out is what --train_examples leaves out.",
    )
    train_examples: int | None = flag(
        None, "Train on a class-balanced subset of this size.", unit="images", low=1
    )
    batch_size: int = flag(128, "Images of a step, over all replicas.", low=1)
    learning_rate: float = flag(0.1, "Learning rate of SGD, before it drops.", low=0)
    drop_at: tuple[int, ...] = flag(
        (150, 250), "Numbers of epochs after which the rate drops.", low=1
    )
    learning_rate_drop: float = flag(0.1, "Factor of the rate at each drop.", low=0)
    eval_every: int = flag(
        25, "Measure losses and accuracies every so many epochs.", unit="epochs", low=1
    )

    replicas: int | None = flag(
        1, "Number R of copies of each image in pre-training, each with a label of its own.", low=1
    )
    zero_out: float | None = flag(0.1, "Share N, below 1, of a copy that is made black.", low=0)
    zero_unit: str | None = flag(
        "entries",
        "What N is a share of: entries as in the authors' code, or pixels as in the paper's text.",
        choices=adversarial.UNITS,
    )

    def settled(self) -> Self:
        settled = super().settled()
        if self.width == 1 and self.model not in WIDTHS:
            settled = settled.replace(width=None)
        return settled if self.zero_out else settled.replace(zero_unit=adversarial.UNITS[0])

    def check(self) -> None:
        super().check()
        if self.width is not None and self.model not in WIDTHS:
            raise ValueError(f"{self.model} has no width; choose from {', '.join(WIDTHS)}")
        check_rising("drop_at", self.drop_at)

    def label(self) -> str:
        parts = [self.model]
        if self.width not in (None, 1):
            parts.append(f"w{self.width:g}")
        parts.append(self.dataset)
        if self.train_examples:
            parts.append(f"n{self.train_examples}")
        if self.initializer:
            parts.append(self.initializer)
        return "-".join(parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretrain(Curvature, Images):
    """Fit random labels of copies of the images: the adversarial start (Algorithm 1)."""

    stage: ClassVar[str] = "pretrain"

    epochs: int = flag(350, "Train for at most so many epochs.", unit="epochs", low=1)
    stop_train_accuracy: float = flag(
        0.9999,
        "Stop at this accuracy over the whole training set; 0 trains all epochs.",
        low=0,
        high=1,
    )

    def check(self) -> None:
        super().check()
        check_copies(
            self.replicas,
            self.zero_out,
            DATASETS[self.dataset],
            "stop_train_accuracy",
            self.stop_train_accuracy,
        )

    def label(self) -> str:
        copies = f"R{self.replicas}-N{self.zero_out:g}"
        return f"start-{super().label()}-{copies}-seed{self.seed}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(Curvature, Images):
    """Train one network from a random or an adversarial start (Liu et al. 2020, section 3).

    "Vanilla" SGD has neither augmentation nor L2 nor momentum; "SOTA" has all three.
    """

    moved: ClassVar[dict] = {
        "l2": "say --weight_decay=VALUE, which has the same meaning: it acts on all weights",
    }

    init: str = flag(
        "random",
        "Where training starts: random weights, or adversarial ones, which are pre-trained on "
        "random labels; that run is found by its settings beside this one, or made first.",
        choices=("random", "adversarial"),
    )
    augment: tuple[str, ...] = flag(
        (),
        "Random changes of training images, applied in this order; --augment alone is crop,flip.",
        choices=("crop", "flip"),
        bare="crop,flip",
    )
    weight_decay: float = flag(
        0.0,
        "Coefficient of half the squared norm, in the loss, of all weights that are trained: "
        "kernels, biases and batch norm's, as the authors' code has it.",
        low=0,
    )
    momentum: float = flag(0.0, "Momentum of SGD.", low=0, high=1)
    sam_rho: float | None = flag(
        0.0,
        "Sharpness-aware minimisation: take the gradient at w + sam_rho g / |g|, g the gradient at "
        "the weights w; 0 is plain SGD.",
        low=0,
    )
    epochs: int = flag(350, "Train for so many epochs; 0 measures the start.", unit="epochs", low=0)
    shuffle: bool = flag(
        True, "Draw a new order in every epoch; without it, as the JAX rerun had it, none."
    )
    keep_weights: int | None = flag(
        None,
        "Keep the weights after every so many epochs, checkpoints/epoch_E.npz, and measure "
        "distances and norms of all that are kept.",
        unit="epochs",
        low=1,
    )
    batch_statistics: bool = flag(
        False,
        "Test with batch norm's statistics of test batches, as the JAX rerun did, in every "
        "evaluation; without it, running statistics are used, and both only at the end.",
    )
    sharpness_examples: int = flag(
        1000,
        "Measure the sharpness at the end on so many training images; 0 leaves it out, as "
        "--strategy=tpu wants it.",
        unit="images",
        low=0,
    )

    pretrain_split: str | None = flag(
        None, "Images to pre-train on, where they are others than --train_split."
    )
    pretrain_epochs: int | None = flag(350, "Pre-train for at most so many.", unit="epochs", low=1)
    pretrain_learning_rate: float | None = flag(
        0.1, "Learning rate of pre-training, before it drops.", low=0
    )
    pretrain_drop_at: tuple[int, ...] | None = flag(
        (150, 250), "Numbers of epochs of pre-training after which its rate drops.", low=1
    )
    pretrain_accuracy: float | None = flag(
        0.9999, "Pre-training stops at this accuracy; 0 trains all its epochs.", low=0, high=1
    )
    start: str | None = flag(
        None, "Directory of a pre-trained run to start from; implies --init=adversarial."
    )
    reset_batch_norm: bool | None = flag(
        False, "Forget the moving statistics of the start, as the JAX rerun did."
    )

    def settled(self) -> Self:
        settled = super().settled().replace(sam_rho=self.sam_rho or None)
        if self.start:
            return settled.replace(init="adversarial", **dict.fromkeys(PRETRAINING))
        if self.init == "random":
            return settled.replace(**dict.fromkeys([*PRETRAINING, *HANDOVER]))
        if self.pretrain_split == self.train_split:
            settled = settled.replace(pretrain_split=None)
        return settled

    def check(self) -> None:
        super().check()
        if self.sam_rho and (self.xla or self.precision == "mixed_float16"):
            raise ValueError("--sam_rho has neither --xla nor --precision=mixed_float16")
        if self.init == "adversarial" and not self.start:
            check_rising("pretrain_drop_at", self.pretrain_drop_at)
            check_copies(
                self.replicas,
                self.zero_out,
                DATASETS[self.dataset],
                "pretrain_accuracy",
                self.pretrain_accuracy,
            )

    def without_curvature(self) -> list[str]:
        asking = ["say --sharpness_examples=0"] if self.sharpness_examples else []
        return [*super().without_curvature(), *asking]

    def label(self) -> str:
        parts = [super().label(), self.init]
        if self.replicas:
            parts.append(f"R{self.replicas}-N{self.zero_out:g}")
        on = {"augment": self.augment, "decay": self.weight_decay, "momentum": self.momentum}
        parts += [name for name, value in on.items() if value]
        parts += [f"sam{self.sam_rho:g}"] if self.sam_rho else []
        if not self.epochs:
            parts.append("untrained")
        return "-".join([*parts, f"seed{self.seed}"])

    def needs(self) -> list[Settings]:
        return [self.pretraining()] if self.init == "adversarial" and not self.start else []

    def pretraining(self) -> Pretrain:
        """Return the settings of the run that makes this one's adversarial start."""
        shared = {field.name: getattr(self, field.name) for field, _ in fields(Images)}
        shared |= {
            "train_split": self.pretrain_split or self.train_split,
            "learning_rate": self.pretrain_learning_rate,
            "drop_at": self.pretrain_drop_at,
        }
        return Pretrain(
            **shared, epochs=self.pretrain_epochs, stop_train_accuracy=self.pretrain_accuracy
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(Settings):
    """Train the four networks of Figure 1 on two blobs of points in the plane."""

    paper: ClassVar[str] = "bad_minima"
    stage: ClassVar[str] = "toy"
    absent: ClassVar[dict] = {
        "strategy": "a step of 10 points is shorter than an exchange between devices"
    }

    per_class: int = flag(
        50, "Number of training points of each blob; there are as many test points.", low=1
    )
    pretrain_epochs: int = flag(100_000, "Epochs on random labels.", unit="epochs", low=1)
    vanilla_epochs: int = flag(
        1_000, "Epochs on true labels, from random weights.", unit="epochs", low=1
    )
    fine_tune_epochs: int = flag(
        10_000, "Epochs on true labels, from pre-trained weights.", unit="epochs", low=1
    )
    sota_epochs: int = flag(
        1_000,
        "On true labels, from pre-trained weights, with augmentation, L2 and momentum.",
        unit="epochs",
        low=1,
    )

    def check(self) -> None:
        super().check()
        if 2 * self.per_class % BATCH:
            raise ValueError(f"--per_class={self.per_class} must be a multiple of {BATCH // 2}")

    def label(self) -> str:
        return f"toy-seed{self.seed}"


STAGES = {"train": Train, "pretrain": Pretrain, "toy": Toy}


def check_rising(name: str, epochs: tuple[int, ...]) -> None:
    """Raise ValueError unless numbers of epochs rise."""
    if list(epochs) != sorted(set(epochs)):
        raise ValueError(f"--{name}={','.join(map(str, epochs))} must be a list of rising epochs")


def check_copies(
    replicas: int, zero_out: float, num_classes: int, target: str, accuracy: float
) -> None:
    """Raise ValueError for copies that cannot be made, or not be fitted as the flag `target` asks.

    Identical copies get the same prediction, so that their different labels cannot all be fitted.
    """
    if zero_out >= 1:
        raise ValueError(f"--zero_out={zero_out:g} must be below 1: nothing would be left to see")
    if replicas == 1 or zero_out:
        return
    ceiling = adversarial.fit_ceiling(replicas, num_classes)
    rounded = int(100 * ceiling + 1e-9) / 100
    if accuracy > rounded:
        raise ValueError(
            f"--replicas={replicas} with --zero_out=0 makes identical copies with different "
            f"labels, of which at most {rounded:.2f} can be fitted, not {accuracy:g}: choose a "
            f"--zero_out above 0, or a --{target} up to {rounded:.2f}"
        )
