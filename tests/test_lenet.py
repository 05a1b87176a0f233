"""LeNet against its own layers, and the architecture table against the slides' and gradients."""

from contextlib import nullcontext

import pytest
import torch
from engine import Plain, same_bits, threads
from torch import nn
from torch.nn.functional import conv2d
from torch.nn.utils import prune

import advlib

SLIDES = """
type        input  conv    mpool   conv    mpool   conv    relu    conv    softmxl
name        n/a    layer1  layer2  layer3  layer4  layer5  layer6  layer7  layer8
support     n/a    5       2       5       2       4       1       1       1
filt dim    n/a    1       n/a     20      n/a     50      n/a     500     n/a
num filts   n/a    20      n/a     50      n/a     500     n/a     10      n/a
stride      n/a    1       2       1       2       1       1       1       1
pad         n/a    0       0       0       0       0       0       0       0
rf size     n/a    5       6       14      16      28      28      28      28
rf offset   n/a    3       3.5     7.5     8.5     14.5    14.5    14.5    14.5
rf stride   n/a    1       2       2       4       4       4       4       4
data size   28     24      12      8       4       1       1       1       1
data depth  1      20      20      50      50      500     500     10      1
data num    1      1       1       1       1       1       1       1       1
data mem    3KB    45KB    11KB    12KB    3KB     2KB     2KB     40B     4B
param mem   n/a    2KB     0B      98KB    0B      2MB     0B      20KB    0B
"""


def test_the_architecture_table_is_the_slides_cell_by_cell():
    table = advlib.architecture_table(advlib.LeNet())
    lines = SLIDES.strip().splitlines()
    assert list(table.index) == [line[:12].strip() for line in lines]
    assert table.columns.tolist() == [*range(9)]
    for line, (name, cells) in zip(lines, table.iterrows(), strict=True):
        assert [str(cell) for cell in cells] == line[12:].split(), name


SEQUENCES = {
    "padding": (
        (3, 64, 64),
        [
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1),
            nn.Conv2d(8, 16, 4, stride=3, padding=2),
        ],
    ),
    "same": (
        (2, 40, 40),
        [
            nn.Conv2d(2, 2, 5, padding="same"),
            nn.AvgPool2d(2),
            nn.Conv2d(2, 3, 3, padding="same", dilation=2),
            nn.Conv2d(3, 3, 3, padding="valid"),
        ],
    ),
    "height and width": (
        (1, 60, 80),
        [
            nn.Conv2d(1, 2, (3, 5), stride=(1, 2), padding=(1, 2)),
            nn.AvgPool2d((2, 1)),
            nn.MaxPool2d(3, (2, 1), (0, 1)),
        ],
    ),
    "groups": ((4, 31, 33), [nn.Conv2d(4, 8, 3, groups=2), nn.AvgPool2d(3, 2, ceil_mode=True)]),
    "same, even": ((1, 20, 20), [nn.Conv2d(1, 1, 4, padding="same")]),
}


def centres(layers, shape):
    """Size, first centre and stride of the receptive field: the pixels that outputs depend on.

    Each layer is a convolution with ones, with its geometry: no influence cancels or is hidden.
    """
    pixels = torch.zeros(1, 1, *shape[1:], dtype=torch.float64, requires_grad=True)
    features = pixels
    for layer in layers:
        if not isinstance(layer, nn.ReLU):
            assert isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)
            kernel = layer.kernel_size
            ones = torch.ones(*(kernel if isinstance(kernel, tuple) else (kernel, kernel)))
            features = conv2d(
                features,
                ones[None, None].double(),
                stride=layer.stride,
                padding=layer.padding,
                dilation=getattr(layer, "dilation", 1),
            )
    middle = torch.tensor(features.shape[2:]) // 2

    def extent(row, column):
        (influence,) = torch.autograd.grad(features[0, 0, row, column], pixels, retain_graph=True)
        where = influence[0, 0].nonzero()
        return where.min(0).values, where.max(0).values

    low, high = extent(*middle.tolist())
    next_low, _ = extent(*(middle + 1).tolist())
    stride = next_low - low
    return high - low + 1, (low + high) / 2 + 1 - middle * stride, stride


