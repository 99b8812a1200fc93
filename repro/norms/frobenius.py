"""The four readings of "Frobenius norm of a network" that papers and codes use."""

import keras
import numpy as np

from repro.norms.copies import check_kernels


def frobenius(model: keras.Model) -> dict[str, float]:
    """Return the four readings of the Frobenius norm.

    Returns:
      frobenius: root of the sum of squares of all trainable weights, batch norm and biases too.
      frobenius_squared: that sum, what the JAX rerun calls "Frobenious norm" (about
        1e5).
      log10_product: log10 of the product over layers of ||W||_F, W the layer's kernel, frozen or
        not: the capacity measure of Neyshabur's code before the division by the margin.
      log10_product_squared: of the product of ||W||_F^2 (the paper's 1e50 may
        be either product).
      log10 is -inf where a kernel is zero.

    Raises:
      ValueError: no weight is trainable, or a layer is quantised or has low-rank adapters.
    """
    check_kernels(model)
    if not model.trainable_variables:
        raise ValueError(f"model {model.name} has no trainable weights")
    weights = [float64_values(v) for v in model.trainable_variables]
    total = float(sum(np.sum(w**2) for w in weights))
    layers = [np.sum(float64_values(v) ** 2) for v in model.weights if v.path.endswith("kernel")]
    with np.errstate(divide="ignore"):
        log10_product_squared = float(np.sum(np.log10(layers)))
    return {
        "frobenius": total**0.5,
        "frobenius_squared": total,
        "log10_product": log10_product_squared / 2,
        "log10_product_squared": log10_product_squared,
    }


def float64_values(variable: keras.Variable) -> np.ndarray:
    """Return the present values of a variable."""
    return keras.ops.convert_to_numpy(variable.value).astype(np.float64)
