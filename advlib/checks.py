"""What images, labels and models must be, and the care that leaves a model as it was found."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class NotFiniteError(ValueError):
    """A model's logits or gradients have NaN in them."""


def check_images(images: object, name: str = "images") -> None:
    """Check a set of images.

    Parameters
    ----------
    images : Tensor
        Floating point, finite, of shape [N, ...] with at least one image.
    name : str, optional
        The argument's name, for the message.

    Raises
    ------
    TypeError
        If they are no dense tensor or not of a dtype in `FLOATING`.
    ValueError
        If their rank is below 2, they are empty or without values, or not all are finite.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, not {type(images).__name__}")
    if images.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor, not {images.layout}")
    if images.dtype not in FLOATING:
        raise TypeError(
            f"{name} must be of a floating dtype ({', '.join(map(str, FLOATING))}), not"
            f" {images.dtype}; convert the bytes of a picture with data.to_inputs(images / 255), or"
            " to the scale that the model expects"
        )
    if images.is_meta:
        raise ValueError(f"{name} must have values, not be on the device meta")
    shape = list(images.shape)
    if images.ndim < 2 or images.numel() == 0:
        raise ValueError(f"{name} must be of shape [N, ...] and not empty, not {shape}")
    low, high = images.detach().aminmax()  # NaN if any value is, and no temporary tensor
    if not (low.isfinite() and high.isfinite()):
        raise ValueError(f"{name} must be finite; they range from {low} to {high}")


def check_labels(labels: object, images: Tensor, name: str = "labels") -> None:
    """Check the labels of a set of images; `check_classes` checks how large they are.

    Parameters
    ----------
    labels : Tensor
        int64 of shape [N], not negative, on the images' device.
    images : Tensor
        The N images.
    name : str, optional
        The argument's name, for the message.

    Raises
    ------
    TypeError
        If they are no tensor or not int64.
    ValueError
        If the shape or the device differs, or a label is negative.
    """
    if not isinstance(labels, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, not {type(labels).__name__}")
    if labels.dtype != torch.int64:
        raise TypeError(f"{name} must be of dtype torch.int64, not {labels.dtype}")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{name} must be of shape [{len(images)}], not {list(labels.shape)}")
    if labels.device != images.device:
        raise ValueError(f"{name} must be on the images' {images.device}, not on {labels.device}")
    if labels.min() < 0:
        raise ValueError(f"{name} must be at least 0; the smallest is {labels.min()}")


def check_classes(labels: Tensor, classes: int, name: str = "labels") -> None:
    """Check that labels are below the number of classes.

    Parameters
    ----------
    labels : Tensor
        Labels that `check_labels` has accepted.
    classes : int
        The number of the model's classes.
    name : str, optional
        The argument's name, for the message.

    Raises
    ------
    ValueError
        If a label is not below `classes`.
    """
    if labels.max() >= classes:
        raise ValueError(
            f"{name} must be from 0 to {classes - 1}, as the model has {classes} classes;"
            f" the largest is {labels.max()}"
        )


def check_model(
    model: object, images: Tensor, name: str = "model", images_name: str = "images"
) -> None:
    """Check that a model is a module on the images' device and of their dtype.

    Parameters
    ----------
    model : Module
        The model. One without floating-point parameters and buffers fits everywhere.
    images : Tensor
        The images it is to be given.
    name, images_name : str, optional
        The arguments' names, for the message.

    Raises
    ------
    TypeError
        If it is no instance of a module, or none of its tensors has the images' dtype.
    ValueError
        If none of its tensors is on the images' device.
    """
    if not isinstance(model, nn.Module):
        kind = type(model).__name__
        raise TypeError(f"{name} must be a torch.nn.Module, not {model!r} ({kind})")
    tensors = [t for t in chain(model.parameters(), model.buffers()) if t.is_floating_point()]
    devices = {str(tensor.device) for tensor in tensors}
    if devices and str(images.device) not in devices:
        raise ValueError(
            f"{images_name} are on {images.device}, {name} on {', '.join(sorted(devices))}; "
            "move one of them with .to(device)"
        )
    dtypes = {str(tensor.dtype) for tensor in tensors}
    if dtypes and str(images.dtype) not in dtypes:
        raise TypeError(
            f"{images_name} are {images.dtype}, {name} is {', '.join(sorted(dtypes))}; "
            "convert one of them with .to(dtype)"
        )


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Run a model and check what it returns.

    Parameters
    ----------
    model : Module
        The model, in the mode it is to be run in.
    images : Tensor
        A batch of B images. A model that works in place changes them.

    Returns
    -------
    Tensor
        Logits, floating point, of shape [B, classes].

    Raises
    ------
    TypeError
        If the model returns no tensor, or not a floating-point one.
    ValueError
        If the model cannot take the images, or its output is not [B, classes] or has NaN in it.
    """
    try:
        logits = model(images)
    except (torch.OutOfMemoryError, NotFiniteError):
        raise
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"model does not take images of shape {list(images.shape)}: {error}"
        ) from error
    if not (isinstance(logits, Tensor) and logits.is_floating_point()):
        kind = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(f"model must return a floating-point tensor of logits, not {kind}")
    if logits.ndim != 2 or len(logits) != len(images) or logits.shape[1] < 1:
        raise ValueError(
            f"model must return logits of shape [{len(images)}, classes] for {len(images)} images,"
            f" not {list(logits.shape)}"
        )
    if logits.isnan().any():
        raise NotFiniteError("model returns logits that are NaN: has its training diverged?")
    return logits


@contextmanager
def as_found(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put a model's buffers and the random state back at the end, after an error too.

    A pass through a model in training mode moves batch norm's running statistics and draws
    dropout's random numbers.

    Parameters
    ----------
    model : Module
        The model that is run inside.
    device : device
        Where it runs; this device's random state and the CPU's are kept.
    """
    found = [
        (module, name, buffer, None if buffer is None else buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()  # named_buffers leaves out those that are None
    ]
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices, device_type=device.type):
        try:
            yield
        finally:
            for module, name, buffer, value in found:
                # Writing what is unchanged would break a backward pass that the caller still holds.
                if buffer is not None and value is not None and not torch.equal(buffer, value):
                    with torch.no_grad():
                        buffer.copy_(value)
                if getattr(module, name) is not buffer:
                    setattr(module, name, buffer)
