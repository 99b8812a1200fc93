"""Where a run computes: one device, all GPUs of a machine, several machines, a TPU."""

import concurrent.futures
import functools
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from repro.training import slurm

STRATEGIES = ("default", "mirrored", "multi_worker", "tpu")
CHECK_EVERY_ON_TPU = 100  # steps


@functools.cache
def get_strategy(name: str) -> tf.distribute.Strategy:
    """Return the strategy of this process, the same object at every call.

    Two MirroredStrategy objects in one process break synchronised batch norm for good, hence the
    cache. `multi_worker` reads TF_CONFIG, or what srun says where there is none, and must be called
    before any other TensorFlow operation. `tpu` is the one of the machine, `local`, or the one that
    TPU_NAME names; it needs the environment of requirements-tpu.txt, and has never been executed on
    a TPU.

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
        if "TF_CONFIG" not in os.environ and (config := slurm.tf_config(os.environ)) is not None:
            os.environ["TF_CONFIG"] = config
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


def steps_between_checks(strategy: tf.distribute.Strategy) -> int:
    """Return after how many steps losses are looked at: a TPU would wait at every look."""
    return CHECK_EVERY_ON_TPU if isinstance(strategy, tf.distribute.TPUStrategy) else 1


def sum_over_shares(
    strategy: tf.distribute.Strategy, of_share: Callable, rows: tf.Tensor, *others
) -> list[tf.Tensor]:
    """Share a batch out among replicas and add up what each of them computes.

    Shares are equal, one after the other. Where replicas cannot divide the batch, its first row
    fills up the last shares, with the weight 0: no replica is ever without an example. The weights
    are such that means of weighted losses over shares, and their gradients, add up to those of the
    plain mean over the batch; of a single replica all weights are 1.

    Args:
      strategy: whose replicas; called within a tf.function, outside of `strategy.run`.
      of_share: (rows [c], weights [c], *others) -> tensors of one replica, where
        c = ceil(b / replicas) and weights, float64, are c / b or 0.
      rows: int [b], numbers of a batch's examples.
      others: tensors, or values of each replica, that go to `of_share` as they are.
    """

    def of_replica(rows, *others):
        context, size = tf.distribute.get_replica_context(), tf.size(rows)
        share = -(-size // context.num_replicas_in_sync)
        begin = tf.cast(context.replica_id_in_sync_group, tf.int32) * share
        places = begin + tf.range(share)
        weights = tf.where(places < size, share / size, 0)
        return of_share(tf.gather(rows, tf.where(places < size, places, 0)), weights, *others)

    parts = strategy.run(of_replica, args=(rows, *others))
    return [strategy.reduce("sum", part, axis=None) for part in parts]


def over_rows(
    strategy: tf.distribute.Strategy, function: Callable, *arrays: np.ndarray, unit: int = 1
) -> list[np.ndarray]:
    """Call a function of independent rows on a share of them in every replica; join the results.

    Args:
      strategy: whose replicas, each with a thread and its device, share the rows.
      function: (*shares) -> arrays with as many rows; a replica without rows calls it with one.
      arrays: [n, ...] each.
      unit: shares are multiples of so many rows, but for the last.

    Returns:
      the arrays of all n rows, in every worker.
    """
    replicas, count = strategy.num_replicas_in_sync, len(arrays[0])
    if replicas == 1:
        return list(function(*arrays))
    size = -(-count // (unit * replicas)) * unit
    numbers = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(context.replica_id_in_sync_group)
    )
    here = [int(number) for number in strategy.experimental_local_results(numbers)]

    def of_replica(number: int, device: str) -> list[np.ndarray]:
        """Return all rows, those of other replicas zero."""
        rows = slice(number * size, (number + 1) * size)
        with tf.device(device):
            # Without rows of its own a replica learns from one row what shapes there are.
            own = len(arrays[0][rows])
            found = function(*(array[rows] if own else array[:1] for array in arrays))
        whole = [np.zeros((count, *part.shape[1:]), part.dtype) for part in found]
        for part, filled in zip(found, whole):
            filled[rows] = part[:own]
        return whole

    with concurrent.futures.ThreadPoolExecutor(len(here)) as pool:
        found = dict(zip(here, pool.map(of_replica, here, strategy.extended.worker_devices)))
    results = strategy.experimental_distribute_values_from_function(
        lambda context: tuple(map(tf.constant, found[context.replica_id_in_sync_group]))
    )
    return [strategy.reduce("sum", part, axis=None).numpy() for part in results]


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
