"""The fast convolutions alone: against torch's and against finite differences."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from engine import threads
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn.functional import conv2d, max_pool2d

from advlib.convolution import convolve, convolve_and_pool, from_shards, max_pool, to_shards

CONVOLUTIONS: list[Callable[..., Tensor]] = [convolve, convolve_and_pool]
# linear but for the maximum: finite differences are exact
agrees = partial(gradcheck, atol=1e-7, rtol=1e-6)
SHAPES = [
    ((1, 1, 6, 6, 3), (2, 1, 3, 3)),
    ((2, 3, 5, 8, 2), (2, 3, 2, 3)),
    ((3, 2, 4, 4, 1), (1, 2, 1, 1)),
    ((1, 2, 5, 4, 2), (3, 2, 4, 3)),
]


def tensors(shape: tuple[int, ...], kernel: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(size, generator=generator, dtype=torch.float64, requires_grad=True)
        for size in (shape, kernel, kernel[:1])
    ]


@pytest.mark.parametrize("function", CONVOLUTIONS)
@pytest.mark.parametrize(("shape", "kernel"), SHAPES)
def test_forward_is_torchs(
    function: Callable[..., Tensor], shape: tuple[int, ...], kernel: tuple[int, ...]
) -> None:
    x, weight, bias = tensors(shape, kernel)
    images = x.permute(0, 4, 1, 2, 3).flatten(0, 1)
    expected = conv2d(images, weight, bias)
    if function is convolve_and_pool:
        expected = max_pool2d(expected, 2)
    assert torch.allclose(from_shards(function(x, weight, bias)), expected.flatten(1), atol=1e-14)


@pytest.mark.parametrize("function", CONVOLUTIONS)
@pytest.mark.parametrize(("shape", "kernel"), SHAPES)
def test_gradients_are_those_of_finite_differences(
    function: Callable[..., Tensor], shape: tuple[int, ...], kernel: tuple[int, ...]
) -> None:
    assert agrees(function, tensors(shape, kernel))


@pytest.mark.parametrize("function", CONVOLUTIONS)
@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_the_gradient_of_one_argument(function: Callable[..., Tensor], wanted: int) -> None:
    inputs = tensors(*SHAPES[1])
    for i, tensor in enumerate(inputs):
        tensor.requires_grad_(i == wanted)
    assert agrees(function, inputs)


@pytest.mark.parametrize("function", CONVOLUTIONS)
def test_a_view_is_read_where_it_lies(function: Callable[..., Tensor]) -> None:
    x, weight, bias = tensors((4, 3, 5, 8, 2), (2, 3, 2, 3))
    part = x[1::2, 1:, :, 2:]
    kernel = weight[:, 1:]
    ours = function(part, kernel, bias)
    assert torch.equal(ours, function(part.contiguous(), kernel.contiguous(), bias))


def test_max_pool_is_torchs_and_so_is_the_pixel_that_wins_a_tie() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 3, (2, 3, 8, 6, 5), generator=generator).double().requires_grad_()
    images = x.permute(0, 4, 1, 2, 3).flatten(0, 1)
    ours, theirs = from_shards(max_pool(x)), max_pool2d(images, 2).flatten(1)
    weights = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
    assert torch.equal(ours, theirs)
    (of_ours,), (of_theirs,) = (
        torch.autograd.grad((pooled * weights).sum(), x) for pooled in (ours, theirs)
    )
    assert torch.equal(of_ours, of_theirs)


def test_max_pool_against_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randperm(96, generator=generator).double()  # far apart: no kinks near
    assert agrees(max_pool, values.view(2, 2, 4, 6, 1).requires_grad_())


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 5, 6])
def test_shards_hold_the_images_in_order(number: int, n: int) -> None:
    images = torch.arange(n * 12.0).view(n, 2, 3, 2)
    with threads(number):
        shards = to_shards(images)
    assert shards.is_contiguous()
    assert shards.shape[1:4] == (2, 3, 2)
    assert len(shards) == max(k for k in range(1, number + 1) if n % k == 0)
    assert torch.equal(from_shards(shards), images.flatten(1))
