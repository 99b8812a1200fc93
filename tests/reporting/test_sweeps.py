"""What sweeps found, as the ledger, the papers' pages and the report show it."""

import pytest

from repro.reporting import blocks, ledger, sweeps


def swept(**changes):
    """A sweep of two flags: 4 trials of 30 epochs, and a short one that does not count."""
    values = [(64, "a"), (64, "b"), (32, "a"), (32, "b")]
    trials = [
        {"values": {"batch_size": size, "kind": kind}, "epochs": 30, "objective": objective}
        for (size, kind), objective in zip(values, (0.5, 0.625, 0.25, 0.75))
    ]
    short = {"values": {"batch_size": 64, "kind": "a"}, "epochs": 3, "objective": 0.9}
    return {
        "says": "the batch",
        "values": {"batch_size": 32, "kind": "b"},
        "objective": 0.75,
        "judged_by": "accuracy",
        "applies_to": {"model": "net"},
        "trials": [*trials, short],
        **changes,
    }


def test_each_value_has_the_best_objective_that_was_found_with_it():
    (found,) = sweeps.records("zoo", {"unsaid-net": swept()})
    assert found["flags"] == [
        {"name": "batch_size", "tried": "32: 0.750, 64: 0.625", "chosen": "32"},
        {"name": "kind", "tried": "a: 0.500, b: 0.750", "chosen": "b"},
    ]
    assert found["trials"] == 5 and found["used"] == "Used by runs with model=net."


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"unsaid-net": swept()}, "| unsaid-net: the batch | batch_size | 32: 0.750, 64: 0.625 |"),
        ({"unsaid-net": swept(applies_to=None)}, "No run uses it unless its flags say so"),
        ({}, "No sweep was run yet."),
    ],
)
def test_the_block_of_a_page(tmp_path, there, words):
    collected = ledger.collect(
        [ledger.Paper("zoo", "Zoo", {})], [], [], [], sweeps.records("zoo", there)
    )
    assert words in blocks.block("sweeps of zoo", collected, tmp_path)
