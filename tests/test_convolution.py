"""The fast convolutions alone: against torch's and against finite differences."""

from functools import partial

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import conv2d, max_pool2d

from advlib._convolution import by_patches, by_tiles, from_rows

# the input [H, C, W, n] and the kernel [O, C, kH, kW]
SHAPES = [
    (by_patches, (6, 1, 6, 3), (2, 1, 3, 3)),
    (by_patches, (8, 2, 10, 2), (3, 2, 5, 3)),
    (by_patches, (4, 2, 4, 1), (1, 2, 1, 1)),
    (by_tiles, (8, 2, 6, 2), (3, 2, 5, 5)),
    (by_tiles, (10, 1, 4, 3), (2, 1, 3, 3)),
    (by_tiles, (4, 2, 4, 1), (1, 2, 1, 1)),
    (by_tiles, (12, 1, 5, 1), (1, 1, 5, 2)),
]
# linear but for the maximum: finite differences are exact
agrees = partial(gradcheck, atol=1e-7, rtol=1e-6)


def tensors(shape, kernel):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(size, generator=generator, dtype=torch.float64, requires_grad=True)
        for size in (shape, kernel, kernel[:1])
    ]


def torchs(x, weight, bias):
    pooled = max_pool2d(conv2d(x.permute(3, 1, 0, 2), weight, bias), 2)
    return pooled


@pytest.mark.parametrize(("layer", "shape", "kernel"), SHAPES)
def test_forward_is_torchs_and_gradients_are_those_of_finite_differences(layer, shape, kernel):
    inputs = tensors(shape, kernel)
    assert torch.allclose(from_rows(layer(*inputs)), torchs(*inputs).flatten(1), atol=1e-13)
    assert agrees(layer, inputs)


@pytest.mark.parametrize(("layer", "shape", "kernel"), [SHAPES[1], SHAPES[3]])
@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_the_gradient_of_one_argument(layer, shape, kernel, wanted):
    inputs = tensors(shape, kernel)
    for i, tensor in enumerate(inputs):
        tensor.requires_grad_(i == wanted)
    assert agrees(layer, inputs)


@pytest.mark.parametrize("layer", [by_patches, by_tiles])
def test_a_view_is_read_where_it_lies(layer):
    x, weight, bias = tensors((8, 3, 8, 4), (2, 3, 5, 5))
    part, kernel = x[:, 1:, 2:, ::2], weight[:, 1:]
    ours = layer(part, kernel, bias)
    assert torch.allclose(ours, layer(part.contiguous(), kernel.contiguous(), bias), atol=1e-14)


def test_of_equal_corners_the_first_wins_as_in_torch():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 3, (8, 1, 6, 5), generator=generator).double().requires_grad_()
    kernel, bias = torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    ours, theirs = from_rows(by_patches(x, kernel, bias)), torchs(x, kernel, bias).flatten(1)
    weights = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
    assert torch.equal(ours, theirs)
    (of_ours,), (of_theirs,) = (
        torch.autograd.grad((pooled * weights).sum(), x) for pooled in (ours, theirs)
    )
    assert torch.equal(of_ours, of_theirs)


def test_tiles_in_float32_are_about_as_near_as_torchs_direct_convolution():
    inputs = tensors((12, 20, 12, 10), (50, 20, 5, 5))
    single = [tensor.detach().float() for tensor in inputs]
    exact = torchs(*inputs).flatten(1)
    errors = [
        ((result.double() - exact).norm() / exact.norm()).item()
        for result in (from_rows(by_tiles(*single)), torchs(*single).flatten(1))
    ]
    assert errors[0] < 1e-6
    assert errors[0] < 20 * errors[1]


def test_what_is_kept_between_calls_serves_every_caller():
    x, weight, bias = tensors((6, 1, 6, 1), (1, 1, 3, 3))
    with torch.inference_mode(), torch.device("meta"):
        by_patches(x.detach(), weight.detach(), bias.detach())
        by_tiles(x.detach(), weight.detach(), bias.detach())
    for layer in (by_patches, by_tiles):
        torch.autograd.grad(layer(x, weight, bias).sum(), [x, weight, bias])
