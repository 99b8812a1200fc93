"""A Keras model as a list of calls: one operation on tensors after the other, nested models opened.

Instruments that must know what a layer does with which tensor (norms, permutations) read the list:

    for call in graph.trace(model).calls:
        print(call.name, call.operation, call.inputs, call.outputs)

A layer that is used several times has several calls of one name; the layers of a model inside the
model are calls like all others. Only graphs of Keras are read: a functional or Sequential model. A
model or layer with a `call` of its own is one operation whose inside is not looked at.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras.src.models.functional import Functional


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of the graph."""

    number: int
    shape: tuple[int | None, ...]  # with the batch
    dtype: str
    name: str


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of an operation: a layer, or what an expression such as `a + b` made."""

    operation: keras.Operation
    name: str  # of the operation, unique in the graph: `inner_dense` for one in a model `inner`
    args: tuple  # as the operation was called, Tensors in the places of tensors
    kwargs: dict
    inputs: tuple[Tensor, ...]  # those among args and kwargs, in their order
    outputs: tuple[Tensor, ...]


@dataclasses.dataclass(frozen=True)
class Graph:
    """What a model computes, call by call in an order in which it can be computed."""

    name: str
    calls: tuple[Call, ...]
    inputs: object  # a Tensor, or the structure of Tensors that the model takes
    outputs: object

    def layers(self) -> dict[str, keras.layers.Layer]:
        """Return the layers by their names in the graph, each once."""
        found = {call.name: call.operation for call in self.calls}
        return {name: op for name, op in found.items() if isinstance(op, keras.layers.Layer)}

    def uses(self) -> dict[int, int]:
        """Return how often each tensor is read, by number; an output of the model is read too."""
        read = [t for call in self.calls for t in call.inputs]
        counts = {}
        for tensor in (*read, *keras.tree.flatten(self.outputs)):
            counts[tensor.number] = counts.get(tensor.number, 0) + 1
        return counts


def trace(model: keras.Model) -> Graph:
    """Return the graph of a functional or Sequential model.

    Raises:
      ValueError: the model has no graph: a subclass with a `call` of its own, or not built yet.
    """
    functional = graph_of(model)
    if functional is None:
        if isinstance(model, keras.Sequential) and not model.built:
            raise ValueError(f"model {model.name} is not built: begin it with a keras.Input")
        raise ValueError(
            f"model {model.name} ({type(model).__name__}) has no graph to read: it must be a "
            "functional or a Sequential model without a call of its own"
        )
    calls, names, count = [], {}, [0]

    def new(x) -> Tensor:
        count[0] += 1
        return Tensor(count[0], tuple(x.shape), x.dtype, x.name)

    def name_of(operation, prefix: str) -> str:
        if id(operation) not in names:
            name, taken, again = prefix + operation.name, set(names.values()), 0
            while name in taken:
                again += 1
                name = f"{prefix}{operation.name}_{again}"
            names[id(operation)] = name
        return names[id(operation)]

    def walk(functional: Functional, prefix: str, seen: dict[int, Tensor]) -> None:
        places = {id(operation): k for k, operation in enumerate(functional.operations)}
        for depth in sorted(functional._nodes_by_depth, reverse=True):
            nodes = functional._nodes_by_depth[depth]
            for node in sorted(nodes, key=lambda node: places[id(node.operation)]):
                if node.is_input or any(id(x) not in seen for x in node.input_tensors):
                    continue
                inner = graph_of(node.operation)
                if inner is not None and len(inner.inputs) == len(node.input_tensors):
                    pairs = zip(inner.inputs, node.input_tensors)
                    inside = {id(x): seen[id(y)] for x, y in pairs}
                    walk(inner, f"{prefix}{node.operation.name}_", inside)
                    seen.update((id(x), inside[id(y)]) for x, y in zip(node.outputs, inner.outputs))
                    continue
                args, kwargs = node.arguments.convert(
                    lambda x: seen[id(x)] if isinstance(x, keras.KerasTensor) else x
                )
                outputs = tuple(map(new, node.outputs))
                seen.update((id(x), tensor) for x, tensor in zip(node.outputs, outputs))
                calls.append(
                    Call(
                        node.operation,
                        name_of(node.operation, prefix),
                        args,
                        kwargs,
                        tuple(seen[id(x)] for x in node.input_tensors),
                        outputs,
                    )
                )

    seen = {id(x): new(x) for x in functional.inputs}
    walk(functional, "", seen)
    inputs, outputs = (
        keras.tree.map_structure(lambda x: seen[id(x)], structure)
        for structure in (functional._inputs_struct, functional._outputs_struct)
    )
    return Graph(model.name, tuple(calls), inputs, outputs)


def kind(operation: keras.Operation) -> type:
    """Return what an operation is: its class, or the one it says that it computes as.

    A subclass may compute something of its own. One that does not has `computes_as`, which its own
    subclasses do not inherit.
    """
    return vars(type(operation)).get("computes_as", type(operation))


def graph_of(layer: keras.Operation) -> Functional | None:
    """Return the graph that a layer is, if it is a model which runs that and nothing else."""
    if isinstance(layer, keras.Sequential) and type(layer).call is keras.Sequential.call:
        return layer._functional
    if isinstance(layer, Functional) and type(layer).call is Functional.call:
        return layer
    return None


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return every layer of any built model, those inside models and layers too, each once."""
    return model._flatten_layers(include_self=False)


