"""Claim R30 on Figure 1a of Zhang et al. 2017: what is learnt first, by the number of images."""

from repro.randomization.claims.corruptions import ORDER, REACHED
from repro.randomization.measures import FIGURE_1A, by_data, steps, unfinished
from repro.reporting.claims import INCONCLUSIVE, Claim, Finding, undecided, verdict
from repro.reporting.results import select

ALL = 50_000  # training images


def r30(runs):
    # Corrupted data are those that Figure 1a draws.
    own = [
        run
        for run in select(runs, **FIGURE_1A)
        if run.settings["permute"] in (None, "entries")
        and run.settings["gaussian_moments"] in (None, "dataset")
    ]
    found = {n: kinds for n, kinds in by_data(own, REACHED).items() if set(ORDER) <= set(kinds)}
    if not found:
        return None
    shown, first, tied = [], False, False
    for n, kinds in found.items():
        taken = {kind: steps(kinds[kind], REACHED) for kind in ORDER}
        fewest = min(ORDER[1:], key=taken.get)
        first, tied = taken["none"] < taken[fewest], taken["none"] == taken[fewest]
        words = "first" if first else f"{'with' if tied else 'after'} {fewest}"
        words += "" if first else f" ({taken[fewest]:,.0f})"
        shown.append(f"{n:,} images: true labels after {taken['none']:,.0f} steps, {words}")
    largest = max(found)  # which the last words are about
    finding = Finding(
        "; ".join(shown),
        INCONCLUSIVE if tied else verdict([first]),  # within the same epoch nobody is first
        [kinds[kind] for kinds in found.values() for kind in ORDER],
        "whole epochs, one network each",
    )
    part = f"at most {largest:,} of 50,000 images" if largest < ALL else ""
    return undecided(finding, part or unfinished([found[largest][kind] for kind in ORDER]))


CLAIMS = (
    Claim(
        "R30",
        "True labels are learnt before all data that is random, from some number of images on.",
        "Figure 1a, at 50,000 images",
        "8 epochs, the next after 13",
        r30,
        "At 50,000 images the loss of true labels is the first at 0.1, counted in steps, and in "
        "the same epoch as another's nothing is decided; the "
        "numbers of images below say where that begins. All runs of Inception on CIFAR-10 with "
        "Figure 1a's settings count, whichever figure asked for them.",
        everywhere=True,
        to_decide="Inception on all 50,000 images with five kinds of data: `randomization/order` "
        "at scale paper.",
    ),
)
