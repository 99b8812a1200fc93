"""Compile what the suite would have a TPU do with the TPU's own compiler, on a machine without one.

    tools/compile_for_tpu train/mlp_1x512 evaluate/resnet18 --topology=v6e:2x2 --batch_size=32

TensorFlow lowers each program to HLO, and libtpu compiles that for one chip of the topology, in
the environment that `pip install -e .[tpu-compile]` makes. Nothing is executed: what compiles has
operations, shapes and memory that a TPU can have, and may still be slow or wrong there. It is
lowered with TensorFlow's kernels for processors; --replicas=4 has those for TPUs, and all-reduces.
"""

import argparse
import dataclasses
import importlib.metadata
import os
import sys
import time

from repro.launch import one_line_errors

ENVIRONMENT = {  # must be there before libtpu is loaded
    "JAX_PLATFORMS": "cpu",  # JAX must not look for a TPU to compute on
    "TPU_SKIP_MDS_QUERY": "1",  # nor ask a cloud's metadata server
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",  # of this host; what is compiled for is said later
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # else two processes exclude each other
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
}
INSTALL = "libtpu is not there: pip install -e .[tpu-compile] in an environment of its own"
FOR_REPLICAS = "an environment of requirements-tpu.txt and jax==0.10.2, see clouds/tpu.md"


class RefusedError(RuntimeError):
    """The TPU's compiler does not take a program."""


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What libtpu's compiler says of a program on one chip."""

    seconds: float  # of compiling
    temporary_mb: float  # memory beside arguments and results
    gflops: float  # of a call, in which the body of a loop counts once


def installed(package: str) -> bool:
    """Whether a package is installed, by its name in registries."""
    return any(importlib.metadata.distributions(name=package))


def available() -> bool:
    """Whether JAX and libtpu are installed."""
    return installed("jax") and installed("libtpu")


def compile_hlo(hlo: bytes, topology: str = "v5e:2x2", replicas: int = 1) -> Compiled:
    """Compile a module for one chip, or the same one for several.

    Args:
      hlo: serialized HLO module, of lowering or replicas.
      topology: name and arrangement of chips, such as v5e:2x2 or v6e:2x2.
      replicas: chips that run it, at most as many as the topology has.

    Raises:
      ImportError: the packages of the extra `tpu-compile` are not installed.
      RefusedError: it does not compile; the message is libtpu's.
    """
    os.environ.update(ENVIRONMENT)
    import jax
    import numpy as np
    from jax._src import compiler  # no public function compiles what JAX has not traced
    from jax._src.interpreters import mlir
    from jax._src.lib import _jax, xla_client
    from jax.experimental import topologies
    from jaxlib.mlir import ir

    topology = topologies.get_topology_desc(platform="tpu", topology_name=topology)
    chips = tuple(topology.devices[:replicas])
    options = compiler.get_compile_options(
        num_replicas=replicas,
        num_partitions=1,
        device_assignment=np.array([chip.id for chip in chips]),
    )
    options.executable_build_options.use_spmd_partitioning = False  # replicas, no partitions
    begin = time.perf_counter()
    with mlir.make_ir_context():
        module = ir.Module.parse(_jax.mlir.hlo_to_stablehlo(_without_copies(hlo)))
        try:
            done = chips[0].client.compile(module, xla_client.DeviceList(chips), options)
        except jax.errors.JaxRuntimeError as error:
            raise RefusedError(str(error)) from error
    seconds = time.perf_counter() - begin
    memory, cost = done.get_compiled_memory_stats(), done.cost_analysis()
    return Compiled(round(seconds, 1), memory.temp_size_in_bytes / 1e6, cost.get("flops", 0) / 1e9)


def _without_copies(hlo: bytes) -> bytes:
    """Return the module with reshapes for copies.

    TensorFlow puts copies on results, for which StableHLO has no word; a reshape to the same shape
    says the same.
    """
    from tensorflow.compiler.xla.service import hlo_pb2

    module = hlo_pb2.HloModuleProto.FromString(hlo)
    for computation in module.computations:
        for instruction in computation.instructions:
            if instruction.opcode == "copy":
                instruction.opcode = "reshape"
    return module.SerializeToString()


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tools/compile_for_tpu", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("programs", nargs="*", help="such as train/resnet18; none: print all names")
    add("--topology", default="v5e:2x2", help="chips, such as v5e:2x2 or v6e:2x2")
    add("--batch_size", type=int, default=128, help="images, or students, of a chip's step")
    add("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    add(
        "--replicas", type=int, default=1, help="chips that share a step; needs TensorFlow for TPUs"
    )
    arguments = parser.parse_args()
    os.environ.update(ENVIRONMENT)  # TensorFlow for TPUs loads libtpu at once

    from repro.devices import import_tensorflow

    import_tensorflow()
    import keras

    strategy = None
    if arguments.replicas > 1:
        if not installed("tensorflow-tpu"):
            sys.exit(f"error: --replicas needs {FOR_REPLICAS}")
        from repro.tools import replicas

        if any(name.split("/")[0] not in replicas.KINDS for name in arguments.programs):
            sys.exit(f"error: --replicas is for programs of {', '.join(replicas.KINDS)}")
        strategy = replicas.made_up_strategy(arguments.replicas)

    from repro.tools import programs

    if not arguments.programs:
        print("\n".join(programs.NAMES))
        return
    unknown = set(arguments.programs) - set(programs.NAMES)
    if unknown:
        sys.exit(f"error: no program {min(unknown)!r}; without one all names are printed")
    if not available():
        sys.exit(f"error: {INSTALL}")
    keras.config.set_dtype_policy(arguments.precision)
    print(f"{'program':32} {'lowered':>8} {'compiled':>9} {'temporary':>11} {'GFLOPs':>9}")
    taken = [
        line(name, arguments.batch_size, arguments.topology, strategy)
        for name in arguments.programs
    ]
    sys.exit(not all(taken))


def line(name: str, batch: int, topology: str, strategy=None) -> bool:
    """Compile a program, print its line of the table, and return whether libtpu takes it."""
    from repro.tools import lowering, programs, replicas

    begin = time.perf_counter()
    try:
        if strategy is None:
            program = programs.make(name, batch)
            hlo, count = lowering.to_hlo(program.function, program.specs), 1
        else:
            with strategy.scope():
                program = programs.make(name, batch)
            hlo, count = replicas.to_hlo(program, strategy), strategy.num_replicas_in_sync
        lowered = time.perf_counter() - begin
        found = compile_hlo(hlo, topology, count)
    except (RefusedError, ValueError) as error:
        print(f"{name:32} refused: {' '.join(str(error).split())[:300]}", flush=True)
        return False
    print(
        f"{name:32} {lowered:6.1f} s {found.seconds:7.1f} s {found.temporary_mb:8.1f} MB "
        f"{found.gflops:9.3f}",
        flush=True,
    )
    return True


if __name__ == "__main__":
    main()
