"""What the suite has a device do can be compiled whole for one, on a machine that has none.

Lowering to HLO needs TensorFlow's wheel alone. It finds Python in the midst of a step, operations
that XLA does not know, and shapes that are not known beforehand. What libtpu's compiler says needs
the extra `tpu-compile`. Nothing is executed.
"""

import sys

import pytest
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from repro import models
from repro.tools import compile_for_tpu as tpu
from repro.tools import lowering, programs

BATCH = 8
LIGHT = (
    "train/mlp_1x512",
    "train/mlp_3x512",
    "train/fnn",
    "sam/mlp_1x512",
    "evaluate/mlp_1x512",
    "evaluate/mlp_3x512",
    "evaluate/fnn",
    "curve/mlp_1x512",
    "hessian/mlp_1x512",
    "gauss_newton/mlp_1x512",
    "gd/fnn",
    "sgd/fnn",
    "students/float32",
)
CONVOLUTIONS = sorted(set(models.MODELS) - {"mlp_1x512", "mlp_3x512", "fnn", "fnn_tenth"})
HEAVY = [f"{kind}/{name}" for name in CONVOLUTIONS for kind in ("train", "evaluate")]
HEAVY += [f"{kind}/vgg16_quarter_bn" for kind in ("sam", "curve", "hessian", "gauss_newton")]
HEAVY += ["gd/vgg_small", "sgd/vgg_small"]

with_libtpu = pytest.mark.skipif(
    not tpu.available(), reason="needs libtpu's compiler: pip install -e .[tpu-compile]"
)


def heavy(names):
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


def spec(*shape, dtype=tf.float32):
    return tf.TensorSpec(shape, dtype)


def without_kernels(program):
    """What a GPU lacks to run a program, without XLA and with it."""
    devices = ("GPU", "XLA_GPU_JIT")
    return set().union(
        *(lowering.without_kernel(program.function, program.specs, device) for device in devices)
    )


def lowered(program, **platform):
    return lowering.to_hlo(program.function, program.specs, **platform)


# --- lowering -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*LIGHT, *heavy(["students/float64", *HEAVY])])
def test_programs_lower_with_fixed_shapes(name):
    """And a GPU has all their kernels, too."""
    program = programs.make(name, BATCH)
    assert lowering.dynamic_shapes(lowered(program)) == []
    assert without_kernels(program) == set()


@pytest.mark.parametrize("name", ["hessian/mlp_1x512", "gauss_newton/fnn", "students/float32"])
def test_programs_without_variables_lower_for_a_gpu(name):
    """Those that have some, TensorFlow lowers for a GPU only where one is."""
    assert lowering.dynamic_shapes(lowered(programs.make(name, BATCH), platform="GPU")) == []


@pytest.mark.parametrize("options", [{"look": False}, {"xla": True}])
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_all_kinds_of_training_steps_lower(policy, options, precision):
    policy(precision)
    program = programs.train("mlp_1x512", BATCH, **options)
    assert lowering.dynamic_shapes(lowered(program)) == []
    assert without_kernels(program) == set()


def test_weights_are_arguments_and_updated_weights_are_results():
    """Else a compiler would take them for constants, and what it says of memory would be wrong."""
    program = programs.train("mlp_1x512", BATCH)
    entry = hlo_pb2.HloModuleProto.FromString(lowered(program)).host_program_shape
    arguments = [tuple(shape.dimensions) for shape in entry.parameters]
    results = [tuple(shape.dimensions) for shape in entry.result.tuple_shapes]
    shapes = [(3072, 512), (512,), (512, 10), (10,)]
    assert arguments == [(BATCH, 32, 32, 3), (BATCH,), (), *arguments[3:]]
    for shape in shapes:  # the weights and their velocities
        assert arguments.count(shape) == 2 == results.count(shape)


def compiled(function):
    return tf.function(function, jit_compile=True)


