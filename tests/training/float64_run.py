"""Make a run of a paper in float64: `python float64_run.py DEVICES PAPER [--name=value ...]`.

So many virtual CPUs stand in for GPUs. In float32 rounding flips ReLUs, so that replicas drift away
from one device after some steps; in float64 their losses agree to 1e-12, and so tests can tell a
drift from a mistake.
"""

import sys

import keras
import tensorflow as tf

from repro import launch, papers


def main(devices: str, paper: str, *flags: str) -> None:
    if int(devices) > 1:  # must come before TensorFlow starts
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * int(devices),
        )
    # launch calls this with --precision, which has no float64.
    keras.mixed_precision.set_global_policy = lambda _: keras.config.set_dtype_policy("float64")
    launch.launch(papers.stages(paper), flags)


main(*sys.argv[1:])
