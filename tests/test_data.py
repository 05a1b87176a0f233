"""advlib.load_data with a name: the split, the training scale, where the files come from."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from folders import idx_bytes
from hypothesis import given
from hypothesis import strategies as st

import advlib
from advlib.data import Split, idx, known, load_data
from advlib.kept.files import DamagedFileError
from advlib.kept.folders import MNIST

FASHION = Path("/usr/share/datasets/fashion-mnist")
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = FILES = tuple(idx.FILES.values())


def made_up(train=5010, test=20):
    """Return the four files of a small data set, the same each time."""
    random = np.random.default_rng(0)
    contents = {}
    for (part, kind), file in idx.FILES.items():
        count = train if part == "train" else test
        top, shape = (256, (count, 28, 28)) if kind == "images" else (10, (count,))
        contents[file] = idx_bytes(random.integers(0, top, shape))
    return contents


CONTENTS = made_up()
IMAGES, LABELS = CONTENTS[TRAIN_IMAGES], CONTENTS[TRAIN_LABELS]


def put(folder, contents, *, gzipped=False):
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        path = folder / f"{name}.gz" if gzipped else folder / name
        path.write_bytes(gzip.compress(content, 1) if gzipped else content)
    return folder


def unpacked(file):
    """Return a bundled file, read without advlib."""
    return gzip.decompress((MNIST / f"{file}.gz").read_bytes())


@pytest.fixture(scope="module")
def mnist():
    return load_data()


@pytest.fixture(scope="module")
def pixels():
    """The bundled training images as they are in the file."""
    return np.frombuffer(unpacked(TRAIN_IMAGES), np.uint8, offset=16).reshape(60000, 1, 28, 28)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


def test_mnist_is_split_as_in_the_slides_in_the_files_order(mnist):
    for split, count in ((mnist.train, 55000), (mnist.validation, 5000), (mnist.test, 10000)):
        assert len(split) == count
        assert (split.images.dtype, split.images.shape) == (torch.float32, (count, 1, 28, 28))
        assert (split.labels.dtype, split.labels.shape) == (torch.int64, (count,))
    labels = [*mnist.train.labels.tolist(), *mnist.validation.labels.tolist()]
    assert labels == list(unpacked(TRAIN_LABELS)[8:])
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert mnist.name == "MNIST"
    assert mnist.classes == tuple("0123456789")


def test_a_sample_is_like_the_whole(mnist):
    """Its error is within three standard errors; the first images of the file are far off."""
    model, (images, labels) = advlib.pretrained("adversarial"), vars(mnist.test).values()
    attacked = Split(advlib.fgsm(model, images, labels, 0.1, bounds=mnist.bounds), labels)
    whole, sampled, first = (
        advlib.evaluate(model, each.images, each.labels).error
        for each in (attacked, attacked.sample(1000), attacked.first(1000))
    )
    deviation = (whole * (100 - whole) / 1000) ** 0.5
    assert abs(sampled - whole) < 3 * deviation
    assert first - whole > 3 * deviation


def test_a_sample_has_each_class_by_its_share(mnist):
    labels = torch.arange(10).repeat(7).sort().values
    split = Split(torch.arange(70.0), labels)
    for n in (10, 20, 30):
        assert split.sample(n).labels.bincount().tolist() == [n // 10] * 10
    assert torch.equal(split.sample(30).images[:10], split.sample(10).images)
    assert split.sample(100).images.sort().values.tolist() == [*map(float, range(70))]
    shares = mnist.test.sample(1000).labels.bincount() - mnist.test.labels.bincount() / 10
    assert shares.abs().max() <= 1


def test_scale_is_the_slides(mnist):
    assert mnist.low == pytest.approx(-0.49753804, abs=1e-7)
    assert mnist.high == pytest.approx(0.98579365, abs=1e-7)
    assert mnist.epsilon_in_pixels(0.1) == pytest.approx(0.14833317, abs=1e-8)
    assert mnist.train.images[0].min() == 0
    assert mnist.train.images[0].max() == 1


def test_images_are_the_files_pixels_on_the_training_scale(mnist, pixels):
    total = np.zeros((1, 28, 28))
    for image in pixels[:55000]:
        total += image
    mean = total / 55000 / 255
    np.testing.assert_allclose(mnist.mean_image.numpy(), mean, rtol=1e-13)
    assert mnist.mean_image.dtype == torch.float64
    first = pixels[0] / 255 - mean
    for images, raw in (
        (mnist.train.images[-9:], pixels[54991:55000]),
        (mnist.validation.images[:9], pixels[55000:55009]),
        (mnist.train.images[::5000], pixels[:55000:5000]),
    ):
        expected = (raw / 255 - mean - first.min()) / (first.max() - first.min())
        np.testing.assert_allclose(images.numpy(), expected, rtol=1e-6, atol=1e-7)
        inputs = mnist.to_inputs(torch.from_numpy(raw / 255).float())
        torch.testing.assert_close(inputs, images, rtol=0, atol=1e-6)


def test_the_fingerprint_is_what_trainings_are_kept_under(mnist):
    """Of the contents' SHA-256 and the number of training images: it does not change by itself."""
    sums = [hashlib.sha256(unpacked(file)).hexdigest() for file in FILES]
    assert mnist.fingerprint == hashlib.sha256("\n".join([*sums, "55000"]).encode()).hexdigest()