def run(graph: Graph, inputs, wanted: list[Tensor]) -> list[tf.Tensor]:
    """Return tensors of a graph in inference mode, with the present weights of its layers.

    Args:
      graph: of `trace`.
      inputs: what the model takes, in the same structure.
      wanted: which tensors to return.
    """
    ours = keras.tree.flatten(graph.inputs)
    given = keras.tree.flatten(inputs)
    values = {t.number: tf.cast(x, t.dtype) for t, x in zip(ours, given, strict=True)}
    for call in graph.calls:
        args, kwargs = filled(call, values)
        if getattr(call.operation, "_call_has_training_arg", False):
            kwargs["training"] = False
        outputs = keras.tree.flatten(call.operation(*args, **kwargs))
        values.update((t.number, x) for t, x in zip(call.outputs, outputs))
    return [values[tensor.number] for tensor in wanted]


def rebuild(graph: Graph, twin: Callable[[Call], Callable]) -> keras.Model:
    """Return a functional model of the same graph from other operations.

    Args:
      graph: of the model to follow.
      twin: gives what takes the place of the operation of a call; asked once for each operation. A
        layer that it gives should have the call's name, by which it is found in the new model.
    """
    inputs = keras.tree.map_structure(
        lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), graph.inputs
    )
    flat = zip(keras.tree.flatten(graph.inputs), keras.tree.flatten(inputs))
    values, twins = {t.number: x for t, x in flat}, {}
    for call in graph.calls:
        if call.name not in twins:
            twins[call.name] = twin(call)
        args, kwargs = filled(call, values)
        outputs = keras.tree.flatten(twins[call.name](*args, **kwargs))
        values.update((t.number, x) for t, x in zip(call.outputs, outputs))
    outputs = keras.tree.map_structure(lambda t: values[t.number], graph.outputs)
    return keras.Model(inputs, outputs, name=graph.name)


def filled(call: Call, values: dict) -> tuple[tuple, dict]:
    """Return the arguments of a call with values, by number, in the places of tensors."""
    return keras.tree.map_structure(
        lambda x: values[x.number] if isinstance(x, Tensor) else x, (call.args, dict(call.kwargs))
    )


def random_inputs(graph: Graph, count: int = 2, seed: int = 0):
    """Return random examples that a model takes, in its structure of inputs.

    Floats are standard normal. Integers lie below the `input_dim` of the smallest Embedding. Where
    the model leaves a size open, images get 96 pixels a side and sequences 8 steps.

    Raises:
      ValueError: an input is neither of floats nor of integers or booleans.
    """
    rng = np.random.default_rng(seed)
    sizes = [
        layer.input_dim
        for outer in graph.layers().values()
        for layer in outer._flatten_layers()
        if isinstance(layer, keras.layers.Embedding)
    ]

    def draw(tensor: Tensor) -> np.ndarray:
        open_size = 96 if len(tensor.shape) > 3 else 8
        shape = (count, *(open_size if n is None else n for n in tensor.shape[1:]))
        if "float" in tensor.dtype:
            return rng.standard_normal(shape).astype(
                "float32" if tensor.dtype == "bfloat16" else tensor.dtype
            )
        if "int" not in tensor.dtype and tensor.dtype != "bool":
            raise ValueError(f"no random examples for the input {tensor.name} of {tensor.dtype}")
        return rng.integers(0, min(sizes, default=2), shape).astype(tensor.dtype)

    return keras.tree.map_structure(draw, graph.inputs)
