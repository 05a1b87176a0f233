"""Square: valid images within epsilon, for which no gradient was asked."""

import pytest
import torch

import advlib
from advlib.square import square


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 4, 30)])
def test_its_images_are_valid_near_and_made_without_a_gradient(shape):
    random = torch.Generator().manual_seed(0)
    images = torch.rand(30, *shape, generator=random)
    low, high = torch.zeros(shape) - 0.1, torch.ones(shape)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(images[0].numel(), 3)).eval()
    labels = model(images).argmax(1)
    with torch.no_grad():  # a gradient would be an error
        made = square(model, images, labels, 0.3, bounds=(low, high), queries=50)
        state = torch.random.get_rng_state()
        again = square(model, images, labels, 0.3, bounds=(low, high), queries=50)
    assert torch.equal(made, again)
    assert torch.equal(state, torch.random.get_rng_state())
    assert float((made - images).abs().max()) <= 0.3 + 1e-6
    assert ((made >= low) & (made <= high)).all()
    assert advlib.evaluate(model, made, labels).error > 10
    assert square(model, images, labels, 0.0, bounds=(low, high)) is images
