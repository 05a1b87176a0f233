"""Convolution and 2x2 max pooling on a CPU as plain matrix products and long vector operations.

Here a batch is a tensor [shards, channels, height, width, images], the images innermost. A window
of a convolution is then a run of whole rows of images, which is copied fast; every pass of a
convolution is a few matrix products on contiguous memory; and the four corners of a pooling window
are four vectors. The images are dealt to as many shards as there are threads: in a batched matrix
product a thread works on a shard of its own. The numbers are those of `torch.nn.functional.conv2d`
and `max_pool2d` to rounding, in float32 and float64.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

Corners = tuple[Tensor, ...]


def to_shards(images: Tensor) -> Tensor:
    """Lay images [N, C, H, W] out as [shards, C, H, W, N / shards]."""
    n = len(images)
    shards = max(k for k in range(1, torch.get_num_threads() + 1) if n % k == 0)
    dealt = images.reshape(shards, n // shards, *images.shape[1:])
    return dealt.permute(0, 2, 3, 4, 1).contiguous()


def from_shards(features: Tensor) -> Tensor:
    """Flatten features [shards, C, H, W, n] to [shards * n, C * H * W], as ``flatten(1)`` would."""
    return features.permute(0, 4, 1, 2, 3).flatten(2).flatten(0, 1)


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with stride 1, without padding.

    Parameters
    ----------
    x : Tensor
        [shards, C, H, W, n].
    weight, bias : Tensor
        As of `torch.nn.Conv2d`: [O, C, kH, kW] and [O].

    Returns
    -------
    Tensor
        [shards, O, H - kH + 1, W - kW + 1, n].
    """
    return _Convolution.apply(x, weight, bias)  # type: ignore[no-any-return]


def max_pool(x: Tensor) -> Tensor:
    """Take the largest of each 2x2 window, stride 2: [shards, C, H, W, n] to half H and W."""
    return _MaxPool.apply(x)  # type: ignore[no-any-return]


