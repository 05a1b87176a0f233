"""advlib.load_data with a folder of one's own: pictures in folders, IDX files of any size."""

import gzip
import hashlib
import shutil
import struct
import zlib

import numpy as np
import pytest
import torch
from folders import idx_bytes, put_idx, put_pictures
from PIL import Image

from advlib.data import load_data
from advlib.data.pictures import order_evenly


def same(first, second):
    parts = ("train", "validation", "test")
    return first.fingerprint == second.fingerprint and all(
        torch.equal(getattr(getattr(first, p), k), getattr(getattr(second, p), k))
        for p in parts
        for k in ("images", "labels")
    )


def test_pictures_are_their_pixels_less_the_mean_image(tmp_path):
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


def test_every_beginning_has_each_class_by_its_share(tmp_path):
    folder = put_pictures(tmp_path)
    for path in sorted((folder / "train" / "bee").iterdir())[20:]:
        path.unlink()
    data = load_data(folder)  # 40, 20 and 40
    for split, n in ((data.train, 10), (data.train, 45), (data.validation, 10), (data.test, 9)):
        share = split.first(n).labels.bincount(minlength=3) / n
        expected = torch.tensor([1 / 3] * 3 if split is data.test else [0.4, 0.2, 0.4])
        assert ((share - expected).abs() <= 1.01 / n).all()
    assert same(load_data(folder, images=1000), data)
    few = load_data(folder, images=10)
    assert torch.equal(few.train.images, data.train.images[:10])
    assert few.fingerprint != data.fingerprint
    assert torch.equal(few.validation.images, data.validation.sample(1).images)


def test_names_of_files_and_of_the_folder_decide_nothing(tmp_path):
    folder = put_pictures(tmp_path / "a")
    data = load_data(folder)
    shutil.copytree(folder, tmp_path / "b")
    for path in [*tmp_path.glob("b/*/*/*.png")]:
        name = hashlib.sha256(path.name.encode()).hexdigest()
        path.rename(path.with_name(f"{name}.png"))
    assert same(load_data(tmp_path / "b"), data)


def test_one_changed_pixel_is_other_data(tmp_path):
    folder = put_pictures(tmp_path)
    data = load_data(folder)
    path = folder / "test" / "bee" / "3.png"
    image = np.array(Image.open(path))
    image[0, 0, 0] ^= 1
    Image.fromarray(image).save(path)
    assert load_data(folder).fingerprint != data.fingerprint


@pytest.mark.parametrize("gzipped", [False, True])
def test_idx_files_of_any_size_and_labels_from_one(tmp_path, gzipped):
    data = load_data(put_idx(tmp_path, gzipped=gzipped))
    assert data.classes == tuple(map(str, range(1, 27)))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [234, 26, 78]
    assert data.train.images.shape == (234, 1, 16, 16)
    assert sorted(set(data.train.labels.tolist())) == [*range(26)]
    assert (data.preprocessing, data.evenly, data.pictures) == ("plain", True, False)
    plain = tmp_path / "plain"
    assert same(load_data(put_idx(plain)), data)


def test_small_grey_idx_files_are_scaled_as_the_slides_do(tmp_path):
    data = load_data(put_idx(tmp_path, classes=3, size=(28, 28), prefix="emnist-letters-"))
    assert data.preprocessing == "slides"
    assert (float(data.train.images[0].min()), float(data.train.images[0].max())) == (0, 1)
    assert data.epsilon_in_pixels(1) == data.high - data.low != 1


def test_grey_pictures_have_one_channel(tmp_path):
    data = load_data(put_pictures(tmp_path, shape=(28, 28)))
    assert data.train.images.shape[1:] == (1, 28, 28)
    assert data.preprocessing == "plain"


