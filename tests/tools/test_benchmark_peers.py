"""Rows beside PyTorch; a small program without it answers in its place."""

import json
import re
import sys

import pytest

from repro import models
from repro.tools import benchmark, benchmark_peers

WEIGHTS = 28 * 28 * 3 * 512 + 512 + 512 * 10 + 10  # of mlp_1x512
FAKE = """#!{python}
import json, sys
print(json.dumps({{"torch": "0", "threads": 2}}), flush=True)
for line in sys.stdin:
    print(line, end="", file=open({log!r}, "a"))
    {answer}
    answer = {{"seconds": 1.0, "processor_seconds": {processor}, "parameters": {parameters}}}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def fake(tmp_path):
    """Write a program that takes the place of a Python with torch; return its path."""

    def write(parameters=WEIGHTS, processor=2.0, answer="pass"):
        file, log = tmp_path / "python", str(tmp_path / "requests")
        values = {"parameters": parameters, "processor": processor, "answer": answer}
        file.write_text(FAKE.format(python=sys.executable, log=log, **values))
        file.chmod(0o755)
        return str(file)

    return write


def mlp(python, precision="float32"):
    return benchmark_peers.step_over_torch(True, python, "mlp_1x512", precision)


def test_both_sides_take_turns_of_as_many_steps(fake, tmp_path):
    import keras

    row = mlp(fake(), "bfloat16")
    assert row.name == "peers/mlp_1x512_bfloat16" and row.unit == "ratio" and row.value > 0
    assert row.holds is (row.value >= 1)
    first, *turns = map(json.loads, (tmp_path / "requests").read_text().splitlines())
    assert first == {
        "model": "mlp_1x512",
        "size": 28,
        "precision": "bfloat16",
        "batch": 16,
        "steps": 1,
    }
    assert len(turns) == 2 and turns[0] == turns[1]  # to warm up and to be timed
    assert f"; {turns[0]['steps']} steps of 16; 1,209,866 parameters; 2 threads" in row.detail
    assert keras.config.dtype_policy().name == "float32"  # as before


def test_a_network_with_other_parameters_is_refused(fake):
    with pytest.raises(RuntimeError, match="has 1,209,866 trained parameters, but 1,209,865 in"):
        mlp(fake(WEIGHTS - 1))


def test_no_row_holds_where_pytorch_was_starved(fake, monkeypatch):
    monkeypatch.setattr(benchmark_peers, "_training", lambda *_: (WEIGHTS, lambda steps: None))
    assert mlp(fake()).holds  # the fake is no match for nothing at all
    row = mlp(fake(processor=1.5))
    assert row.value > 1 and not row.holds and row.detail.startswith("unfair on a busy machine")


def test_what_pytorch_says_when_it_ends_is_told(fake):
    with pytest.raises(RuntimeError, match="PyTorch's side ended: out of memory"):
        mlp(fake(answer="sys.exit('out of memory')"))


def test_a_request_to_one_that_has_ended_is_told_too(fake):
    python = fake(answer="sys.exit('out of memory')")
    with (
        pytest.raises(RuntimeError, match="PyTorch's side ended: out of memory"),
        benchmark_peers.started(python) as (_, ask),
    ):
        with pytest.raises(RuntimeError):
            ask({})
        ask({})


@pytest.mark.parametrize(
    "python, said", [("/nowhere/python", "does not start"), ("/bin/false", "has no PyTorch")]
)
def test_a_python_without_pytorch_is_one_line_with_the_way_out(monkeypatch, python, said):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--only=peers", f"--pytorch={python}"])
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    message = ended.value.code
    assert re.match(rf"error: --pytorch={python} {said}", message) and "\n" not in message
    assert "pip install torch" in message


def test_rows_are_there_only_with_a_python_that_has_pytorch(fake, monkeypatch, tmp_path, capsys):
    made = []
    monkeypatch.setattr(
        benchmark_peers, "step_over_torch", lambda fast, **which: made.append(which)
    )
    monkeypatch.setattr(sys, "argv", ["benchmark", "--only=peers"])
    with pytest.raises(SystemExit, match="no row 'peers'"):
        benchmark.main()
    assert "--only=peers --pytorch=DIR/bin/python" in capsys.readouterr().out
    rows = benchmark_peers.rows(fake())
    assert list(rows) == list(benchmark_peers.NAMES) and len(rows) == 8
    assert not set(rows) & set(benchmark.ROWS)
    for row in rows.values():
        row(True)
    assert [f"peers/{a['model']}_{a['precision']}" for a in made] == list(rows)
    assert {a["model"] for a in made} <= set(models.MODELS)