def convolve_and_pool(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Do `convolve` and `max_pool` in one product; fast where there are few input channels.

    The four windows that are pooled together cover one patch, larger by one than the kernel. One
    product of all patches with the kernel at its four places in a patch gives the four corners.

    Parameters
    ----------
    x : Tensor
        [shards, C, H, W, n].
    weight, bias : Tensor
        As of `torch.nn.Conv2d`: [O, C, kH, kW] and [O].

    Returns
    -------
    Tensor
        [shards, O, (H - kH + 1) / 2, (W - kW + 1) / 2, n].
    """
    return _ConvolutionMaxPool.apply(x, weight, bias)  # type: ignore[no-any-return]


class _Convolution(Function):
    """For each row of the kernel one product, with the windows along that row side by side."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        shards, channels, height, width, n = x.shape
        out, _, rows, columns = weight.shape
        high, wide = height - rows + 1, width - columns + 1
        shard, channel, row, column, image = x.stride()
        windows = x.as_strided(
            (shards, channels, columns, height, wide, n),
            (shard, channel, column, row, column, image),
        ).reshape(shards, channels * columns, height * wide * n)
        kernel = weight.permute(2, 0, 1, 3).reshape(rows, 1, out, -1).expand(-1, shards, -1, -1)
        ctx.save_for_backward(windows, kernel)
        ctx.shapes = x.shape, weight.shape, (high, wide)
        bands = _bands(windows, rows, high, wide * n)
        y = torch.bmm(kernel[0], bands[0])
        for k, band in zip(kernel[1:], bands[1:], strict=True):
            y.baddbmm_(k, band)
        return y.view(shards, out, high, wide, n).add_(bias[:, None, None, None])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        windows, kernel = ctx.saved_tensors
        x_shape, weight_shape, (high, wide) = ctx.shapes
        shards, channels, height, _, n = x_shape
        out, _, rows, columns = weight_shape
        flat = gradient.reshape(shards, out, high * wide * n)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_windows = torch.zeros_like(windows)
            for k, band in zip(kernel, _bands(of_windows, rows, high, wide * n), strict=True):
                band.baddbmm_(k.transpose(1, 2), flat)
            parts = of_windows.view(shards, channels, columns, height, wide, n)
            of_x = gradient.new_zeros(x_shape)
            for j in range(columns):
                of_x[:, :, :, j : j + wide] += parts[:, :, j]
        if ctx.needs_input_grad[1]:
            bands = _bands(windows, rows, high, wide * n)
            products = [torch.bmm(flat, band.transpose(1, 2)).sum(0) for band in bands]
            of_weight = torch.stack(products, 1).view(out, rows, channels, columns)
            of_weight = of_weight.transpose(1, 2).contiguous()
        if ctx.needs_input_grad[2]:
            of_bias = flat.sum((0, 2))
        return of_x, of_weight, of_bias


def _bands(windows: Tensor, rows: int, high: int, step: int) -> list[Tensor]:
    """For each row of the kernel the part of the windows that it meets."""
    return [windows[:, :, i * step : (i + high) * step] for i in range(rows)]


class _MaxPool(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _largest(_quarters(x))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        of_x = torch.empty_like(x)
        _to_largest(gradient, _quarters(x), _quarters(of_x))
        return of_x


class _ConvolutionMaxPool(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        shards, channels, height, width, n = x.shape
        out, _, rows, columns = weight.shape
        high, wide = (height - rows + 1) // 2, (width - columns + 1) // 2
        shard, channel, row, column, image = x.stride()
        patches = x.as_strided(
            (shards, channels, rows + 1, columns + 1, high, wide, n),
            (shard, channel, row, column, 2 * row, 2 * column, image),
        ).reshape(shards, channels * (rows + 1) * (columns + 1), high * wide * n)
        kernel = weight.new_zeros(4, out, channels, rows + 1, columns + 1)
        for placed in _places(kernel):
            placed.copy_(weight)
        kernel = kernel.view(1, 4 * out, -1).expand(shards, -1, -1)
        corners = torch.bmm(kernel, patches).view(shards, 4, out, high, wide, n)
        ctx.save_for_backward(patches, kernel, corners)
        ctx.shapes = x.shape, weight.shape
        return _largest(corners.unbind(1)).add_(bias[:, None, None, None])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        patches, kernel, corners = ctx.saved_tensors
        x_shape, (out, channels, rows, columns) = ctx.shapes
        shards, _, _, high, wide, n = corners.shape
        of_corners = torch.empty_like(corners)
        _to_largest(gradient, corners.unbind(1), of_corners.unbind(1))
        flat = of_corners.view(shards, 4 * out, -1)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_patches = torch.bmm(kernel.transpose(1, 2), flat)
            parts = of_patches.view(shards, channels, rows + 1, columns + 1, high, wide, n)
            of_x = gradient.new_zeros(x_shape)
            for i in range(rows + 1):
                for j in range(columns + 1):
                    of_x[:, :, i : i + 2 * high : 2, j : j + 2 * wide : 2] += parts[:, :, i, j]
        if ctx.needs_input_grad[1]:
            of_kernel = torch.bmm(flat, patches.transpose(1, 2)).sum(0)
            places = _places(of_kernel.view(4, out, channels, rows + 1, columns + 1))
            of_weight = torch.stack(places).sum(0)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3, 4))
        return of_x, of_weight, of_bias


def _places(kernel: Tensor) -> Corners:
    """The four places of a kernel in its patch, in the order of the corners of a window."""
    a, b, c, d = kernel
    return a[..., :-1, :-1], b[..., :-1, 1:], c[..., 1:, :-1], d[..., 1:, 1:]


def _quarters(x: Tensor) -> Corners:
    """The four corners of all 2x2 windows: first row, then second row."""
    return tuple(x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1))


def _largest(corners: Corners) -> Tensor:
    a, b, c, d = corners
    return torch.maximum(torch.maximum(a, b), torch.maximum(c, d))


def _to_largest(gradient: Tensor, corners: Corners, of_corners: Corners) -> None:
    """Give the gradient to the largest corner; of equal ones to the first, as `max_pool2d` does."""
    a, b, c, d = corners
    of_a, of_b, of_c, of_d = of_corners
    first, second = torch.maximum(a, b), torch.maximum(c, d)
    # A comparison written into a float tensor and multiplied is far faster than torch.where.
    of_first = torch.ge(first, second, out=first).mul_(gradient)
    of_second = torch.sub(gradient, of_first, out=second)
    torch.ge(a, b, out=of_a).mul_(of_first)
    torch.sub(of_first, of_a, out=of_b)
    torch.ge(c, d, out=of_c).mul_(of_second)
    torch.sub(of_second, of_c, out=of_d)
