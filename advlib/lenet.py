"""The slides' network."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.modules import module as every_module

from advlib._convolution import by_patches, by_tiles, from_rows, to_rows
from advlib.settings import Rule, check

SHAPE = (1, 28, 28)
PRECISE = (torch.float32, torch.float64)
"""What the faster way is for: it rounds more than the layers do, which shows in half precision."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _is_traced() -> bool:
    """Whether torch follows the operations: compiles, exports, traces, or transforms a function."""
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        or torch._C._are_functorch_transforms_active()
    )


class LeNet(nn.Module):
    """The slides' variant of LeNet: eight layers with the softmax log-loss, 431,080 parameters.

    conv 5x5x1x20, max pool 2, conv 5x5x20x50, max pool 2, conv 4x4x50x500, ReLU, conv 1x1x500x10.
    Weights are drawn from N(0, 0.1^2), biases are 0. `layers` holds the layers; their weights may
    be changed. On a CPU the same numbers are computed faster than layer by layer, see
    `advlib._convolution`, as long as the layers are as they were built: one that is replaced,
    pruned, parametrized or has a hook is called itself. So are all in second derivatives, in half
    precision and autocast, and where torch compiles, exports, traces or transforms (`torch.func`)
    the network. It is built on the CPU, whatever torch's default device.

    Parameters
    ----------
    seed : int, optional
        Of the initial weights; the global random state is neither used nor changed.
    classes : int, optional
        The number of classes, at least 2.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    S. Meucci, "Harnessing adversarial examples", slides, 2017: "CNN - Architecture"; after Y. LeCun
    et al., "Gradient-based learning applied to document recognition", 1998.
    """

    def __init__(self, seed: int = 0, classes: int = 10) -> None:
        super().__init__()
        at_least_two = Rule(int, "a whole number of at least 2", lambda n: n >= 2)
        classes = at_least_two.check("classes", classes)
        # the layers draw weights of their own first
        with torch.random.fork_rng([]), torch.device("cpu"):
            self.layers: nn.Sequential = nn.Sequential(
                nn.Conv2d(1, 20, 5),
                nn.MaxPool2d(2),
                nn.Conv2d(20, 50, 5),
                nn.MaxPool2d(2),
                nn.Conv2d(50, 500, 4),
                nn.ReLU(),
                nn.Conv2d(500, classes, 1),
            )
        self._built: list[Any] = self._describe_layers()
        generator = torch.Generator().manual_seed(check("seed", seed))
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.ndim == 1:
                    parameter.zero_()
                else:
                    parameter.normal_(0, 0.1, generator=generator)

    def _describe_layers(self) -> list[Any]:
        """What the layers are: their types and settings, and their parameters' names and shapes."""
        modules = [*self.layers.modules()]
        kinds = [(type(each), each.extra_repr(), "forward" in vars(each)) for each in modules]
        return kinds + [(name, each.shape) for name, each in self.layers.named_parameters()]

    def _is_as_built(self) -> bool:
        """Tell whether the fast path computes what the layers say."""
        hooked = any(getattr(each, hooks) for each in self.layers.modules() for hooks in HOOKS)
        hooked |= any(getattr(every_module, f"_global{hooks}") for hooks in HOOKS)
        return not hooked and self._describe_layers() == self._built

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits [N, classes] of images [N, 1, 28, 28]."""
        if images.shape[1:] != SHAPE:
            raise ValueError(f"images must be of shape [N, 1, 28, 28], not {list(images.shape)}")
        fast = not _is_traced() and images.device.type == "cpu" and len(images) > 0
        fast = fast and images.dtype in PRECISE and not torch.is_autocast_enabled("cpu")
        if not (fast and self._is_as_built()):
            return self.layers(images).flatten(1)  # type: ignore[no-any-return]
        layers: Any = self.layers
        conv1, _, conv2, _, conv3, _, conv4 = layers
        features = by_patches(to_rows(images), conv1.weight, conv1.bias)
        features = by_tiles(features, conv2.weight, conv2.bias)
        # The last two kernels cover their whole input: dense layers.
        hidden = linear(from_rows(features), conv3.weight.flatten(1), conv3.bias).relu()
        return linear(hidden, conv4.weight.flatten(1), conv4.bias)
