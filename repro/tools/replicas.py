"""What each of several TPU chips would run of a step, all-reduces included, without a TPU.

TensorFlow's own TPUStrategy traces the step, and TensorFlow's kernels for TPUs lower it; both are
in the environment of requirements-tpu.txt alone. As there is no TPU, the strategy is told of one
that does not exist. For that, PRIVATE code of tensorflow-tpu 2.20 is patched here: this is a test
bench, which another version of TensorFlow will break, and no part of how runs are made.
"""

import contextlib
import types
from collections.abc import Callable
from unittest import mock

import numpy as np
import tensorflow as tf

KINDS = ("train", "evaluate", "curve")  # of programs that hand a step to replicas
HOST = "/job:localhost/replica:0/task:0/device:"


def made_up_strategy(replicas: int) -> tf.distribute.TPUStrategy:
    """Return a TPUStrategy of so many chips; its variables live on as many virtual processors.

    Must be called before TensorFlow has computed anything.
    """
    from tensorflow.python.tpu.tpu_system_metadata import TPUSystemMetadata

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * replicas,
    )
    chips = tuple(
        types.SimpleNamespace(name=f"{HOST}TPU:{n}", device_type="TPU") for n in range(replicas)
    )
    metadata = TPUSystemMetadata(
        num_cores=replicas,
        num_hosts=1,
        num_of_cores_per_host=replicas,
        topology=None,
        devices=chips,
    )
    strategy = tf.distribute.TPUStrategy(
        types.SimpleNamespace(
            get_tpu_system_metadata=lambda: metadata,
            cluster_spec=lambda: None,
            task_type=None,
            task_id=None,
        )
    )
    places = np.array([[f"{HOST}CPU:{n}"] for n in range(replicas)], dtype=object)
    strategy.extended._tpu_devices = places
    strategy.extended._host_device = f"{HOST}CPU:0"
    return strategy


def to_hlo(program, strategy) -> bytes:
    """Return what one replica runs of a step of a program, as an HLO module.

    Variables are its arguments, after images and labels, and results too.

    Args:
      program: of `programs.make` and one of KINDS, made in the scope of the strategy for a
        replica's share of a batch.
      strategy: of `made_up_strategy`.

    Raises:
      ValueError: it cannot be compiled.
    """
    function, specs = _handed_to_replicas(program, strategy)

    def run(*arguments):
        return strategy.experimental_local_results(strategy.run(function, args=arguments))[0]

    with _one_replica_traced(strategy.num_replicas_in_sync):
        graph = tf.function(run).get_concrete_function(*specs).graph
    variables = [(outer, inner) for outer, inner in graph.captures if inner.dtype == tf.resource]
    values = [_variable_spec(outer) for outer, _ in variables]

    def plain(*arguments):
        return _computed(graph, arguments[: len(specs)], variables, arguments[len(specs) :])

    lower = tf.function(plain, jit_compile=True, autograph=False)
    lower = lower.experimental_get_compiler_ir(*specs, *values)
    return lower(stage="hlo_serialized", platform_name="TPU")


class _FoundError(Exception):
    """What a program hands to its strategy."""


def _handed_to_replicas(program, strategy) -> tuple[Callable, list[tf.TensorSpec]]:
    """Return the function that a program calls by `strategy.run`, and what its arguments are."""

    def find(function, args=(), kwargs=None):
        raise _FoundError(function, [tf.TensorSpec(a.shape, a.dtype) for a in args])

    with mock.patch.object(strategy, "run", find):
        try:
            program.function.python_function(*(tf.ones(s.shape, s.dtype) for s in program.specs))
        except _FoundError as found:
            return found.args
    raise ValueError(f"the program hands nothing to replicas; choose one of {', '.join(KINDS)}")


@contextlib.contextmanager
def _one_replica_traced(replicas: int):
    """Have TPUStrategy trace the first replica into the graph itself, with plain variables."""
    from tensorflow.python.distribute import tpu_strategy
    from tensorflow.python.tpu import tpu_function
    from tensorflow.python.tpu.tpu_replication import TPUReplicateContext

    def replicate(computation, inputs, **_):
        context = TPUReplicateContext("replica", replicas, tf.no_op())
        context.Enter()
        with tpu_function.tpu_shard_context(replicas):
            outputs = computation(*inputs[0])
        context.Exit()
        return [tf.nest.flatten(outputs)] * replicas

    def plain_handle(self, name, handle_id, variables, is_mirrored=False, is_packed=False):
        first = variables[0]
        return (first._distributed_variables[0] if is_packed else first).handle

    patch = mock.patch.object
    with (
        patch(tpu_strategy.tpu, "replicate", replicate),
        patch(TPUReplicateContext, "get_replicated_var_handle", plain_handle),
        patch(TPUReplicateContext, "AddOp", lambda self, op: None),
        patch(TPUReplicateContext, "AddValue", lambda self, value: value),
    ):
        yield


def _variable_spec(handle) -> tf.TensorSpec:
    from tensorflow.python.ops.resource_variable_ops import get_eager_safe_handle_data

    (data,) = get_eager_safe_handle_data(handle).shape_and_type
    return tf.TensorSpec(tf.TensorShape(data.shape), tf.as_dtype(data.dtype))


def _computed(graph, arguments, variables, values) -> list[tf.Tensor]:
    """Compute a graph's operations anew, in their order, with values in place of its variables.

    Args:
      graph: of a traced function.
      arguments: in place of the function's.
      variables: (outside, inside) handles that it captures.
      values: of these variables before.

    Returns:
      the graph's results, and the values of the variables after it.
    """
    captured = {id(inner): outer for outer, inner in graph.captures}
    inputs = [tensor for tensor in graph.inputs if id(tensor) not in captured]
    tensors = {id(old): new for old, new in zip(inputs, arguments, strict=True)}
    state = {id(inner): value for (_, inner), value in zip(variables, values, strict=True)}
    names = {place: place for place in state}  # handle -> the variable that it is of
    for outer, inner in graph.captures:
        if id(inner) not in state:
            tensors[id(inner)] = tf.constant(outer.numpy())
    update = {"AssignAddVariableOp": tf.add, "AssignSubVariableOp": tf.subtract}
    for op in graph.get_operations():
        if op.type in ("Placeholder", "NoOp"):
            continue
        name = names.get(id(op.inputs[0])) if len(op.inputs) else None
        if name is None:
            new = _copied(op, [tensors[id(tensor)] for tensor in op.inputs])
            tensors.update({id(old): tensor for old, tensor in zip(op.outputs, new)})
        elif op.type == "Identity":
            names[id(op.outputs[0])] = name
        elif op.type == "ReadVariableOp":
            tensors[id(op.outputs[0])] = state[name]
        elif op.type == "AssignVariableOp":
            state[name] = tensors[id(op.inputs[1])]
        elif op.type in update:
            state[name] = update[op.type](state[name], tensors[id(op.inputs[1])])
        else:
            raise NotImplementedError(f"{op.type} of a variable")
    results = [tensors[id(tensor)] for tensor in graph.outputs]
    return [*results, *(state[id(inner)] for _, inner in variables)]


def _copied(op, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
    """Return the outputs of an operation's copy with other inputs."""
    copy = tf.compat.v1.get_default_graph()._create_op_internal(
        op.type,
        inputs,
        [tensor.dtype for tensor in op.outputs],
        attrs={key: v for key, v in op.node_def.attr.items() if not key.startswith("_tpu")},
        name=op.name,
    )
    for old, new in zip(op.outputs, copy.outputs):
        new.set_shape(old.shape)
    return list(copy.outputs)
