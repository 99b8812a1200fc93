"""What several devices, or two workers, must have in common with one."""

import json

import numpy as np
import pytest

LOSSES = ("loss", "nll")
ELSEWHERE = ("settings", "seconds", "directory")  # of a result: no numbers of what was computed
ROUNDING = 1e-12  # of what may be 0, such as residuals, gradients and lowest eigenvalues


@pytest.fixture(scope="session")
def numbers_of(metrics_of):
    """Return by name what a run found, and what the runs found that it needed.

    numbers_of(run_dir) -> values of metrics.jsonl, arrays.npz and result.json. The others lie
    beside the run; the digits in their names, which tell strategies apart, are left out.
    """

    def numbers(run_dir):
        found = {}
        for path in run_dir.parent.iterdir():
            result = json.loads((path / "result.json").read_text())
            held = dict(enumerate(metrics_of(path))) | {"result": result}
            if (path / "arrays.npz").exists():
                with np.load(path / "arrays.npz") as arrays:
                    held |= arrays
            name = path.name.rsplit("-", 1)[0]
            assert name not in found, f"two runs are {name}: their numbers would be mixed up"
            found[name] = held
        return dict(_leaves(found))

    return numbers


@pytest.fixture(scope="session")
def assert_near():
    """Assert that two runs found the same numbers: losses to a relative 1e-12, without exception.

    So must be all others that are not near 0, where rounding has no scale: 1e-12 absolute, and
    1e-11 for a margin, a difference of two logits of one example, which no mean smooths.
    """

    def check(found, expected):
        assert set(found) == set(expected)
        for name, value in expected.items():
            if np.asarray(value).dtype.kind != "f":
                np.testing.assert_array_equal(found[name], value, err_msg=name)
                continue
            near = 0 if name.endswith(LOSSES) else ROUNDING
            near = 1e-11 if "/margins/" in name else near
            np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=near, err_msg=name)
        losses = [value for name, value in expected.items() if name.endswith(LOSSES)]
        assert losses and all(np.isfinite(value).all() for value in losses)

    return check


def _leaves(tree, place=""):
    """Yield the values of nested dicts and lists, by the way to them."""
    if isinstance(tree, list):
        tree = dict(enumerate(tree))
    if not isinstance(tree, dict):
        yield place, tree
        return
    for name, part in tree.items():
        if name not in ELSEWHERE:
            yield from _leaves(part, f"{place}/{name}")