def cell(pair):
    high, wide = (f"{float(value):g}" for value in pair)
    return high if high == wide else f"{high}x{wide}"


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_the_architecture_table_asks_for_no_values():
    """Whatever the type of the weights and wherever they are."""
    expected = advlib.architecture_table(advlib.LeNet())
    for model in (advlib.LeNet().double(), advlib.LeNet().to("meta")):
        assert advlib.architecture_table(model).equals(expected)


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_table_of_other_sequences(name):
    shape, layers = SEQUENCES[name]
    table = advlib.architecture_table(layers, shape).astype(str)
    data = torch.zeros(1, *shape)
    for number in range(len(layers) + 1):
        if number:
            data = layers[number - 1](data)
            field = [cell(pair) for pair in centres(layers[:number], shape)]
            assert table.loc[["rf size", "rf offset", "rf stride"], number].tolist() == field
        assert table.at["data size", number] == cell(data.shape[2:])
        assert table.at["data depth", number] == str(data.shape[1])
    assert table.equals(advlib.architecture_table(nn.Sequential(*layers), shape).astype(str))


def test_cells_of_other_sequences():
    """What no gradient tells, worked out by hand."""
    groups = advlib.architecture_table(SEQUENCES["groups"][1], (4, 31, 33))
    assert groups[1].tolist()[:7] == ["conv", "layer1", 3, 2, 8, 1, 0]
    # 8 x 29 x 31 floats; 8 x 2 x 3 x 3 weights and 8 biases
    assert groups[1].tolist()[-5:] == ["29x31", 8, 1, "28KB", "608B"]
    assert groups[2].tolist()[:7] == ["apool", "layer2", 3, "n/a", "n/a", 2, 0]
    other = advlib.architecture_table(SEQUENCES["height and width"][1], (1, 60, 80))
    assert other.loc[["support", "stride", "pad"], 1].tolist() == ["3x5", "1x2", "1x2"]
    assert other.loc[["type", "support", "stride", "pad"], 3].tolist() == ["mpool", 3, "2x1", "0x1"]
    dilated = advlib.architecture_table(SEQUENCES["same"][1], (2, 40, 40))
    assert [dilated.at["pad", number] for number in range(6)] == ["n/a", 2, 0, 2, 0, 0]


def test_initial_weights():
    before = torch.get_rng_state()
    model = advlib.LeNet(seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert sum(p.numel() for p in model.parameters()) == 431_080
    for parameter in model.parameters():
        assert parameter.dtype == torch.float32
        if parameter.ndim == 1:
            assert not parameter.any()
            continue
        weights, n = parameter.detach().double(), parameter.numel()
        assert abs(weights.mean()) < 4 * 0.1 / n**0.5
        assert abs(weights.std() / 0.1 - 1) < 4 / (2 * n) ** 0.5
        within = (weights.abs() < 0.1).double().mean()
        assert abs(within - 0.6827) < 4 * 0.47 / n**0.5  # normal, not uniform
    assert same_bits(model, advlib.LeNet(seed=3))
    for ours, theirs in zip(model.parameters(), advlib.LeNet(seed=4).parameters(), strict=True):
        assert ours.ndim == 1 or (ours == theirs).double().mean() < 1e-4


def gradients(model, images):
    """The logits, and the gradients of a fixed weighted sum of them."""
    leaf = images.clone().requires_grad_()
    logits = model(leaf)
    weights = torch.arange(logits.numel()).view_as(logits) % 7 - 3
    wanted = [*model.parameters(), leaf]
    return [logits, *torch.autograd.grad((logits * weights.to(logits.dtype)).sum(), wanted)]


def random_images(n):
    return torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str
)
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("n", [1, 7, 100])
def test_the_fast_passes_agree_with_the_layers(n, number, dtype, tolerance):
    model, images = advlib.LeNet(seed=1).to(dtype), random_images(n).to(dtype)
    with threads(number):
        fast, plain = gradients(model, images), gradients(Plain(model), images)
    for ours, theirs in zip(fast, plain, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).norm() <= tolerance * theirs.norm()


def test_a_single_layer_is_a_table_of_one():
    layer = nn.Conv2d(1, 20, 5)
    assert advlib.architecture_table(layer).equals(advlib.architecture_table([layer]))


@pytest.mark.parametrize("mode", [nullcontext, torch.no_grad, torch.inference_mode])
def test_other_modes_and_layouts_give_the_same_logits(mode):
    model, images = advlib.LeNet(), random_images(6)
    expected = model(images).detach()
    wide = torch.zeros(12, 2, 28, 56)
    given = wide[1::2, 1:, :, ::2]
    given.copy_(images)
    with mode():
        logits = model(given)
    assert logits.requires_grad == (mode is nullcontext)
    assert torch.equal(logits.detach(), expected)
    assert torch.equal(given, images)