def test_fewer_training_images_are_the_first_and_a_tenth_as_many_validate(mnist):
    few, most = load_data(images=600), load_data(images=54_000)
    assert torch.equal(few.train.images, mnist.train.images[:600])
    assert torch.equal(few.train.labels, mnist.train.labels[:600])
    assert torch.equal(few.validation.images, mnist.validation.sample(60).images)
    assert torch.equal(most.validation.images, mnist.validation.images)  # not more than there are
    assert torch.equal(few.test.images, mnist.test.images)
    assert torch.equal(few.mean_image, mnist.mean_image)
    assert few.fingerprint != mnist.fingerprint


@given(
    values=st.lists(st.floats(-0.5, 1.5, width=32), min_size=1, max_size=8),
    kind=st.sampled_from([torch.float32, torch.float64]),
)
def test_maps_are_inverses_to_float_precision(mnist, values, kind):
    pixels = torch.tensor(values, dtype=kind)[:, None, None, None].expand(-1, 1, 28, 28)
    for back in (
        mnist.to_pixels(mnist.to_inputs(pixels)),
        mnist.to_inputs(mnist.to_pixels(pixels)),
    ):
        torch.testing.assert_close(back, pixels, rtol=0, atol=4 * torch.finfo(kind).eps)


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), TypeError, r"not torch\.uint8"),
        (np.zeros((1, 28, 28)), TypeError, "not ndarray"),
        (torch.zeros(2, 3, 28, 28), ValueError, r"not \[2, 3, 28, 28\]"),
    ],
)
def test_maps_reject_other_than_images(mnist, images, error, words):
    with pytest.raises(error, match=f"^images must .*{words}"):
        mnist.to_pixels(images)
    with pytest.raises(error, match=f"^pixels must .*{words}"):
        mnist.to_inputs(images)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"name": "CIFAR10"}, ValueError, "dataset must be one of MNIST, .*'CIFAR10'"),
        ({"images": 0}, ValueError, "images must be .* not 0"),
        ({"folder": "/no/such"}, FileNotFoundError, "/no/such is not a folder.*t10k-labels"),
    ],
)
def test_wrong_arguments(arguments, error, words):
    with pytest.raises(error, match=words):
        load_data(**arguments)


