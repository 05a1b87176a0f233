"""advlib.load_data with a folder of one's own: pictures in folders, IDX files of any size."""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from folders import idx_bytes, put_idx, put_pictures
from PIL import Image
from torch import nn

import advlib
from advlib.data import Dataset, load_data
from advlib.data.pictures import order_evenly
from advlib.kept.layout import digest_files, find_layout, read_shape


def same(first: Dataset, second: Dataset) -> bool:
    parts = ("train", "validation", "test")
    return first.fingerprint == second.fingerprint and all(
        torch.equal(getattr(getattr(first, p), k), getattr(getattr(second, p), k))
        for p in parts
        for k in ("images", "labels")
    )


def test_pictures_are_their_pixels_less_the_mean_image(tmp_path: Path) -> None:
    folder = put_pictures(tmp_path / "my data")
    data = load_data(folder)
    assert (data.name, data.classes) == ("my data", ("ant", "bee", "cat & dog"))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [108, 12, 30]
    assert data.train.images.shape == (108, 3, 12, 16)
    assert (data.preprocessing, data.low, data.high) == ("plain", 0, 1)
    found = data.to_pixels(torch.cat([data.train.images, data.validation.images])).double()
    read = {
        np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes(): path.parent.name
        for path in folder.glob("train/*/*.png")
    }
    labels = [*data.train.labels, *data.validation.labels]
    for image, label in zip(found, labels, strict=True):
        pixels = (image * 255).round().to(torch.uint8).numpy().tobytes()
        assert read.pop(pixels) == data.classes[label]
    assert not read
    mean = found[:108].mean(0)
    torch.testing.assert_close(data.mean_image, mean, rtol=0, atol=1e-7)
    low, high = data.bounds
    torch.testing.assert_close(low, -mean.float(), rtol=0, atol=1e-7)
    torch.testing.assert_close(high, 1 - mean.float(), rtol=0, atol=1e-7)
    assert data.epsilon_in_pixels(0.1) == 0.1


def test_every_beginning_has_each_class_by_its_share(tmp_path: Path) -> None:
    folder = put_pictures(tmp_path)
    for path in sorted((folder / "train" / "bee").iterdir())[20:]:
        path.unlink()
    data = load_data(folder)  # 40, 20 and 40
    for split, n in ((data.train, 10), (data.train, 45), (data.validation, 10), (data.test, 9)):
        share = split.first(n).labels.bincount(minlength=3) / n
        expected = torch.tensor([1 / 3] * 3 if split is data.test else [0.4, 0.2, 0.4])
        assert ((share - expected).abs() <= 1.01 / n).all()
    few = load_data(folder, images=10)
    assert torch.equal(few.train.images, data.train.images[:10])
    assert few.fingerprint != data.fingerprint
    assert torch.equal(few.validation.images, data.validation.images)


def test_names_of_files_and_of_the_folder_decide_nothing(tmp_path: Path) -> None:
    folder = put_pictures(tmp_path / "a")
    data = load_data(folder)
    shutil.copytree(folder, tmp_path / "b")
    for path in [*tmp_path.glob("b/*/*/*.png")]:
        name = hashlib.sha256(path.name.encode()).hexdigest()
        path.rename(path.with_name(f"{name}.png"))
    assert same(load_data(tmp_path / "b"), data)
    before = digest_files(find_layout(folder))
    (folder / "train" / "ant" / "0.png").rename(folder / "train" / "ant" / "x.png")
    assert digest_files(find_layout(folder)) != before


def test_one_changed_pixel_is_other_data(tmp_path: Path) -> None:
    folder = put_pictures(tmp_path)
    data = load_data(folder)
    path = folder / "test" / "bee" / "3.png"
    image = np.array(Image.open(path))
    image[0, 0, 0] ^= 1
    Image.fromarray(image).save(path)
    assert load_data(folder).fingerprint != data.fingerprint