def second_derivatives(model, images):
    """Of the penalty on the gradient with respect to the images, and of one on the parameters'."""
    images = images.clone().requires_grad_()
    parameters = [*model.parameters()]
    loss = model(images).logsumexp(1).sum()
    found = torch.autograd.grad(loss, [images, *parameters], create_graph=True)
    penalty = torch.stack([gradient.square().sum() for gradient in found]).sum()
    return [*found, *torch.autograd.grad(penalty, [images, *parameters])]


def test_second_derivatives_are_the_layers():
    model, images = advlib.LeNet().double(), random_images(3).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.3)  # so that the softmax is not saturated
    ours, theirs = (second_derivatives(net, images) for net in (model, Plain(model)))
    for a, b in zip(ours, theirs, strict=True):
        assert b.norm() > 0
        assert (a - b).norm() <= 1e-9 * b.norm()


def test_what_follows_the_operations_sees_the_layers():
    """`torch.func`, `torch.export` and `torch.jit.trace` cannot look into the fast path."""
    model, images = advlib.LeNet(), random_images(3)
    expected = Plain(model)(images)
    traced = torch.jit.trace(model, images)
    shapes = ({0: torch.export.Dim("n", min=1, max=1024)},)
    exported = torch.export.export(model, (images,), dynamic_shapes=shapes).module()
    for other in (traced, exported):
        torch.testing.assert_close(other(images), expected)
    gradient = torch.func.grad(lambda x: model(x).logsumexp(1).sum())(images)
    images.requires_grad_()
    (wanted,) = torch.autograd.grad(model(images).logsumexp(1).sum(), images)
    torch.testing.assert_close(gradient, wanted)


def test_other_numbers_of_classes_and_no_images():
    assert advlib.LeNet(classes=3)(random_images(2)).shape == (2, 3)
    assert advlib.LeNet()(random_images(0)).shape == (0, 10)


class ReLU(nn.ReLU):
    """Another of the name."""

    def forward(self, input):
        return super().forward(input) * 2


def pad(layers):
    layers[2], layers[3] = nn.Conv2d(20, 50, 5, padding="same"), nn.MaxPool2d(3)


def reshape_a_weight(layers):
    """Of half the size, over what is then the upper left of the features."""
    layers[4].weight = nn.Parameter(layers[4].weight[:, :, :3, :3].detach().clone())
    layers[6] = nn.Sequential(layers[6], nn.AdaptiveAvgPool2d(1))


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: prune.l1_unstructured(layers[2], "weight", amount=0.9),
        lambda layers: layers[2].register_forward_hook(lambda _, given, found: 2 * found),
        lambda layers: setattr(layers[5], "forward", lambda given: given.relu() * 2),
        lambda layers: layers.__setitem__(5, ReLU()),
        pad,
        reshape_a_weight,
    ],
)
def test_layers_that_are_not_as_built_are_called_themselves(change):
    model, images = advlib.LeNet(), random_images(3)
    before = model(images)
    change(model.layers)
    expected = model.layers(images).flatten(1)
    assert torch.equal(model(images), expected)
    assert not torch.allclose(before, expected, rtol=1e-3)


def test_hooks_on_all_modules_are_called():
    model, images, seen = advlib.LeNet(), random_images(3), []
    hooked = nn.modules.module.register_module_forward_hook(
        lambda module, given, found: seen.append(type(module).__name__)
    )
    try:
        model(images)
    finally:
        hooked.remove()
    assert seen.count("Conv2d") == 4
    assert seen.count("MaxPool2d") == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_layer_by_layer(dtype):
    """What is faster rounds more."""
    model, images = advlib.LeNet().to(dtype), random_images(5).to(dtype)
    assert torch.equal(model(images), model.layers(images).flatten(1))
    model, images = advlib.LeNet(), random_images(5)
    with torch.autocast("cpu", dtype):
        assert torch.equal(model(images), model.layers(images).flatten(1))


def test_torchs_default_device_makes_no_difference():
    expected = advlib.LeNet(seed=3), advlib.pretrained("mixed")
    with torch.device("meta"):
        found = advlib.LeNet(seed=3), advlib.pretrained("mixed")
    assert all(map(same_bits, expected, found))