def test_python_within_a_step_is_refused():
    function = compiled(lambda x: tf.py_function(lambda y: y, [x], tf.float32))
    with pytest.raises(ValueError, match="EagerPyFunc"):
        lowering.to_hlo(function, [spec(3)])
    assert "EagerPyFunc" in lowering.without_kernel(function, [spec(3)], "XLA_GPU_JIT")


def test_shapes_that_depend_on_values_are_found():
    assert lowering.dynamic_shapes(lowering.to_hlo(compiled(positive), [spec(7)]))
    with pytest.raises(ValueError, match="static input shape"):
        lowering.to_hlo(compiled(positive), [spec(None)])


def positive(x):
    return 2 * tf.boolean_mask(x, x > 0)


def test_kernels_of_another_type_do_not_count():
    """XLA convolves floating-point numbers on GPUs, and no integers."""
    function = compiled(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"))
    images, kernel = (spec(1, 8, 8, 3, dtype=tf.int32), spec(3, 3, 3, 4, dtype=tf.int32))
    assert lowering.without_kernel(function, [images, kernel], "XLA_GPU_JIT") == {"Conv2D"}


# --- compiling ------------------------------------------------------------------------------------


@with_libtpu
@pytest.mark.parametrize("topology", ["v5e:2x2", "v6e:2x2"])
@pytest.mark.parametrize("name", [*LIGHT, *heavy(["students/float64"])])
def test_light_programs_compile(name, topology):
    found = tpu.compile_hlo(lowered(programs.make(name, BATCH)), topology)
    assert found.gflops > 0


@with_libtpu
def test_the_compiler_counts_as_one_does_by_hand():
    """Two operations a weight and image; biases, softmax and sums are a few parts in a thousand."""
    found = tpu.compile_hlo(lowered(programs.make("evaluate/mlp_1x512", BATCH)))
    assert found.gflops == pytest.approx(2e-9 * BATCH * (3072 * 512 + 512 * 10), rel=0.01)


@with_libtpu
@pytest.mark.slow
@pytest.mark.parametrize("name", ["train/alexnet", "train/vgg_small", "evaluate/resnet18"])
def test_convolutional_networks_compile(name):
    assert tpu.compile_hlo(lowered(programs.make(name, BATCH))).gflops > 0


@with_libtpu
@pytest.mark.parametrize(
    ("function", "argument", "says"),
    [
        (lambda x: tf.sort(x), spec(8, 2**30), "Ran out of memory"),
        (lambda x: tf.signal.fft(x), spec(64, dtype=tf.complex128), "operand type for FFT"),
    ],
)
def test_what_a_tpu_cannot_do_is_refused(function, argument, says):
    """32 GB to be sorted, and Fourier transforms in float64."""
    hlo = lowering.to_hlo(compiled(function), [argument])
    with pytest.raises(tpu.RefusedError, match=says):
        tpu.compile_hlo(hlo)


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "missing", "error"),
    [
        (["train/mlp"], "", "no program 'train/mlp'"),
        (["train/fnn"], "libtpu", "pip install -e .[tpu-compile]"),
        (["train/fnn", "--replicas=4"], "tensorflow-tpu", "requirements-tpu.txt"),
    ],
)
def test_the_command_says_what_is_missing(monkeypatch, arguments, missing, error):
    monkeypatch.setattr(tpu, "installed", lambda package: package != missing)
    monkeypatch.setattr(tpu, "ENVIRONMENT", {})
    monkeypatch.setattr(sys, "argv", ["compile_for_tpu", *arguments])
    with pytest.raises(SystemExit) as ended:
        tpu.main()
    assert ended.value.code.startswith("error: ") and error in ended.value.code


@pytest.mark.slow
@pytest.mark.skipif(
    not (tpu.available() and tpu.installed("tensorflow-tpu")),
    reason="needs TensorFlow for TPUs: the environment of requirements-tpu.txt, and JAX",
)
def test_four_replicas_compile(python):
    done = python("-m", tpu.__name__, "train/mlp_1x512", "--replicas=4", f"--batch_size={BATCH}")
    assert done.returncode == 0, done.stdout + done.stderr