@pytest.mark.parametrize("gzipped", [False, True])
def test_idx_files_of_any_size_and_labels_from_one(tmp_path: Path, gzipped: bool) -> None:
    data = load_data(put_idx(tmp_path, gzipped=gzipped))
    assert data.classes == tuple(map(str, range(1, 27)))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [234, 26, 78]
    assert data.train.images.shape == (234, 1, 16, 16)
    assert sorted(set(data.train.labels.tolist())) == [*range(26)]
    assert (data.preprocessing, data.evenly, data.pictures) == ("plain", (), False)
    plain = tmp_path / "plain"
    assert same(load_data(put_idx(plain)), data)


def test_small_grey_idx_files_are_scaled_as_the_slides_do(tmp_path: Path) -> None:
    data = load_data(put_idx(tmp_path, classes=3, size=(28, 28), prefix="emnist-letters-"))
    assert data.preprocessing == "slides"
    assert (float(data.train.images[0].min()), float(data.train.images[0].max())) == (0, 1)
    assert data.epsilon_in_pixels(1) == data.high - data.low != 1


def test_a_sorted_idx_file_is_drawn_evenly(tmp_path: Path) -> None:
    """As EMNIST's letters: its first thousand test images would be of two classes."""
    data = load_data(put_idx(tmp_path, test_is_sorted=True))
    assert data.evenly == ("test",)
    assert data.test.first(26).labels.tolist() == [*range(26)]


def test_grey_pictures_have_one_channel(tmp_path: Path) -> None:
    data = load_data(put_pictures(tmp_path, shape=(28, 28)))
    assert data.train.images.shape[1:] == (1, 28, 28)
    assert data.preprocessing == "plain"


@pytest.mark.parametrize("counts", [[1, 1], [7, 3, 1], [100, 10]])
def test_the_even_order_is_a_permutation(counts: list[int]) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    ordered, moved = order_evenly(images, labels)
    again, same_labels = order_evenly(images.flip(0), labels.flip(0))
    assert torch.equal(ordered, again)
    assert torch.equal(moved, same_labels)
    assert sorted(ordered.flatten().tolist()) == images.flatten().tolist()
    assert torch.equal(labels[ordered.flatten().long()], moved)


def first(folder: Path) -> Path:
    return folder / "train" / "ant" / "0.png"


