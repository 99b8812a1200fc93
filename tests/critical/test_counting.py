import itertools
import math

import pytest

from repro.critical import counting


def surjections(m, r):
    return sum(len(set(f)) == r for f in itertools.product(range(r), repeat=m))


@pytest.mark.parametrize("m", range(1, 8))
def test_critical_subspaces_by_brute_force(m):
    for r in range(1, min(m, 5) + 1):
        assert counting.critical_subspaces(r, m) == surjections(m, r)


def test_the_slides_numbers():
    assert [counting.critical_subspaces(r, 5) for r in (4, 3, 2)] == [240, 150, 30]
    assert counting.critical_subspaces(5, 7) == 16800
    assert counting.critical_subspaces(4, 3) == 0


@pytest.mark.parametrize("r, m", [(1, 3), (2, 4), (2, 5), (3, 5), (4, 5), (4, 6)])
def test_global_subspaces_by_brute_force(r, m):
    """Partitions of m neurons into r labelled nonempty groups and any number of unlabelled ones."""
    seen = set()
    for assigned in itertools.product(range(m), repeat=m):
        if not set(range(r)) <= set(assigned):
            continue
        labelled = tuple(frozenset(i for i in range(m) if assigned[i] == g) for g in range(r))
        others = {g: frozenset(i for i in range(m) if assigned[i] == g) for g in set(assigned)}
        zero_groups = frozenset(group for g, group in others.items() if g >= r)
        seen.add((labelled, zero_groups))
    assert counting.global_subspaces(r, m) == len(seen)


def test_published_table():
    assert [counting.global_subspaces(4, m) for m in (4, 5, 6, 7)] == [24, 360, 3720, 33600]


def test_reflected_global_minima_by_brute_force():
    """A reflected neuron takes its outgoing weight with a minus; the sum must stay."""
    for outgoing in ((1, -1, 1, -1), (1, 1, 1, 1), (2, -1, -1)):
        patterns = sum(
            sum(s * a for s, a in zip(signs, outgoing)) == sum(outgoing)
            for signs in itertools.product((1, -1), repeat=len(outgoing))
        )
        expected = math.factorial(len(outgoing)) * patterns
        assert counting.reflected_global_minima(outgoing) == expected
    assert counting.reflected_global_minima((1, -1, 1, -1)) == 144
