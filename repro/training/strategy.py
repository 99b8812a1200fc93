"""Where a run computes: one device, all GPUs of a machine, several machines, a TPU."""

import functools
import os

import tensorflow as tf

STRATEGIES = ("default", "mirrored", "multi_worker", "tpu")


@functools.cache
def get_strategy(name: str) -> tf.distribute.Strategy:
    """Return the strategy of this process, the same object at every call.

    Two MirroredStrategy objects in one process break synchronised batch norm for good, hence the
    cache. `multi_worker` reads TF_CONFIG and must be called before any other TensorFlow operation.
    `tpu` is the one of the machine, `local`, or the one that TPU_NAME names; it needs the
    environment of requirements-tpu.txt, and has never been executed on a TPU.

    Raises:
      ValueError: unknown name.
      RuntimeError: the devices are not there.
    """
    if name == "default":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU")
        if not devices:
            devices = tf.config.list_logical_devices("CPU")
            if len(devices) < 2:  # several virtual CPUs stand in for GPUs in tests
                raise RuntimeError("--strategy=mirrored found no GPU; use --strategy=default")
        return tf.distribute.MirroredStrategy([d.name for d in devices])
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        try:
            name = os.environ.get("TPU_NAME", "local")
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
        except (ValueError, tf.errors.OpError) as error:
            raise RuntimeError(f"--strategy=tpu found no TPU: {error}".split("\n")[0]) from error
        return tf.distribute.TPUStrategy(resolver)
    raise ValueError(f"unknown strategy {name!r}; choose from {', '.join(STRATEGIES)}")


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes."""
    resolver = strategy.cluster_resolver
    if resolver is None or not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return True
    return resolver.task_type in (None, "chief") or (
        resolver.task_type == "worker"
        and resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().as_dict()
    )
