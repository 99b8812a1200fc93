"""The tool that proves certificates again."""

import json

import pytest

from repro.teacher_student.verify import verify

TOOL = ("-m", "repro.teacher_student.verify")


@pytest.mark.slow
def test_altered_certificates_are_refused(census, python, tmp_path):
    proofs = json.loads((census[0] / "certificates.json").read_text())
    assert proofs, "the census of this seed certified nothing: choose another seed"
    name = next(iter(proofs))
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(proofs))
    target = proofs[name].get("parent", proofs[name])
    target["point"][0][0] += 1e-9
    bad.write_text(json.dumps(proofs))
    done = python(*TOOL, good)
    assert (done.returncode, done.stdout) == (0, f"{good}: {len(proofs)} certificates hold\n")
    done = python(*TOOL, good, bad)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {name} in {bad} is not valid")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("{}", "holds no certificates"),  # of a census that met no point to certify
        ("[]", "holds no certificates"),
        ("", "cannot read certificates from"),
        ('{"local-00": 3}', "local-00 in .* is no certificate"),
        ('{"local-00": {"kind": "minimum"}}', "local-00 in .* is no certificate"),
        ('{"local-00": {"teacher": "two", "kind": "minimum"}}', "unknown teacher 'two'"),
        ('{"local-00": {"teacher": "ones", "kind": "minimum"}}', "is not valid"),
    ],
)
def test_what_holds_no_certificate(text, message, tmp_path):
    file = tmp_path / "certificates.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        verify(file)
    assert "\n" not in str(error.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match="cannot read certificates from"):
        verify(tmp_path / "nowhere.json")
