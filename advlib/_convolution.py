"""Convolution and 2x2 max pooling on a CPU as a few matrix products and long vector operations.

Here a batch is a tensor [height, channels, width, images], the images innermost. A window of a
convolution is then a run of whole rows of images, which is copied fast; every pass of a convolution
is a batch of matrix products on contiguous memory; and the corners of all pooling windows are
vectors. The numbers are those of `torch.nn.functional.conv2d` and `max_pool2d` to rounding, in
float32 and float64.
"""

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import conv2d, max_pool2d

# glibc gives freed memory back to the system above a threshold, for which it takes the size of a
# large block that is freed: after this one, no step has to wait for the memory of the one before.
torch.empty(31 * 2**20, dtype=torch.uint8, device="cpu")


def to_rows(images: Tensor) -> Tensor:
    """Lay images [N, C, H, W] out as [H, C, W, N]."""
    return images.permute(2, 1, 3, 0).contiguous()


def from_rows(features: Tensor) -> Tensor:
    """Flatten features [H, C, W, N] to [N, C * H * W], as ``flatten(1)`` would."""
    return features.transpose(0, 1).flatten(0, 2).T


def by_patches(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with stride 1 and pool; fast where there are few input channels.

    Of x [H, C, W, n], a kernel [O, C, kH, kW] of odd sides and odd H - kH and W - kW it gives
    [(H - kH + 1) / 2, O, (W - kW + 1) / 2, n]. The four windows that are pooled together cover one
    patch, larger by one than the kernel. The product of all patches with the kernel at its four
    places in a patch gives the four corners.
    """
    return _Patches.apply(x, weight, bias)  # type: ignore[no-any-return]


def by_tiles(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with stride 1 and pool; fast where there are many channels.

    As `by_patches`, with kH at most 5, H - kH + 1 a multiple of 4 and W - kW odd. Winograd's
    minimal filtering along the height, F(4, kH) (A. Lavin, S. Gray, "Fast algorithms for
    convolutional neural networks", arXiv:1509.09308, 2015, section 4): four rows of the output take
    kH + 3 products instead of 4 kH, so a 5x5 kernel 0.4 of the multiplications. In float32 the
    result is some five times further from the exact one than `conv2d`'s, about 7e-7 of its size; of
    corners that would be equal, rounding decides which is the largest.
    """
    return _Tiles.apply(x, weight, bias)  # type: ignore[no-any-return]


class _Patches(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        height, channels, width, n = x.shape
        out, _, rows, columns = weight.shape
        high, wide = (height - rows + 1) // 2, (width - columns + 1) // 2
        row, channel, column, image = x.stride()
        patches = x.as_strided(
            (high, channels, rows + 1, columns + 1, wide, n),
            (2 * row, channel, row, column, 2 * column, image),
        ).reshape(high, -1, wide * n)
        placed = weight.reshape(out * channels, -1) @ _places(rows, columns, x.dtype)
        kernel = placed.view(out, channels, 4, -1).permute(2, 0, 1, 3).reshape(4 * out, -1)
        kernel = kernel.expand(high, -1, -1)
        windows = torch.bmm(kernel, patches).view(high, 2, 2, out, wide, n)
        ctx.save_for_backward(patches, kernel, windows, x, weight, bias)
        ctx.shapes = x.shape, weight.shape
        return _largest(windows).add_(bias.view(-1, 1, 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        patches, kernel, windows, *given = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiate_again(ctx, given, gradient)
        x_shape, (out, channels, rows, columns) = ctx.shapes
        of_windows = _to_largest(gradient, windows, torch.empty_like(windows))
        flat = of_windows.flatten(1, 3).flatten(2)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_patches = torch.bmm(kernel.transpose(1, 2), flat)
            of_x = _folded(of_patches, x_shape, rows + 1, columns + 1)
        if ctx.needs_input_grad[1]:
            of_kernel = torch.bmm(patches, flat.transpose(1, 2)).sum(0).T
            of_kernel = of_kernel.view(4, out, channels, -1).permute(1, 2, 0, 3)
            of_kernel = of_kernel.reshape(out * channels, -1)
            of_weight = of_kernel @ _places(rows, columns, flat.dtype).T
            of_weight = of_weight.view(out, channels, rows, columns)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias


@cache
def _places(rows: int, columns: int, dtype: torch.dtype) -> Tensor:
    """The matrix [rows * columns, 4 * patch] that puts a kernel at its four places in a patch."""
    with torch.inference_mode(False), torch.device("cpu"):  # it is kept: whatever the caller is in
        places = torch.zeros(rows, columns, 2, 2, rows + 1, columns + 1, dtype=dtype)
        i, j, down, right = torch.meshgrid(*map(torch.arange, (rows, columns, 2, 2)), indexing="ij")
        places[i, j, down, right, i + down, j + right] = 1
        return places.view(rows * columns, -1)


def _folded(patches: Tensor, shape: torch.Size, rows: int, columns: int) -> Tensor:
    """Add up overlapping patches, two pixels apart, to an x: first along the width."""
    height, channels, width, n = shape
    high, wide = (height - rows) // 2 + 1, (width - columns) // 2 + 1
    parts = patches.view(high, channels, rows, columns // 2, 2, wide, n).transpose(4, 5)
    along = patches.new_zeros(high, channels, rows, width // 2, 2, n)
    for j in range(columns // 2):
        along[:, :, :, j : j + wide] += parts[:, :, :, j]
    parts = along.view(high, channels, rows // 2, 2, width, n).permute(2, 0, 3, 1, 4, 5)
    of_x = patches.new_zeros(height // 2, 2, channels, width, n)
    for i in range(rows // 2):
        of_x[i : i + high] += parts[i]
    return of_x.flatten(0, 1)


class _Tiles(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        height, channels, width, n = x.shape
        out, _, rows, columns = weight.shape
        tiles, wide = (height - rows + 1) // 4, width - columns + 1
        of_rows, of_kernel, to_rows = _transforms(rows, tiles, x.dtype)
        tiled = (of_rows @ x.flatten(1)).view(-1, tiles, channels, width, n)
        products, tile, channel, column, image = tiled.stride()
        windows = tiled.as_strided(
            (len(tiled), channels, columns, tiles, wide, n),
            (products, channel, column, tile, column, image),
        ).reshape(len(tiled), -1, tiles * wide * n)
        kernel = (of_kernel @ weight.permute(2, 0, 1, 3).flatten(1)).view(len(tiled), out, -1)
        y = (to_rows @ torch.bmm(kernel, windows).flatten(1)).view(2, 2, out, tiles, -1, 2, n)
        # What comes next flattens to [O * H * W, n]; laid out like this, it need not copy.
        pooled = x.new_empty(out, tiles, 2, wide // 2, n)
        _largest(_windows(y), out=pooled.permute(2, 0, 1, 3, 4)).add_(bias.view(-1, 1, 1, 1))
        ctx.save_for_backward(windows, kernel, y, x, weight, bias)
        ctx.shapes = (height, channels, width, n), weight.shape
        return pooled.flatten(1, 2).transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        windows, kernel, y, *given = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiate_again(ctx, given, gradient)
        (height, channels, width, n), (out, _, rows, columns) = ctx.shapes
        tiles, wide = (height - rows + 1) // 4, width - columns + 1
        of_rows, of_kernel, to_rows = _transforms(rows, tiles, y.dtype)
        gradient = gradient.transpose(0, 1).contiguous().view(out, tiles, 2, -1, n)
        of_y = torch.empty_like(y)
        _to_largest(gradient.permute(2, 0, 1, 3, 4), _windows(y), _windows(of_y))
        flat = (to_rows.T @ of_y.view(4, -1)).view(len(kernel), out, -1)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            parts = torch.bmm(kernel.transpose(1, 2), flat)
            parts = parts.view(-1, channels, columns, tiles, wide, n).transpose(1, 3)
            of_x = gradient.new_zeros(len(kernel), tiles, channels, width, n)
            for j in range(columns):
                of_x[..., j : j + wide, :] += parts[:, :, j]
            of_x = (of_rows.T @ of_x.flatten(0, 1).flatten(1)).view(height, channels, width, n)
        if ctx.needs_input_grad[1]:
            products = torch.bmm(flat, windows.transpose(1, 2)).flatten(1)
            of_weight = (of_kernel.T @ products).view(rows, out, channels, columns)
            of_weight = of_weight.permute(1, 2, 0, 3).contiguous()
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((1, 2, 3, 4))
        return of_x, of_weight, of_bias


def _differentiate_again(
    ctx: Any, given: list[Tensor], gradient: Tensor
) -> tuple[Tensor | None, ...]:
    """Give the gradients by torch's own layers: these have second derivatives (create_graph)."""
    x, weight, bias = given
    needed = ctx.needs_input_grad
    with torch.enable_grad():
        y = max_pool2d(conv2d(x.permute(3, 1, 0, 2), weight, bias), 2).permute(2, 1, 3, 0)
        wanted = [tensor for tensor, need in zip(given, needed, strict=True) if need]
        found = iter(torch.autograd.grad(y, wanted, gradient, create_graph=True))
    return tuple(next(found) if need else None for need in needed)


FloatArray = NDArray[np.float64]
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)


@cache
def _transforms(rows: int, tiles: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Toom and Cook's matrices: of all rows of the input, of the kernel, and to a tile's four rows.

    A tile of `size` rows and the kernel are polynomials, multiplied by their values at points, of
    which one is at infinity; the inverse of the points' powers takes the values to coefficients.
    """
    size = rows + 3
    points = np.array(_POINTS[: size - 1])
    powers = points ** np.arange(size)[:, None]

    def values(degree: int) -> FloatArray:
        return np.column_stack([powers[:degree], np.eye(degree)[:, -1]])  # the last is infinity's

    of_rows = np.zeros((size, tiles, 4 * tiles + rows - 1))
    for tile in range(tiles):
        of_rows[:, tile, 4 * tile : 4 * tile + size] = np.linalg.inv(values(size))
    matrices = of_rows.reshape(size * tiles, -1), values(rows).T.copy(), values(4)
    with torch.inference_mode(False):  # they are kept: whatever the caller is in
        a, b, c = (torch.from_numpy(matrix).to(dtype) for matrix in matrices)
        return a, b, c


def _windows(y: Tensor) -> Tensor:
    """The pooling windows [2, 2, 2, O, tiles, W / 2, n] of y [2, 2, O, tiles, W / 2, 2, n]."""
    return y.permute(0, 1, 5, 2, 3, 4, 6)


def _largest(windows: Tensor, out: Tensor | None = None) -> Tensor:
    """Of windows [rows, 2, 2, ...] the largest corner: [rows, ...]."""
    left, right = windows.unbind(2)
    upper, lower = torch.maximum(left, right).unbind(1)
    return torch.maximum(upper, lower, out=out)


def _to_largest(gradient: Tensor, windows: Tensor, of_windows: Tensor) -> Tensor:
    """Give the gradient to the largest corner; of equal ones to the first, as `max_pool2d` does."""
    left, right = windows.unbind(2)
    of_left, of_right = of_windows.unbind(2)
    of_row = torch.maximum(left, right)
    upper, lower = of_row.unbind(1)
    # A comparison written into a float tensor and multiplied is far faster than torch.where.
    torch.ge(upper, lower, out=upper).mul_(gradient)
    torch.sub(gradient, upper, out=lower)
    torch.ge(left, right, out=of_left).mul_(of_row)
    torch.sub(of_row, of_left, out=of_right)
    return of_windows
