"""Prove the certificates in files again, in ball arithmetic, from their numbers alone.

    python -m repro.teacher_student.verify outputs/teacher_student/RUN/certificates.json

A census whose students met no point that can be certified leaves a file without certificates; to
check that one says nothing, so it is an error here.
"""

import argparse
import json
from pathlib import Path

from repro import files
from repro.critical import certificates
from repro.teacher_student import teacher
from repro.teacher_student.problems import exact
from repro.training import checksums


def verify(file: Path) -> int:
    """Prove all certificates in a file again and return their number.

    Raises:
      ValueError: the file is missing or no JSON, is not what the run beside it wrote, holds no
        certificate, or one does not prove its claim.
    """
    try:
        read = files.read(Path(file))
        content = json.loads(read)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"cannot read certificates from {file}: {error}") from error
    if not checksums.Checksums(Path(file).parent).fits(Path(file).name, read):
        raise ValueError(f"{file} {checksums.FAULT}")
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{file} holds no certificates")
    named = {"the certificate": content} if "kind" in content else content
    given = {name: exact(teacher.get(name)) for name in _teachers(named, file)}
    for name, certificate in named.items():
        try:
            certificates.verify(certificate, given[str(certificate["teacher"])])
        except certificates.InvalidCertificate as error:
            raise ValueError(f"{name} in {file} is not valid: {error}") from error
    return len(named)


def _teachers(named: dict, file: Path) -> set[str]:
    """Return the names of the teachers that certificates are about."""
    for name, certificate in named.items():
        if not isinstance(certificate, dict) or "teacher" not in certificate:
            raise ValueError(f"{name} in {file} is no certificate")
    return {str(certificate["teacher"]) for certificate in named.values()}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m repro.teacher_student.verify", description=__doc__.split("\n")[0]
    )
    parser.add_argument("files", nargs="+", type=Path, help="certificates.json of a run")
    files = parser.parse_args().files

    from repro.launch import one_line_errors

    with one_line_errors():
        for file in files:
            print(f"{file}: {verify(file)} certificates hold")


if __name__ == "__main__":
    main()
