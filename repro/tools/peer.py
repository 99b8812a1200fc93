"""Training steps of four networks in PyTorch, the other side of benchmark_peers.py.

    PYTHON repro/tools/peer.py

PYTHON is that of an environment of its own, with torch and without this suite. The first line
written is {"torch": version, "threads": n}. For every line {"model", "size", "precision", "batch",
"steps"} read, so many steps are taken on one batch of random images of size x size pixels, which
stays in memory, and {"seconds", "processor_seconds", "parameters"} is written; `parameters` are
those that are trained. The networks are those of repro/models, eager and with channels last.
Where TensorFlow pads a strided convolution on one side, here it is on both: one side would cost
PyTorch a copy of the maps. Shapes and work are the same; all else is equal to rounding at equal
weights.
"""

import functools
import json
import os
import sys
import time

import torch
from torch import nn

CLASSES = 10
INCEPTION = (  # (1x1 channels, 3x3 channels), or the channels of a downsample module
    *((32, 32), (32, 48), 80, (112, 48), (96, 64)),
    *((80, 80), (48, 96), 96, (176, 160), (176, 160)),
)
RESNET = (64, 64, 128, 128, 256, 256, 512, 512)  # channels of the blocks
VGG = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
AUTOCAST = {"float32": False, "bfloat16": True}


class Logits(nn.Linear):
    """The last layer, in float32 whatever the precision of the network, as in repro/models."""

    def forward(self, x):
        """Return [b, classes] for [b, features]."""
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


class Beside(nn.Module):
    """Branches whose channels are concatenated."""

    def __init__(self, *branches: nn.Module):
        """Keep the branches in their order."""
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        """Return [b, sum of channels, h, w]."""
        return torch.cat([branch(x) for branch in self.branches], 1)


class Block(nn.Module):
    """A residual block of two 3x3 convolutions."""

    def __init__(self, inputs: int, channels: int, stride: int):
        """Project the shortcut where the shape changes."""
        super().__init__()
        self.body = nn.Sequential(
            *conv_norm(inputs, channels, 3, stride),
            nn.ReLU(inplace=True),
            *conv_norm(channels, channels, 3),
        )
        same = stride == 1 and inputs == channels
        self.shortcut = nn.Sequential(*([] if same else conv_norm(inputs, channels, 1, stride)))

    def forward(self, x):
        """Return [b, channels, h / stride, w / stride]."""
        return torch.relu_(self.body(x) + self.shortcut(x))


def conv_norm(
    inputs: int, channels: int, size: int, stride: int = 1, *, gamma: bool = True
) -> list[nn.Module]:
    """Return a convolution without bias and its batch norm; without gamma as in inception.py."""
    conv = nn.Conv2d(inputs, channels, size, stride, padding=size // 2, bias=False)
    norm = nn.BatchNorm2d(channels, eps=1e-5 if gamma else 1e-3)
    norm.weight.requires_grad_(gamma)
    return [conv, norm]


def inception(size: int) -> nn.Module:
    """Build the small Inception of Zhang et al. 2017."""

    def conv(*shape):
        return nn.Sequential(*conv_norm(*shape, gamma=False), nn.ReLU(inplace=True))

    layers, channels = [conv(3, 96, 3)], 96
    for module in INCEPTION:
        if isinstance(module, tuple):
            layers.append(Beside(conv(channels, module[0], 1), conv(channels, module[1], 3)))
            channels = sum(module)
        else:  # ceil_mode: pads on one side, as TensorFlow
            pool = nn.MaxPool2d(3, 2, ceil_mode=True)
            layers.append(Beside(conv(channels, module, 3, 2), pool))
            channels += module
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), Logits(channels, CLASSES))


def resnet18(size: int) -> nn.Module:
    """Build the ResNet-18 of Liu et al. 2020, whose stem is a 3x3 convolution."""
    layers, channels = [*conv_norm(3, 64, 3), nn.ReLU(inplace=True)], 64
    for outputs in RESNET:
        layers.append(Block(channels, outputs, 1 if outputs == channels else 2))
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), Logits(channels, CLASSES))


def vgg16(size: int) -> nn.Module:
    """Build the VGG16 of Garipov et al. 2018, with dropout."""
    layers, channels = [], 3
    for outputs, convolutions in VGG:
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU(inplace=True)]
            channels = outputs
        layers.append(nn.MaxPool2d(2))
    features = channels * (size // 2 ** len(VGG)) ** 2
    layers.append(nn.Flatten())
    for _ in range(2):
        layers += [nn.Dropout(0.5), nn.Linear(features, 512), nn.ReLU(inplace=True)]
        features = 512
    return nn.Sequential(*layers, Logits(features, CLASSES))


def mlp_1x512(size: int) -> nn.Module:
    """Build the perceptron of Zhang et al. 2017 with one hidden layer."""
    hidden = [nn.Linear(3 * size**2, 512), nn.ReLU(inplace=True)]
    return nn.Sequential(nn.Flatten(), *hidden, Logits(512, CLASSES))


NETWORKS = {f.__name__: f for f in (inception, resnet18, vgg16, mlp_1x512)}


@functools.cache
def training(model: str, size: int, precision: str, batch: int):
    """Return how many parameters are trained, and a function that takes so many steps."""
    network, autocast = NETWORKS[model](size), AUTOCAST[precision]
    network.to(memory_format=torch.channels_last)
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)
    images = torch.randn(batch, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (batch,))

    def train(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss of {model} became {loss.item()}")

    return sum(p.numel() for p in parameters), train


def main() -> None:
    """Serve until the input ends."""
    known = hasattr(os, "sched_getaffinity")  # the cores this process may use, as TensorFlow does
    torch.set_num_threads(len(os.sched_getaffinity(0)) if known else os.cpu_count())
    about = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        steps = request.pop("steps")
        parameters, train = training(**request)
        wall, processor = time.perf_counter(), time.process_time()
        train(steps)
        answer = {
            "seconds": time.perf_counter() - wall,
            "processor_seconds": time.process_time() - processor,
            "parameters": parameters,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