def test_a_users_folder_gzipped_or_not(tmp_path):
    plain = load_data("KMNIST", folder=put(tmp_path / "plain", CONTENTS))
    packed = load_data("KMNIST", folder=str(put(tmp_path / "packed", CONTENTS, gzipped=True)))
    assert [len(plain.train), len(plain.validation), len(plain.test)] == [10, 5000, 20]
    assert len(plain.classes) == 10
    assert {*plain.train.labels.tolist()} == {*range(10)}  # whatever the order of the file
    assert plain.fingerprint == packed.fingerprint
    assert torch.equal(plain.train.images, packed.train.images)
    assert torch.equal(plain.test.labels, packed.test.labels)
    for path in (tmp_path / "packed").iterdir():  # as a browser leaves it that unpacks
        path.rename(path.with_suffix(""))
    assert load_data("KMNIST", folder=tmp_path / "packed").fingerprint == plain.fingerprint


def test_a_folder_may_have_other_counts_but_needs_training_images(tmp_path):
    folder = put(tmp_path / "a", made_up(train=5002))
    assert len(load_data(folder=folder).train) == 2
    with pytest.raises(ValueError, match=r"images must be at most 2, .* not 3"):
        load_data(folder=folder, images=3)
    put(tmp_path / "a", made_up(train=5000))
    with pytest.raises(ValueError, match="has 5000 training images; more than 5000 are needed"):
        load_data(folder=folder)


def test_the_fingerprint_follows_the_contents(tmp_path):
    found = {load_data(folder=put(tmp_path, CONTENTS)).fingerprint}
    for file in FILES:
        changed = bytearray(CONTENTS[file])
        changed[-1] ^= 1
        found.add(load_data(folder=put(tmp_path, CONTENTS | {file: bytes(changed)})).fingerprint)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        *((TRAIN_IMAGES, IMAGES[:end], "not a whole IDX") for end in (0, 9, -1)),
        (TRAIN_LABELS, LABELS[:-1], "not a whole IDX file of labels"),
        (TRAIN_IMAGES, IMAGES + b"\0", "not a whole IDX"),
        (TRAIN_IMAGES, LABELS, "not a whole IDX file of images"),
        (TRAIN_IMAGES, b"\0\0\x0d\3" + IMAGES[4:], "not a whole IDX"),
        (TRAIN_IMAGES, b"\0\0\x08\3" + b"\xff" * 12 + IMAGES[16:], "not a whole IDX"),
        (TRAIN_IMAGES, idx_bytes(np.zeros((5010, 28, 27))), "28, 27"),
        (TRAIN_IMAGES, idx_bytes(np.zeros((5009, 28, 28))), "5009 images .* 5010 labels"),
        (TRAIN_IMAGES, idx_bytes(np.full((5010, 28, 28), 7)), "no scale"),
        (TRAIN_LABELS, idx_bytes(np.full(5010, 10)), "labels must be from 0 to 9, not 10"),
        (TEST_IMAGES, idx_bytes(np.zeros((0, 28, 28))), "has 0 images"),
    ],
)
def test_malformed_files_are_refused(tmp_path, file, content, words):
    with pytest.raises(ValueError, match=words):
        load_data(folder=put(tmp_path, CONTENTS | {file: content}))


def test_mnist_is_known_by_its_content(tmp_path, mnist):
    folder = put(tmp_path / "a", {file: unpacked(file) for file in FILES})
    data = load_data(folder)
    assert (data.name, data.fingerprint) == ("MNIST", mnist.fingerprint)
    with pytest.raises(DamagedFileError, match="has the files of MNIST, not KMNIST's"):
        load_data("KMNIST", folder=folder)
    changed = bytearray(unpacked(TEST_LABELS))
    changed[-1] ^= 1
    put(folder, {TEST_LABELS: bytes(changed)})
    assert load_data(folder).name == "a"


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist_is_known_by_its_content():
    assert load_data(FASHION).name == "FashionMNIST"
    with pytest.raises(DamagedFileError, match="has the files of FashionMNIST, not MNIST's"):
        load_data("MNIST", folder=FASHION)


