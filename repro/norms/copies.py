"""Copies of a network that compute in another precision."""

import keras
import numpy as np

from repro.models import graph as graphs

COPY_TOLERANCE = 1e-2  # float32 against float64, over a hundred layers


def at_dtype(model: keras.Model, dtype: str) -> keras.Model:
    """Return a copy of a network, on one device, that computes in another precision.

    Args:
      model: a functional or Sequential network; models inside it are opened, so that the copy has
        their layers among its own, by the names they have in models/graph.py.
      dtype: of its weights and layers, such as float64.

    Raises:
      ValueError: the model has no graph, or a layer of it cannot be made again from its config.
    """
    graph = graphs.trace(model)

    copy = graphs.rebuild(graph, lambda call: remade(call, dtype))
    for name, layer in graph.layers().items():
        if layer.weights:
            copy.get_layer(name).set_weights(layer.get_weights())
    return copy


def remade(call: graphs.Call, dtype: str, **changes) -> keras.Operation:
    """Return a new layer like that of a call, with the call's name, in another precision.

    Args:
      call: an operation that is no layer has no weights and is returned itself.
      dtype: of the weights and of what the layer computes.
      **changes: entries of the layer's config that are to be different, such as `use_bias=True`.

    Raises:
      ValueError: the layer has no config from which it could be made again, or see check_kernels.
    """
    layer = call.operation
    if not isinstance(layer, keras.layers.Layer):
        return layer
    check_kernels(layer)
    try:
        config = {**_in_dtype(layer.get_config(), dtype), "name": call.name, "dtype": dtype}
        return type(layer).from_config({**config, **changes})
    except Exception as error:  # whatever the layer's own __init__ raises
        raise ValueError(
            f"{call.name} ({type(layer).__name__}) cannot be copied: its get_config does not say "
            "how to make it again"
        ) from error


def check_kernels(model: keras.layers.Layer) -> None:
    """Raise ValueError where the kernel of a layer is not the weight that it holds.

    With low-rank adapters it is a sum with their product, and a quantised one is integers.
    """
    for layer in model._flatten_layers():
        if getattr(layer, "lora_enabled", False):
            raise ValueError(
                f"no norms of {layer.name}, which has low-rank adapters: build the model without "
                "enable_lora, and assign it the `kernel` of each such layer, which holds their sum"
            )
        if layer.quantization_mode:
            raise ValueError(f"no norms of {layer.name}: measure before the model is quantised")


def _in_dtype(config, dtype: str):
    """Return a config in which layers inside the layer have the precision too."""
    if isinstance(config, list | tuple):
        return type(config)(_in_dtype(part, dtype) for part in config)
    if not isinstance(config, dict):
        return config
    policy = config.get("dtype")
    changed = {key: _in_dtype(part, dtype) for key, part in config.items()}
    if isinstance(policy, dict) or (isinstance(policy, str) and "float" in policy):
        changed["dtype"] = dtype
    return changed


def check_copy(model: keras.Model, exact: keras.Model, inputs) -> None:
    """Raise ValueError where a layer made again from its config computes something else."""
    one, other = graphs.trace(model), graphs.trace(exact)
    if any(layer.compute_dtype in ("float16", "bfloat16") for layer in one.layers().values()):
        return  # roundoff over many layers may be as large as a difference
    tensors = [[t for call in g.calls for t in call.outputs] for g in (one, other)]
    names = [call.name for call in one.calls for _ in call.outputs]
    values = (graphs.run(g, inputs, wanted) for g, wanted in zip((one, other), tensors))
    for name, expected, found in zip(names, *values, strict=True):
        error, scale = difference(expected, found)
        if error > COPY_TOLERANCE * max(scale, 1.0):
            raise ValueError(
                f"a copy of {name} computes something else (by {error:.2g}): its get_config does "
                "not say all that matters"
            )


def difference(expected, found) -> tuple[float, float]:
    """Return the largest difference and the largest value; no difference where not finite."""
    expected, found = (keras.ops.convert_to_numpy(x).astype(np.float64) for x in (expected, found))
    scale = float(np.abs(expected).max(initial=0.0))
    if not np.isfinite(scale):  # training diverged: there is nothing to compare
        return 0.0, scale
    error = float(np.abs(found - expected).max(initial=0.0))
    return (error if np.isfinite(error) else np.inf), scale
