"""Download a dataset, prepare it for reading, and check it by reading it.

    tools/prepare_data cifar10 [--data_dir=DIR]
    tools/prepare_data imagenet2012 --manual_dir=FOLDER_WITH_THE_TWO_TARS
    tools/prepare_data restricted_imagenet --manual_dir=FOLDER_WITH_THE_TWO_TARS
    tools/prepare_data cinic10 --manual_dir=UNPACKED_CINIC_10
    tools/prepare_data --list

Runs do this by themselves where they may download; this is for machines that may not later, and for
looking at what is there. The work is tensorflow-datasets': --data_dir defaults to its own place.
"""

import argparse
import errno
import logging
import os
import socket
import sys
import textwrap
import urllib.parse
import urllib.request

from repro.data import datasets
from repro.data.datasets import DATASETS
from repro.launch import one_line_errors

PREPARED = [name for name in DATASETS if name != "digits"]


def prepare(name: str, data_dir: str | None, manual_dir: str | None) -> str:
    """Download and prepare a dataset; return where it is.

    Args:
      name: of PREPARED.
      data_dir: where tensorflow-datasets keeps prepared data; None: its own default.
      manual_dir: where files are that have to be fetched by hand, as ImageNet's.

    Raises:
      MissingDataError: it could not be had; the message says what to do.
    """
    import tensorflow_datasets as tfds

    from repro.data import builders  # noqa: F401 (registers what tfds has not)

    place = data_dir or tfds.core.constants.DATA_DIR
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        _look_for_network(builder)
        settings = tfds.download.DownloadConfig(manual_dir=manual_dir)
        builder.download_and_prepare(download_config=settings)
    except Exception as error:  # network, disk and missing files come as many kinds
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            what = f"the disk of {place} is full: free some space or choose another --data_dir"
        elif isinstance(error, AssertionError) and "manual" in str(error).lower():
            what = (
                "its files have to be fetched by hand: put them into a folder and name it with "
                "--manual_dir"
            )
        else:
            what = (
                "check the network and run this again, or copy a directory prepared elsewhere to "
                f"{os.path.join(str(place), name)}; --dataset=digits needs no data"
            )
        reason = textwrap.shorten(" ".join(str(error).split()), 400, placeholder=" ...")
        raise datasets.MissingDataError(
            f"{name} could not be prepared in {place} ({type(error).__name__}: {reason}). {what}"
        ) from error
    return str(builder.data_dir)


def _look_for_network(builder) -> None:
    """Raise ConnectionError at once where tensorflow-datasets would try again for minutes."""
    downloaded = os.path.isdir(os.path.join(str(builder.data_dir_root), "downloads"))
    by_hand = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    if builder.is_prepared() or downloaded or by_hand or urllib.request.getproxies():
        return
    for host in sorted({urllib.parse.urlparse(url).hostname for url in builder.url_infos} - {None}):
        try:
            socket.getaddrinfo(host, 443)
        except OSError as error:
            raise ConnectionError(f"the network has no {host}: {error.strerror}") from error


def check(name: str, data_dir: str | None) -> str:
    """Read a prepared dataset as runs do and return its sizes, in words.

    Raises:
      MissingDataError: it cannot be read.
    """
    if name == "imagenet2012":  # too large to be read whole
        from repro.data import imagenet

        splits = imagenet.open_builder(data_dir).info.splits
        return ", ".join(f"{split}: {splits[split].num_examples:,} images" for split in splits)
    parts = zip(("train", "test"), datasets.load(name, data_dir, download=False))
    return ", ".join(
        f"{split}: {len(part):,} images {'x'.join(map(str, part.images.shape[1:]))} in "
        f"{len(set(part.labels.tolist()))} classes"
        for split, part in parts
    )


def listing(data_dir: str | None) -> str:
    """Return a line for each dataset: name, classes, and whether it is prepared."""
    import tensorflow_datasets as tfds

    from repro.data import builders  # noqa: F401 (registers what tfds has not)

    place = data_dir or tfds.core.constants.DATA_DIR
    lines = [f"{'dataset':19} {'classes':>7}  in {place}"]
    for name, classes in DATASETS.items():
        if name == "digits":
            state = "embedded, needs no preparation"
        else:
            prepared = tfds.builder(name, data_dir=data_dir).is_prepared()
            state = "prepared" if prepared else "not prepared"
        lines.append(f"{name:19} {classes:7}  {state}")
    return "\n".join(lines)


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/prepare_data", description=__doc__.split("\n")[0])
    parser.add_argument("name", nargs="?", help=", ".join(PREPARED))
    parser.add_argument("--data_dir", help="where tensorflow-datasets keeps prepared data")
    parser.add_argument("--manual_dir", help="where files are that were fetched by hand")
    parser.add_argument("--list", action="store_true", help="say what there is, and what is ready")
    arguments = parser.parse_args()
    name, data_dir = arguments.name, arguments.data_dir
    if not arguments.list and name not in PREPARED:
        embedded = "digits is embedded and needs no preparation" if name == "digits" else None
        problem = "name a dataset" if name is None else embedded or f"unknown dataset {name!r}"
        sys.exit(f"error: {problem}; choose from {', '.join(PREPARED)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("absl").setLevel(logging.ERROR)
    if arguments.list:
        print(listing(data_dir))
        return
    try:
        place = prepare(name, data_dir, arguments.manual_dir)
        print(f"{name} is ready in {place}: {check(name, data_dir)}")
    except (ValueError, datasets.MissingDataError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
