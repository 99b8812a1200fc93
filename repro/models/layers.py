"""Layers the networks share, set to the originals' numbers and twice differentiable."""

import math

import keras
import tensorflow as tf
from keras import layers


def batch_norm(
    name: str, *, scale: bool = True, momentum: float = 0.9, epsilon: float = 1e-3
) -> layers.BatchNormalization:
    """Return batch normalisation whose second derivatives are right.

    Args:
      name: of the layer.
      scale: whether there is a gamma; the small Inception's count of parameters leaves only beta.
      momentum: of the moving statistics; 0.9 rather than Keras's 0.99, because runs on subsets have
        a few dozen steps an epoch and would otherwise be evaluated with stale statistics.
      epsilon: added to the variance.
    """
    return BatchNorm(momentum=momentum, epsilon=epsilon, scale=scale, synchronized=True, name=name)


@keras.saving.register_keras_serializable("repro")
class BatchNorm(layers.BatchNormalization):
    """Keras's batch normalisation; on one device, training takes TensorFlow's one kernel for it.

    That kernel normalises by the same mean and variance, a step of Inception takes a fifth less
    time by it (a third less in bfloat16), and its second derivatives are right. It takes no
    float64. Elsewhere `synchronized=True` is E[x^2] - E[x]^2 over all replicas: Keras's other
    formula goes through `tf.nn.moments`, whose stop_gradient makes Hessians in training mode
    silently wrong.
    """

    computes_as = layers.BatchNormalization  # see kind() in graph.py

    def call(self, inputs, training=None, mask=None):
        alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
        last = self.axis in (-1, len(inputs.shape) - 1)
        taken = inputs.dtype in (tf.float32, tf.bfloat16, tf.float16)
        asked = training and self.trainable and mask is None and not self.renorm
        if not (asked and alone and last and taken and len(inputs.shape) in (2, 4)):
            return super().call(inputs, training=training, mask=mask)
        images = inputs if len(inputs.shape) == 4 else inputs[:, None, None, :]
        channels = (images.shape[-1],)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=images,
            scale=keras.ops.cast(self.gamma, "float32") if self.scale else tf.ones(channels),
            offset=keras.ops.cast(self.beta, "float32") if self.center else tf.zeros(channels),
            mean=tf.zeros(channels),  # not read in training
            variance=tf.zeros(channels),
            epsilon=self.epsilon,
        )
        entries = tf.cast(tf.size(images) // images.shape[-1], tf.float32)
        variance *= 1 - 1 / entries  # the kernel's is the unbiased one
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            before = keras.ops.cast(moving, "float32")
            moving.assign(before * self.momentum + now * (1 - self.momentum))
        return tf.reshape(outputs, tf.shape(inputs))


@keras.saving.register_keras_serializable("repro")
class LocalResponseNorm(layers.Layer):
    """Local response normalisation x / (bias + alpha * sum of x^2 over nearby channels)^beta.

    The sum runs over `2 * depth_radius + 1` channels and alpha is per entry, as in
    `tf.nn.local_response_normalization` (whose gradient has no gradient; this one has). The
    defaults are those of TensorFlow's CIFAR-10 tutorial net, which the small AlexNet is built on.
    """

    def __init__(
        self,
        depth_radius: int = 4,
        bias: float = 1.0,
        alpha: float = 0.001 / 9,
        beta: float = 0.75,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.depth_radius, self.bias, self.alpha, self.beta = depth_radius, bias, alpha, beta

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # The sum over the window of channels is a product with a banded matrix of ones.
        channels = inputs.shape[-1]
        ones = tf.ones((channels, channels), inputs.dtype)
        radius = min(self.depth_radius, channels)  # band_part takes no wider band
        window = tf.linalg.band_part(ones, radius, radius)
        sums = tf.linalg.matmul(tf.square(inputs), window)
        return inputs * tf.pow(self.bias + self.alpha * sums, -self.beta)

    def get_config(self) -> dict:
        settings = {k: getattr(self, k) for k in ("depth_radius", "bias", "alpha", "beta")}
        return {**super().get_config(), **settings}


@keras.saving.register_keras_serializable("repro")
class HeNormal(keras.initializers.VarianceScaling):
    """He initialisation N(0, factor * sqrt(2 / n)), not truncated, its ambiguities as arguments."""

    def __init__(self, factor: float = 1.0, spread: str = "std", fan: str = "in", seed=None):
        """Choose the distribution.

        Args:
          factor: on the spread.
          spread: what factor * sqrt(2 / n) is: the standard deviation (`std`), which is He et
            al.'s, or the `variance`, as Gotmare et al.'s formula can be read.
          fan: n is a neuron's number of inputs (`in`), or of outputs (`out`), times a
            convolution's area: Gotmare et al. say inputs, Garipov et al.'s code counts outputs.
          seed: of the draws; they go on from layer to layer, as Keras would start all layers of a
            shape alike that share an initialiser with a fixed seed.
        """
        if seed is None or isinstance(seed, int):
            seed = keras.random.SeedGenerator(seed)
        super().__init__(2.0 * factor**2, f"fan_{fan}", "untruncated_normal", seed=seed)
        self.factor, self.spread, self.fan = factor, spread, fan

    def __call__(self, shape, dtype=None):
        if self.spread == "std":
            return super().__call__(shape, dtype)
        n = math.prod(shape[:-1]) if self.fan == "in" else math.prod(shape[:-2]) * shape[-1]
        literal = keras.initializers.VarianceScaling(  # variance scale / n
            self.factor * math.sqrt(2 * n), self.mode, self.distribution, seed=self.seed
        )
        return literal(shape, dtype)

    def get_config(self) -> dict:
        seed = super().get_config()["seed"]
        return {"factor": self.factor, "spread": self.spread, "fan": self.fan, "seed": seed}


def torch_uniform(fan_in: int, gain: float = 1.0) -> keras.initializers.Initializer:
    """Return U(-gain / sqrt(fan_in), gain / sqrt(fan_in)), PyTorch's default at gain 1.

    PyTorch draws the kernels of dense layers so, and their biases too, with the kernel's fan in.
    """
    bound = gain / fan_in**0.5
    return keras.initializers.RandomUniform(-bound, bound)


def torch_dense(x, units: int, *, gain: float = 1.0, initializer: str | None = None, **options):
    """Apply a dense layer that starts as PyTorch's do.

    Args:
      x: [b, fan in].
      units: of the layer.
      gain: of the kernel's initial values; those of the bias have gain 1.
      initializer: Keras initializer of the kernel in place of PyTorch's.
      **options: of keras.layers.Dense.
    """
    fan_in = x.shape[-1]
    return layers.Dense(
        units,
        kernel_initializer=initializer or torch_uniform(fan_in, gain),
        bias_initializer=torch_uniform(fan_in),
        **options,
    )(x)


def logits(x, num_classes: int, initializer: str, name: str = "logits"):
    """Apply the last dense layer, in float32 (at least) whatever the precision of the network."""
    return layers.Dense(
        num_classes, kernel_initializer=initializer, dtype=accumulation_dtype(), name=name
    )(x)


@keras.saving.register_keras_serializable("repro")
class Conv(layers.Conv2D):
    """A convolution whose gradient by the kernel is quick on small maps in bfloat16 too.

    It computes what Keras's does. On maps of SMALL pixels or fewer TensorFlow's kernel for that
    gradient (oneDNN's, on a processor) takes 1.6 to 8 times as long as a product of matrices for
    each place in the kernel, and a third of a step of VGG16 in bfloat16.
    """

    computes_as = layers.Conv2D  # see kind() in graph.py
    SMALL = 16  # 4 x 4

    def call(self, inputs):
        sizes = inputs.shape[1:3]
        small = inputs.dtype == tf.bfloat16 and None not in sizes and math.prod(sizes) <= self.SMALL
        odd = self.padding == "same" and all(size % 2 for size in self.kernel_size)
        whole = {*self.strides, *self.dilation_rate, self.groups} == {1}
        if not (small and odd and whole and self.data_format == "channels_last"):
            return super().call(inputs)
        outputs = _conv(inputs, tf.cast(self.kernel.value, inputs.dtype))
        return self.activation(outputs + self.bias if self.use_bias else outputs)


@tf.custom_gradient
def _conv(images: tf.Tensor, kernel: tf.Tensor):
    """Convolve images [b, h, w, c] with a kernel [i, j, c, k] of odd sizes, to [b, h, w, k]."""
    height, width, channels = images.shape[1:]
    down, right = kernel.shape[:2]

    def gradient(upstream):
        by_images = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(images),
            filter=kernel,
            out_backprop=upstream,
            strides=[1, 1, 1, 1],
            padding="SAME",
        )
        padded = tf.pad(images, [[0, 0], [down // 2] * 2, [right // 2] * 2, [0, 0]])
        slopes = tf.reshape(upstream, [-1, kernel.shape[-1]])
        products = [
            tf.matmul(
                tf.reshape(padded[:, i : i + height, j : j + width], [-1, channels]),
                slopes,
                transpose_a=True,
            )
            for i in range(down)
            for j in range(right)
        ]
        return by_images, tf.reshape(tf.stack(products), kernel.shape)

    return tf.nn.conv2d(images, kernel, 1, "SAME"), gradient


@keras.saving.register_keras_serializable("repro")
class PickingConv(layers.Conv2D):
    """A 1x1 convolution with strides that picks its pixels before it multiplies them.

    TensorFlow's kernel of the gradient by the weights of such a convolution (oneDNN's, with several
    threads) writes outside of its memory where a batch is a single image of 8 channels or fewer.
    """

    computes_as = layers.Conv2D  # see kind() in graph.py

    def call(self, inputs):
        # A mean over windows of one pixel; slices with strides take several times as long.
        picked = tf.nn.avg_pool2d(inputs, 1, self.strides, "VALID")
        outputs = keras.ops.conv(picked, self.kernel)
        return self.activation(outputs + self.bias if self.use_bias else outputs)


def padded_conv(
    x,
    channels: int,
    size: int,
    strides: int,
    name: str,
    *,
    initializer: str | keras.initializers.Initializer,
    **options,
):
    """Apply a convolution of odd size, padded by size // 2 on every side as PyTorch's codes do.

    TensorFlow's SAME pads strided convolutions on one side only. Without a bias unless
    `use_bias=True` is among the options.
    """
    padding, conv = "same", PickingConv if size == 1 and strides > 1 else Conv
    if size > 1 and strides > 1:
        x, padding = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x), "valid"
    options = {"use_bias": False, **options}
    return conv(
        channels, size, strides, padding, kernel_initializer=initializer, name=name, **options
    )(x)


def accumulation_dtype() -> str:
    """Return float64 where networks are built in float64, and float32 otherwise."""
    return "float64" if keras.config.dtype_policy().variable_dtype == "float64" else "float32"
