"""Can a function be compiled for a device that is not there? For TPUs, GPUs and CPUs.

`to_hlo` lowers a function of TensorFlow to HLO, the language that XLA compiles; it has fixed
shapes, and neither Python nor files. `without_kernel` asks which operations a kind of device knows
none of. Both need TensorFlow's wheel alone.
"""

import functools
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

# No public function says which kernels there are.
from tensorflow.python.framework.kernels import get_registered_kernels_for_op


def to_hlo(function, specs: Sequence[tf.TensorSpec], platform: str = "CPU") -> bytes:
    """Return a function as a serialized HLO module, before any optimisation.

    Variables are arguments of the module, and those that are assigned to are results.

    Args:
      function: a `tf.function(..., jit_compile=True)` of tensors. For a GPU that is not there it
        must have no variables, which TensorFlow looks for on the device.
      specs: shapes and types of its arguments.
      platform: whose kernels are used, CPU or GPU.

    Raises:
      ValueError: an argument without a fixed shape, or something that cannot be compiled; the
        message names the operation.
    """
    lower = function.experimental_get_compiler_ir(*specs)
    return lower(stage="hlo_serialized", platform_name=platform)


def dynamic_shapes(hlo: bytes) -> list[str]:
    """Return the instructions of a module whose shapes are known only when they run."""
    return [
        instruction.name
        for computation in hlo_pb2.HloModuleProto.FromString(hlo).computations
        for instruction in computation.instructions
        if _is_dynamic(instruction.shape)
    ]


def without_kernel(function, specs: Sequence[tf.TensorSpec], device: str) -> set[str]:
    """Return the operations of a function for which a kind of device has no kernel.

    Args:
      function, specs: as for `to_hlo`, and variables do no harm.
      device: GPU, without XLA, or XLA_GPU_JIT, what XLA compiles for one.
    """
    _make_xla_known()
    graph = function.get_concrete_function(*specs).graph.as_graph_def()
    known = {"Placeholder", *(part.signature.name for part in graph.library.function)}
    nodes = [*graph.node, *(node for part in graph.library.function for node in part.node_def)]
    return {
        node.op
        for node in nodes
        if node.op not in known
        and not any(_suits(k, node, device) for k in get_registered_kernels_for_op(node.op).kernel)
    }


@functools.cache
def _make_xla_known() -> None:
    """Let TensorFlow list XLA's kernels, which it does from the first use on."""
    tf.function(tf.identity, jit_compile=True)(tf.constant(0.0))


def _is_dynamic(shape) -> bool:
    return any(shape.is_dynamic_dimension) or any(map(_is_dynamic, shape.tuple_shapes))


def _suits(kernel, node, device: str) -> bool:
    """Whether a kernel is one of the device, or of any device without XLA, for the node's types."""
    if kernel.device_type != device and (kernel.device_type, device) != ("DEFAULT", "GPU"):
        return False
    return all(
        set(node.attr[c.name].list.type or [node.attr[c.name].type])
        <= set(c.allowed_values.list.type)
        for c in kernel.constraint
    )
