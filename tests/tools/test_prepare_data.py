"""Preparing datasets: what is there, and what goes wrong."""

import errno
import os
import socket

import pytest
import tensorflow_datasets as tfds

from repro.data.datasets import MissingDataError
from repro.tools import prepare_data


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["nothing"], "unknown dataset 'nothing'"),
        ([], "name a dataset"),
        (["digits"], "digits is embedded and needs no preparation"),
    ],
    ids=str,
)
def test_a_wrong_name_lists_the_choices(python, arguments, problem):
    done = python("-m", "repro.tools.prepare_data", *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {problem}; choose from cifar10, ")


@pytest.fixture
def no_network(monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr("urllib.request.getproxies", dict)


def test_without_network_one_line_says_what_to_do(tmp_path, no_network):
    with pytest.raises(MissingDataError) as caught:
        prepare_data.prepare("mnist", str(tmp_path), None)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("mnist", str(tmp_path), "check the network", "--dataset=digits"):
        assert part in message


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tfds, "builder", fail)
    with pytest.raises(MissingDataError, match=r"the disk of .* is full"):
        prepare_data.prepare("mnist", str(tmp_path), None)


def test_imagenet_asks_for_its_files(tmp_path, no_network):
    with pytest.raises(MissingDataError, match="--manual_dir"):
        prepare_data.prepare("imagenet2012", str(tmp_path), None)


def test_the_list_says_what_is_there(tmp_path):
    lines = prepare_data.listing(str(tmp_path)).splitlines()
    assert any(line.split()[:2] == ["digits", "10"] and "embedded" in line for line in lines)
    assert any(line.split() == ["cifar100", "100", "not", "prepared"] for line in lines)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif("REPRO_DATA_DIR" not in os.environ, reason="REPRO_DATA_DIR is not set")
def test_a_prepared_dataset_is_read_and_measured(no_network):
    place = os.environ["REPRO_DATA_DIR"]
    assert prepare_data.prepare("cifar10", place, None).startswith(place)
    sizes = prepare_data.check("cifar10", place)
    assert sizes.startswith("train: 50,000 images 32x32x3 in 10 classes, test: ")
