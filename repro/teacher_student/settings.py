"""What a run of the teacher-student experiments depends on, stage by stage."""

import dataclasses
from typing import ClassVar, Self

from repro.fields import flag
from repro.settings import Replicas
from repro.teacher_student.teacher import TEACHERS

NEWTON = "Iterations of Newton's method after Adam, at most."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Students(Replicas):
    """What all stages share: the teacher, its students 2-hidden-1, and how Adam trains them."""

    paper: ClassVar[str] = "teacher_student"
    moved: ClassVar[dict[str, str]] = {
        "protocol": "say --stage=census, --stage=graph, or --stage=slides (once --protocol=seed)",
        "width": "say --hidden for the neurons of a student; a width is a factor of channels",
        "seed_students": "say --stage=slides --slsqp_students",
        "verify": "say python -m repro.teacher_student.verify FILE",
    }

    teacher: str = flag(
        "alternating",
        "Outgoing weights of the teacher: alternating is (1, -1, 1, -1), as on the EPFL slides, "
        "ones is (1, 1, 1, 1), as in the code of Simsek et al.",
        choices=TEACHERS,
    )
    hidden: int = flag(5, "Size of a student's hidden layer.", unit="neurons", low=1)
    num_students: int = flag(1000, "How many students are trained.", unit="students", low=1)
    init: str = flag(
        "glorot",
        "Initial weights: Glorot uniform as in the code of Simsek et al., or those of torch's "
        "Linear layers.",
        choices=("glorot", "torch"),
    )
    biases: bool | None = flag(
        None,
        "Give the students' hidden neurons biases; the teacher has none. They start at zero, or, "
        "with --init=torch, as torch's would.",
    )
    adam_steps: int = flag(30_000, "Steps of Adam on the whole grid.", unit="steps", low=1)
    learning_rate: float = flag(1e-4, "Constant learning rate of Adam.", above=0)
    adam_precision: str = flag(
        "float64",
        "What Adam computes in; everything after it is float64.",
        choices=("float64", "float32"),
    )

    def settled(self) -> Self:
        return super().settled().replace(biases=self.biases or None)

    def label(self) -> str:
        parts = [self.stage, self.teacher, f"m{self.hidden}", f"n{self.num_students}"]
        parts += ["biases"] * bool(self.biases)
        parts += [self.init] * (self.init != "glorot")
        parts += [self.adam_precision] * (self.adam_precision != "float64")
        return "-".join([*parts, f"seed{self.seed}"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Census(Students):
    """Let students converge, give each a class, and certify every distinct critical point."""

    stage: ClassVar[str] = "census"

    newton_iterations: int = flag(3000, NEWTON, unit="iterations", low=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slides(Students):
    """Do what the EPFL slides do: Adam, SLSQP at negative eigenvalues, perturb, SLSQP again."""

    stage: ClassVar[str] = "slides"

    slsqp_students: int = flag(
        60,
        "SLSQP takes up so many of the students with a negative smallest eigenvalue, the first; "
        "all, if there are no more of them.",
        unit="students",
        low=0,
    )
    slsqp_ftol: float | None = flag(
        1e-6, "Change of the loss at which scipy's SLSQP stops; scipy's own default.", above=0
    )
    epsilon: float | None = flag(0.01, "Length of a perturbation.", above=0)
    max_perturbations: int | None = flag(20, "Tries per student.", unit="perturbations", low=1)

    def settled(self) -> Self:
        idle = {"slsqp_ftol": None, "epsilon": None, "max_perturbations": None}
        return super().settled().replace(**({} if self.slsqp_students else idle))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graph(Students):
    """Take all widths up to --hidden, split their minima's neurons, and see where saddles lead."""

    stage: ClassVar[str] = "graph"

    hidden: int = flag(
        5,
        "Size of the widest students' hidden layer; all from 1 are trained.",
        unit="neurons",
        low=1,
    )
    newton_iterations: int = flag(3000, NEWTON, unit="iterations", low=1)


STAGES = {"census": Census, "slides": Slides, "graph": Graph}