@pytest.mark.parametrize("counts", [[1, 1], [7, 3, 1], [100, 10]])
def test_the_even_order_is_a_permutation(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    ordered, moved = order_evenly(images, labels)
    again, same_labels = order_evenly(images[::-1], labels[::-1])
    assert np.array_equal(ordered, again)
    assert np.array_equal(moved, same_labels)
    assert sorted(ordered.ravel()) == images.ravel().tolist()
    assert np.array_equal(labels[ordered.ravel()], moved)


def write(content):
    return lambda folder: (folder / "train" / "ant" / "0.png").write_bytes(content)


def remove(pattern):
    def removed(folder):
        for path in [*folder.glob(pattern)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return removed


def save_as(name, *images, **options):
    first, *rest = images
    if rest:
        options |= {"save_all": True, "append_images": rest}
    return lambda folder: first.save(folder / "train" / "ant" / name, **options)


def deep_colours():
    """A PNG of 16 x 12 colours with 16 bits each, which Pillow cannot write."""

    def chunk(kind, content):
        whole = kind + content
        return len(content).to_bytes(4, "big") + whole + zlib.crc32(whole).to_bytes(4, "big")

    head = (16).to_bytes(4, "big") + (12).to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    rows = zlib.compress(12 * bytes(1 + 16 * 6))
    parts = chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_tiff():
    """A TIFF of 16 x 12 colours with 16 bits each: eight entries, and what they point to."""
    values = {256: 16, 257: 12, 258: 110, 259: 1, 262: 2, 273: 116, 277: 3, 279: 16 * 12 * 6}
    entries = b"".join(
        struct.pack("<HHII", tag, 3, 3 if tag == 258 else 1, value) for tag, value in values.items()
    )
    head = b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4)
    return head + struct.pack("<3H", 16, 16, 16) + bytes(16 * 12 * 6)


def hide_a_class(folder):
    for part in ("train", "test"):
        (folder / part / "ant").rename(folder / part / ".5")


PAGE = Image.new("RGB", (16, 12))
MISTAKES = {
    "unreadable": (write(b"no picture"), r"ant/0\.png is no picture"),
    "cut": (write(b"\x89PNG\r\n\x1a\n\0\0"), r"ant/0\.png is no picture"),
    "two sizes": (save_as("0.png", Image.new("RGB", (16, 13))), "all pictures must be of one size"),
    "two modes": (save_as("0.png", PAGE.convert("L")), "all grey or all colour"),
    "transparent": (save_as("0.png", PAGE.convert("RGBA")), r"0\.png has pixels of the mode RGBA"),
    "deep colours": (write(deep_colours()), r"0\.png has pixels of the mode RGB and 16 bits"),
    "deep colours in PPM": (
        write(b"P6\n# of 10 bits\n16 12\n1023\n" + bytes(16 * 12 * 6)),
        r"0\.png has pixels of the mode RGB and 10 bits",
    ),
    "deep colours in TIFF": (write(deep_tiff()), r"0\.png has .* the mode RGB and 16 bits"),
    "transparent grey": (
        save_as("0.png", PAGE.convert("L"), transparency=0),
        r"0\.png has pixels of the mode L",
    ),
    "a stack": (save_as("x.tif", PAGE, PAGE), r"x\.tif is no picture .*it has 2 frames"),
    "another ending": (save_as("x.gif", PAGE), r"x\.gif has the ending of no picture"),
    "hidden class": (hide_a_class, r"\.5 begins with a dot"),
    "hidden picture": (save_as(".5.png", PAGE), r"ant/\.5\.png: .* begins with a dot"),
    "empty class": (remove("test/bee/*"), r"test/bee has no picture"),
    "class in train only": (remove("test/bee"), "the class bee"),
    "class in test only": (remove("train/bee"), "the class bee"),
    "no test": (remove("test"), "lacks test; a folder of data has the four"),
    "one class": (remove("*/[ab]*"), "at least 2"),
    "no folder": (shutil.rmtree, "is not a folder"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_pictures_are_named(tmp_path, mistake):
    folder = put_pictures(tmp_path / "data", train=4, test=2)
    damage, words = MISTAKES[mistake]
    damage(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=words) as caught:
        load_data(folder)
    assert "\n" not in str(caught.value)


IDX_MISTAKES = {
    "labels differ": ("t10k-labels-idx1-ubyte", np.full(78, 99), r"\[99\]; both must have"),
    "sizes": ("t10k-images-idx3-ubyte", np.zeros((78, 16, 15)), "all must be of one size"),
    "two": ("emnist-digits-train-labels-idx1-ubyte", np.ones(260), "two files of train labels"),
}


@pytest.mark.parametrize("mistake", IDX_MISTAKES)
def test_mistakes_in_idx_files_are_named(tmp_path, mistake):
    name, values, words = IDX_MISTAKES[mistake]
    (put_idx(tmp_path) / name).write_bytes(idx_bytes(values))
    with pytest.raises(ValueError, match=words):
        load_data(tmp_path)


def test_a_missing_idx_file_is_named(tmp_path):
    (put_idx(tmp_path) / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="lacks t10k-labels-idx1-ubyte"):
        load_data(tmp_path)


def test_what_is_hidden_is_no_picture_and_no_class(tmp_path):
    folder = put_pictures(tmp_path)
    data = load_data(folder)
    (folder / "train" / ".ipynb_checkpoints").mkdir()
    (folder / "train" / "ant" / "._0.png").write_bytes(b"macOS's")
    assert same(load_data(folder), data)


@pytest.mark.parametrize("linked", [False, True])
def test_pictures_in_folders_below_are_of_the_class(tmp_path, linked):
    folder = put_pictures(tmp_path / "data")
    data = load_data(folder)
    more = tmp_path / "more" if linked else folder / "train" / "ant" / "more"
    more.mkdir()
    for number in range(3):
        path = folder / "train" / "ant" / f"{number}.png"
        path.rename(more / path.name)
    if linked:
        (folder / "train" / "ant" / "linked").symlink_to(more)
    assert same(load_data(folder), data)


def test_a_picture_is_turned_as_its_camera_was_held(tmp_path):
    folder = put_pictures(tmp_path)
    data = load_data(folder)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    for path in folder.rglob("*.png"):
        Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    assert same(load_data(folder), data)


@pytest.mark.parametrize("labels", [np.repeat([2, 0, 1], [86, 87, 87]), [0, 1] * 110 + [2] * 40])
def test_an_idx_file_in_any_order_gives_each_part_each_class(tmp_path, labels):
    """Grouped by class, and a mixed one that a class was added to; the test part is sorted."""
    put_idx(tmp_path, classes=3, test_is_sorted=True)
    name = tmp_path / "train-labels-idx1-ubyte"
    name.write_bytes(idx_bytes(1 + np.array(labels)))
    data = load_data(tmp_path)
    for part in (data.train.first(9), data.validation, data.test.first(3)):
        assert sorted({*part.labels.tolist()}) == [0, 1, 2]


def test_of_a_file_and_another_unpacked_neither_is_taken(tmp_path):
    put_idx(tmp_path)
    name = "train-labels-idx1-ubyte"
    content = (tmp_path / name).read_bytes()
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    load_data(tmp_path)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content[:-1] + b"\1"))
    with pytest.raises(ValueError, match="have different contents"):
        load_data(tmp_path)


def test_a_folder_goes_with_a_name_only(tmp_path):
    with pytest.raises(ValueError, match="is a folder itself"):
        load_data(put_pictures(tmp_path), folder=tmp_path)
