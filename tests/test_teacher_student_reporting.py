"""Claims and figures on made-up runs whose answers are known."""

import json

import numpy as np
import pytest

from repro.reporting import results, stoican, stoican_claims

CLAIMS = {claim.id: claim for claim in stoican_claims.CLAIMS}


@pytest.fixture
def make(tmp_path):
    """Write a complete run with these settings, result and arrays, and load it."""

    def run(name, settings, result, **arrays):
        path = tmp_path / name
        path.mkdir()
        np.savez(path / "arrays.npz", **arrays)
        result = {"settings": settings, "protocol": name} | result
        (path / "result.json").write_text(json.dumps(result))
        return results.load(path)

    return run


def seed_run(make, negative, wilson, ftol, flipped):
    settings = {"protocol": "seed", "width": 5, "teacher": "alternating", "adam_steps": 100_000,
                "slsqp_ftol": ftol}  # fmt: skip
    shares = {"count": flipped, "of": 10, "wilson": [0, 1]}
    result = {"negative": {"count": negative, "of": 1000, "wilson": wilson},
              "slsqp_positive": shares, "perturbed_positive": shares}  # fmt: skip
    return make(f"seed-{ftol}-{negative}", settings, result, lambda_min=np.array([-2e-6, 1e-7]))


def test_seed_claims(make):
    near = seed_run(make, 350, [0.32, 0.38], 1e-6, 0)
    far = seed_run(make, 500, [0.47, 0.53], 1e-30, 10)
    assert CLAIMS["C3"].judge([near]).verdict == "reproduced"
    assert CLAIMS["C3"].judge([far]).verdict == "contradicted"
    assert CLAIMS["C3"].judge([near, far]).verdict == "inconclusive"
    assert CLAIMS["C4"].judge([near]).verdict == "reproduced"
    # only scipy's default tolerance is judged; the other is shown beside it
    flips = CLAIMS["C5"].judge([near, far])
    assert flips.verdict == "reproduced" and "ftol 1e-30: 10 of 10" in flips.measured
    assert CLAIMS["C6"].judge([near, far]).verdict == "contradicted"
    assert CLAIMS["C5"].judge([far]) is None


def test_channel_exponents_of_an_exact_law(make):
    gap = np.array([4e-3, 2e-3, 1e-3, 5e-4])
    nan = np.full(4, np.nan)
    run = make(
        "census", {"protocol": "census"}, {},
        channel_gap=np.stack([gap, nan, gap * [1, 1, 2, 1]]),
        channel_loss=np.stack([1e-4 + gap**2, nan, 1e-4 + gap**2]),
        channel_lambda_max=np.stack([gap**-2, nan, gap**-2]),
    )  # fmt: skip
    ((_, above, _),) = stoican.channel_jumps(run)
    np.testing.assert_allclose(above, gap**2, rtol=1e-6)  # 1e-16 of 1e-4 over 2.5e-7
    finding = CLAIMS["C18"].judge([run])
    assert finding.verdict == "reproduced"
    assert finding.measured == "median exponents 2.00 and -2.00 over 1 channels"


def test_losses_gap(make):
    def census(name, loss):
        settings = {"protocol": "census", "width": 5, "teacher": "alternating"}
        return make(name, settings, {}, loss=np.array(loss), gradient_norm=np.zeros(len(loss)))

    two = CLAIMS["C8"].judge([census("two", [1e-30, 1e-28, 5e-5, 1e-4])])
    assert two.verdict == "contradicted" and "5.0e-05" in two.measured
    spread = census("spread", [1e-12, 1e-9, 1e-6, 1e-4])
    assert CLAIMS["C8"].judge([spread]).verdict == "inconclusive"


def test_embedded_inertia(make):
    nodes = [
        {"id": "a", "inertia": [0, 0, 9]},
        {"id": "b", "parent": "a", "inertia": [2, 1, 9]},
        {"id": "c", "parent": "a", "inertia": [0, 1, 11]},
    ]
    run = make("graph", {"protocol": "graph"}, {"nodes": nodes})
    assert CLAIMS["C17"].judge([run]).measured == "2 of 2 embedded points"
    nodes[2]["inertia"] = [3, 1, 8]
    broken = make("broken", {"protocol": "graph"}, {"nodes": nodes})
    assert CLAIMS["C17"].judge([broken]).verdict == "inconclusive"


def test_without_runs_nothing_is_judged():
    assert all(claim.judge([]) is None for claim in CLAIMS.values())
    assert list(CLAIMS) == [f"C{i}" for i in range(1, 19)]
