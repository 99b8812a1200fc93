"""Random small models: a recipe says what is in one, `build` makes it in any precision.

A recipe is plain data that hypothesis draws, shrinks and prints: a failure's repr makes the model
again. Everything else about a case (weights, examples, labels) follows from its seed.
"""

import contextlib
import dataclasses
import itertools
import warnings

import keras
import numpy as np
import tensorflow as tf
from blocks import ACTIVATIONS, ANYWHERE, BLOCKS, OF_IMAGES, OF_SEQUENCES, SOURCES, Block, put
from hypothesis import strategies as st
from keras import layers

CLASSES, WORDS = 3, 5
SHAPES = {"vectors": (3,), "images": (3, 3, 2), "sequences": (2, 3), "words": (2,)}
KINDS = (*ANYWHERE, *OF_IMAGES, *OF_SEQUENCES, "embedding", "two inputs", "two outputs")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A model, its weights and its examples."""

    source: str  # of SHAPES
    inputs: int  # one, or two that are joined
    blocks: tuple[Block, ...]
    hidden: int  # neurons of a layer before the last; 0: there is none
    outputs: int  # one, or two with a head each
    named: bool  # whether several inputs and outputs are dictionaries, or lists
    dtype: str
    traced: bool  # whether TensorFlow functions are traced
    batches: tuple[int, ...]  # how the examples are cut
    seed: int


@st.composite
def recipes(draw, kind: str) -> Recipe:
    """Draw a model that has a block of a kind, or so many inputs or outputs."""
    source = SOURCES.get(kind) or draw(st.sampled_from(["vectors", "images", "sequences"]))

    def block(kinds):
        return st.builds(
            Block,
            st.sampled_from([k for k in kinds if k != "grouped" or len(kinds) == 1]),
            st.integers(1, 3),
            st.sampled_from(ACTIVATIONS),
            st.booleans(),
        )

    blocks = draw(st.lists(block(BLOCKS[source]), max_size=1 if kind in BLOCKS[source] else 2))
    if kind in BLOCKS[source]:
        blocks.insert(draw(st.integers(0, len(blocks))), draw(block([kind])))
    return Recipe(
        source,
        2 if kind == "two inputs" else 1,
        tuple(blocks),
        draw(st.sampled_from([0, 3, 3])),
        2 if kind == "two outputs" else 1,
        draw(st.booleans()),
        draw(st.sampled_from(["float32", "float64"])),
        draw(st.integers(0, 9)) == 9 or any(block.kind == "grouped" for block in blocks),
        tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))),
        draw(st.integers(0, 2**16)),
    )


def build(recipe: Recipe, dtype: str | None = None) -> keras.Model:
    """Return the model of a recipe, in its precision or another one, its weights random."""
    with _policy(dtype or recipe.dtype):
        model = _connected(recipe)
    rng = np.random.default_rng(recipe.seed)
    for variable in model.weights:
        if "float" in variable.dtype:
            value = rng.standard_normal(variable.shape) / max(variable.shape[:1], default=1) ** 0.5
            if "variance" in variable.path:
                value = rng.uniform(0.5, 2, variable.shape)
            variable.assign(value.astype(recipe.dtype))
    return model


def examples(recipe: Recipe) -> tuple:
    """Return inputs and targets as the model of the recipe and `loss` take them."""
    rng, count = np.random.default_rng(recipe.seed + 1), sum(recipe.batches)

    def one():
        if recipe.source == "words":
            return rng.integers(0, WORDS, (count, *SHAPES["words"]))
        return rng.standard_normal((count, *SHAPES[recipe.source])).astype(recipe.dtype)

    def labels():
        return rng.integers(0, CLASSES, count)

    return (
        _structure([one() for _ in range(recipe.inputs)], recipe.named),
        _structure([labels() for _ in range(recipe.outputs)], recipe.named),
    )


def ragged(recipe: Recipe, arrays: tuple) -> tf.data.Dataset:
    """Return arrays (inputs, targets, ...) as a dataset of the recipe's batches."""
    ends = np.cumsum((0, *recipe.batches))

    def cut(begin, end):
        part = keras.tree.map_structure(lambda x: x[begin:end], arrays)
        return tf.data.Dataset.from_tensor_slices(part).batch(end - begin)

    first, *others = (cut(*span) for span in itertools.pairwise(ends))
    for other in others:
        first = first.concatenate(other)
    return first


@contextlib.contextmanager
def traced(yes: bool):
    """Trace functions, as users do, or run them as they stand, which small models finish sooner.

    TensorFlow has a gradient of grouped convolutions on processors only where it compiles them.
    """
    tf.config.run_functions_eagerly(not yes)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Even though the `tf.config.experimental_run")
            yield
    finally:
        tf.config.run_functions_eagerly(False)


def loss(targets, outputs) -> tf.Tensor:
    """Return the cross entropy of each example, summed over outputs, [b]."""
    pairs = zip(tf.nest.flatten(targets), tf.nest.flatten(outputs))
    return tf.add_n([tf.nn.sparse_softmax_cross_entropy_with_logits(t, o) for t, o in pairs])


def _structure(parts: list, named: bool):
    if len(parts) == 1:
        return parts[0]
    return dict(zip("ab", parts)) if named else tuple(parts)


@contextlib.contextmanager
def _policy(dtype: str):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _connected(recipe: Recipe) -> keras.Model:
    words = recipe.source == "words"
    dtype = "int64" if words else keras.config.dtype_policy().compute_dtype
    inputs = [keras.Input(SHAPES[recipe.source], dtype=dtype) for _ in range(recipe.inputs)]
    read = [layers.Embedding(WORDS, 3)(x) for x in inputs] if words else inputs
    x = layers.Concatenate()(read) if len(read) > 1 else read[0]
    for block in recipe.blocks:
        x = put(block, x)
    if len(x.shape) > 2:
        x = layers.Flatten()(x)
    if recipe.hidden:
        x = layers.Dense(recipe.hidden, "tanh")(x)
    outputs = [layers.Dense(CLASSES, name=f"head_{k}")(x) for k in range(recipe.outputs)]
    return keras.Model(_structure(inputs, recipe.named), _structure(outputs, recipe.named))