def save(image: Image.Image) -> Callable[[Path], object]:
    return lambda folder: image.save(first(folder))


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def remove(folders: Iterable[Path]) -> None:
    for folder in [*folders]:
        shutil.rmtree(folder)


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "unreadable": (lambda f: first(f).write_bytes(b"no picture"), r"ant/0\.png is no picture"),
    "cut": (
        lambda f: first(f).write_bytes(first(f).read_bytes()[:-40]),
        r"ant/0\.png is no picture that can be read .*; replace it or remove it",
    ),
    "empty": (lambda f: first(f).write_bytes(b""), r"ant/0\.png is no picture"),
    "ends early": (
        lambda f: first(f).write_bytes(first(f).read_bytes()[:10]),
        r"ant/0\.png is no picture that can be read \(it ends early\); replace it",
    ),
    "two sizes": (
        lambda f: Image.new("RGB", (16, 13)).save(f / "test" / "bee" / "1.png"),
        r"bee/1\.png is 13 x 16 and colour, and .*ant/0\.png 12 x 16 and colour; all",
    ),
    "two modes": (
        lambda f: Image.new("L", (16, 12)).save(f / "test" / "bee" / "1.png"),
        r"bee/1\.png is 12 x 16 and grey, and .*colour; all pictures must be of one size, and",
    ),
    "transparent": (save(Image.new("RGBA", (16, 12))), r"0\.png has pixels of the mode RGBA; .*"),
    "deep": (save(Image.new("I;16", (16, 12))), r"0\.png has pixels of the mode I;16; "),
    "empty class": (
        lambda f: empty(f / "test" / "bee"),
        r"test/bee has no picture .*: add some, or remove this class from train and test",
    ),
    "class in train only": (
        lambda f: shutil.rmtree(f / "test" / "bee"),
        r"test lacks the class bee, which .*train has",
    ),
    "class in test only": (
        lambda f: shutil.rmtree(f / "train" / "bee"),
        r"train lacks the class bee, which .*test has",
    ),
    "no test": (lambda f: shutil.rmtree(f / "test"), "lacks test; a folder of data has the four"),
    "one class": (
        lambda f: remove(f.glob("*/[ab]*")),
        "train has 1 classes; at least 2 are needed",
    ),
    "no folder": (shutil.rmtree, "is not a folder; a folder of data has the four IDX files"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_pictures_are_named(tmp_path: Path, mistake: str) -> None:
    folder = put_pictures(tmp_path / "data", train=4, test=2)
    damage, words = MISTAKES[mistake]
    damage(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=words) as caught:
        load_data(folder)
    assert "\n" not in str(caught.value)


IDX_MISTAKES = {
    "labels differ": ("t10k-labels-idx1-ubyte", np.full(78, 99), "and .*t10k-labels.* 99; both"),
    "one class": ("train-labels-idx1-ubyte", np.full(260, 3), "has the labels 3, and .*1, 2, 3"),
    "sizes": ("t10k-images-idx3-ubyte", np.zeros((78, 16, 15)), "are 16 x 16 and .* 16 x 15; all"),
    "counts": ("train-labels-idx1-ubyte", np.ones(9), "has 260 images and .* 9 labels; they"),
    "rank": ("train-labels-idx1-ubyte", np.ones((260, 1)), "is not a whole IDX file of labels"),
}


@pytest.mark.parametrize("mistake", IDX_MISTAKES)
def test_mistakes_in_idx_files_are_named(tmp_path: Path, mistake: str) -> None:
    name, values, words = IDX_MISTAKES[mistake]
    (put_idx(tmp_path) / name).write_bytes(idx_bytes(values))
    with pytest.raises(ValueError, match=words):
        load_data(tmp_path)


def test_a_missing_idx_file_and_one_too_many_are_named(tmp_path: Path) -> None:
    folder = put_idx(tmp_path)
    (folder / "emnist-digits-train-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(ValueError, match=r"has two files of train labels, emnist-digits-.*own"):
        load_data(folder)
    (folder / "emnist-digits-train-labels-idx1-ubyte").unlink()
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="lacks the IDX file of test labels; a folder"):
        load_data(folder)


def test_a_folder_goes_with_a_name_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder itself"):
        load_data(put_pictures(tmp_path), folder=tmp_path)


def test_the_shape_is_read_from_the_first_bytes(tmp_path: Path) -> None:
    assert read_shape(find_layout(put_pictures(tmp_path / "a"))) == (3, 12, 16)
    grey = put_pictures(tmp_path / "b", shape=(28, 30))
    assert read_shape(find_layout(grey)) == (1, 28, 30)
    assert read_shape(find_layout(put_idx(tmp_path / "c", gzipped=True))) == (1, 16, 16)


@pytest.mark.parametrize("put", [put_pictures, put_idx])
def test_a_network_learns_and_is_attacked_on_it(
    tmp_path: Path, put: Callable[[Path], Path]
) -> None:
    data = load_data(put(tmp_path))
    torch.manual_seed(0)
    values, classes = data.mean_image.numel(), len(data.classes)
    model = nn.Sequential(nn.Flatten(), nn.Linear(values, 32), nn.ReLU(), nn.Linear(32, classes))
    history = advlib.train(
        model, data, method="mixed", epochs=20, epsilon=0.02, batch_size=20, learning_rate=0.02
    )
    assert history["top1_error_validation"].iloc[-1] < 20
    model.eval()
    images, labels = data.test.images, data.test.labels
    adversarial = advlib.apgd(model, images, labels, 0.3, steps=5, bounds=data.bounds)
    pixels = data.to_pixels(adversarial)
    assert -1e-6 < pixels.min() < pixels.max() < 1 + 1e-6
    clean, attacked = (advlib.evaluate(model, x, labels) for x in (images, adversarial))
    assert clean.error < 20 < attacked.error