@pytest.mark.parametrize("damage", ["cut", "flip", "header"])
def test_damaged_gzip_files_are_errors_with_the_path(tmp_path, damage):
    path = put(tmp_path, CONTENTS, gzipped=True) / f"{TRAIN_IMAGES}.gz"
    content = bytearray(path.read_bytes())
    content[0 if damage == "header" else len(content) // 2] ^= 1
    path.write_bytes(content[:-1000] if damage == "cut" else content)
    with pytest.raises(DamagedFileError, match=f"{TRAIN_IMAGES}.gz is "):
        load_data(folder=tmp_path)


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_folders_own_checksums_are_held_against_it(tmp_path, gzipped):
    sums = (f"{hashlib.sha256(data).hexdigest()}  {file}\n" for file, data in CONTENTS.items())
    (tmp_path / "SHA256SUMS").write_text("".join(sums))
    load_data(folder=put(tmp_path, CONTENTS, gzipped=gzipped))
    changed = bytearray(CONTENTS[TEST_IMAGES])
    changed[5000] ^= 1
    put(tmp_path, {TEST_IMAGES: bytes(changed)}, gzipped=gzipped)
    with pytest.raises(DamagedFileError, match=f"{TEST_IMAGES}.* is damaged.*SHA256SUMS"):
        load_data(folder=tmp_path)


def test_the_bundle_has_checksums_and_its_licence():
    """`load_data` holds the files against them."""
    lines = (MNIST / "SHA256SUMS").read_text().splitlines()
    assert {line.split()[1] for line in lines} == {*FILES}
    assert "CC BY-SA 3.0" in (MNIST / "README.md").read_text()


@contextlib.contextmanager
def serving(handler):
    """A server's address, while inside."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A server that torchvision takes for FashionMNIST's; its folder."""
    folder = put(tmp_path / "site", CONTENTS, gzipped=True)
    packed = [folder / f"{file}.gz" for file in FILES]
    sums = [(path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in packed]
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with serving(handler) as address:
        monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [address])
        monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", sums)
        yield folder


def test_downloads_are_kept_checked_and_made_again(cache, site):
    """Without a network the error says which files to put where."""
    data = load_data("FashionMNIST")
    assert data.classes[0] == "T-shirt/top"
    hidden = site.rename(site.with_name("gone"))
    assert load_data("FashionMNIST").fingerprint == data.fingerprint

    path = cache / "FashionMNIST" / f"{TRAIN_IMAGES}.gz"
    content = bytearray(path.read_bytes())
    content[999] ^= 1
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match="FashionMNIST could not be downloaded") as caught:
        load_data("FashionMNIST")
    message = str(caught.value)
    assert all(part in message for part in ('load_data("FashionMNIST", folder=...)', *FILES))
    assert "\n" not in message
    hidden.rename(site)
    assert load_data("FashionMNIST").fingerprint == data.fingerprint


class SilentServer(http.server.BaseHTTPRequestHandler):
    """Says nothing more within a file."""

    def do_GET(self):
        self.connection.settimeout(None)  # in this process the limit is the server's too
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(bytes(10))
        self.wfile.flush()
        if self.headers["Method"] != "HEAD":  # torchvision asks that first
            self.rfile.read(1)  # until the other side gives up


@pytest.mark.usefixtures("cache", "site")
def test_a_silent_server_ends_the_download_and_the_next_begins_anew(monkeypatch):
    monkeypatch.setattr(known, "SILENCE", 0.3)
    with serving(SilentServer) as address, monkeypatch.context() as patch:
        patch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [address])
        with pytest.raises(RuntimeError, match=r"FashionMNIST .* downloaded \(.*timed out\)"):
            load_data("FashionMNIST")
    assert socket.getdefaulttimeout() is None
    monkeypatch.setattr(known, "SILENCE", 600)
    assert load_data("FashionMNIST").classes[0] == "T-shirt/top"


MEMORY = """
import pathlib, torch
def peak():
    return int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
from advlib.data import load_data
before = peak()
data = load_data()
print((peak() - before) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_loading_takes_little_more_memory_than_the_images():
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    # in 2**20 bytes; the float32 images are 209.4 of them, their bytes in the file 52.3
    assert 210 < float(done.stdout) < 2 * 209.4 - 20, "there is a second copy of the images"
