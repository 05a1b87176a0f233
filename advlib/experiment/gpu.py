"""A GPU for the models of a notebook, where there is one."""

import torch
from torch import Tensor, nn


def use_gpu() -> bool:
    """Is there a GPU? Its convolutions are repeatable and in full precision from here on."""
    torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = True, False
    return torch.cuda.is_available()


def run_on(model: nn.Module, device: str) -> None:
    """Have a model run on a device, and give logits where the images are, as on the CPU.

    One that was exported takes no hook, and stays where it is.
    """
    if isinstance(model, torch.jit.ScriptModule):
        return

    home = torch.device("cpu")

    def take(_: nn.Module, images: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        nonlocal home
        home = images[0].device
        return tuple(each.to(device) for each in images)

    def give(_: nn.Module, images: tuple[Tensor, ...], logits: Tensor) -> Tensor:
        return logits.to(home)

    model.to(device).register_forward_pre_hook(take)
    model.register_forward_hook(give)
