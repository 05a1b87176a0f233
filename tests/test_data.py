"""advlib.data and advlib.data.idx: the split, the training scale, where the files come from."""

import functools
import gzip
import hashlib
import http.server
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from advlib.data import Dataset, idx, load_data
from advlib.data import known as downloads
from advlib.kept.files import DamagedFileError, cache_folder, read_checksums
from advlib.kept.layout import KNOWN
from advlib.settings import DATASETS

Pixels = npt.NDArray[np.uint8]
FASHION = Path("/usr/share/datasets/fashion-mnist")


def idx_bytes(values: npt.ArrayLike) -> bytes:
    """Write an IDX file: two zero bytes, 8 for uint8, the rank, the sizes, the values."""
    array = np.asarray(values, np.uint8)
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def made_up(train: int = 5010, test: int = 20) -> dict[str, bytes]:
    """Return the four files of a small data set, the same each time."""
    random = np.random.default_rng(0)
    contents = {}
    for (images, labels), count in ((idx.TRAIN, train), (idx.TEST, test)):
        contents[images] = idx_bytes(random.integers(0, 256, (count, 28, 28)))
        contents[labels] = idx_bytes(random.integers(0, 10, count))
    return contents


def put(folder: Path, contents: dict[str, bytes], *, gzipped: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        path = folder / f"{name}.gz" if gzipped else folder / name
        path.write_bytes(gzip.compress(content, 1) if gzipped else content)
    return folder


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADVLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield load_data()


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    """The bundled training images as they are in the file, read without torchvision."""
    content = gzip.decompress((idx.BUNDLED / f"{idx.TRAIN[0]}.gz").read_bytes())
    return np.frombuffer(content, np.uint8, offset=16).reshape(60000, 1, 28, 28)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADVLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


def test_mnist_is_split_as_in_the_slides(mnist: Dataset) -> None:
    for split, count in ((mnist.train, 55000), (mnist.validation, 5000), (mnist.test, 10000)):
        assert len(split) == count
        assert (split.images.dtype, split.images.shape) == (torch.float32, (count, 1, 28, 28))
        assert (split.labels.dtype, split.labels.shape) == (torch.int64, (count,))
    assert mnist.name == "MNIST"
    assert mnist.classes == tuple("0123456789")


def test_mnist_labels_are_in_the_files_order(mnist: Dataset) -> None:
    content = gzip.decompress((idx.BUNDLED / f"{idx.TRAIN[1]}.gz").read_bytes())
    labels = [*mnist.train.labels.tolist(), *mnist.validation.labels.tolist()]
    assert labels == list(content[8:])
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_scale_is_the_slides(mnist: Dataset) -> None:
    assert mnist.low == pytest.approx(-0.49753804, abs=1e-7)
    assert mnist.high == pytest.approx(0.98579365, abs=1e-7)
    assert mnist.epsilon_in_pixels(0.1) == pytest.approx(0.14833317, abs=1e-8)
    assert mnist.train.images[0].min() == 0
    assert mnist.train.images[0].max() == 1


def test_images_are_the_files_pixels_on_the_training_scale(mnist: Dataset, pixels: Pixels) -> None:
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


def test_fewer_training_images_are_the_first_and_change_nothing_else(
    mnist: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ADVLIB_CACHE", str(tmp_path))
    few = load_data(images=600)
    assert torch.equal(few.train.images, mnist.train.images[:600])
    assert torch.equal(few.train.labels, mnist.train.labels[:600])
    assert torch.equal(few.validation.images, mnist.validation.images)
    assert torch.equal(few.test.images, mnist.test.images)
    assert torch.equal(few.mean_image, mnist.mean_image)
    assert few.fingerprint != mnist.fingerprint


@given(
    values=st.lists(st.floats(-0.5, 1.5, width=32), min_size=1, max_size=8),
    kind=st.sampled_from([torch.float32, torch.float64]),
)
def test_maps_are_inverses_to_float_precision(
    mnist: Dataset, values: list[float], kind: torch.dtype
) -> None:
    pixels = torch.tensor(values, dtype=kind)[:, None, None, None].expand(-1, 1, 28, 28)
    for back in (
        mnist.to_pixels(mnist.to_inputs(pixels)),
        mnist.to_inputs(mnist.to_pixels(pixels)),
    ):
        torch.testing.assert_close(back, pixels, rtol=0, atol=4 * torch.finfo(kind).eps)


def test_to_pixels_gives_the_files_pixels(mnist: Dataset, pixels: Pixels) -> None:
    back = mnist.to_pixels(mnist.train.images[:50]) * 255
    np.testing.assert_allclose(back.numpy(), pixels[:50], atol=1e-4)
    inputs = mnist.to_inputs(torch.from_numpy(pixels[:50] / 255).float())
    torch.testing.assert_close(inputs, mnist.train.images[:50], rtol=0, atol=1e-6)


def test_a_step_of_epsilon_is_epsilon_in_pixels(mnist: Dataset) -> None:
    image = mnist.test.images[0].double()
    step = mnist.to_pixels(image + 0.1) - mnist.to_pixels(image)
    assert step.min().item() == pytest.approx(mnist.epsilon_in_pixels(0.1))
    assert step.max().item() == pytest.approx(mnist.epsilon_in_pixels(0.1))


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), TypeError, r"not torch\.uint8"),
        (np.zeros((1, 28, 28)), TypeError, "not ndarray"),
        (torch.zeros(28, 28), ValueError, r"not \[28, 28\]"),
        (torch.zeros(2, 3, 28, 28), ValueError, r"not \[2, 3, 28, 28\]"),
    ],
)
def test_maps_reject_other_than_images(
    mnist: Dataset, images: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"^images must .*{words}"):
        mnist.to_pixels(images)
    with pytest.raises(error, match=f"^pixels must .*{words}"):
        mnist.to_inputs(images)


def test_epsilon_in_pixels_checks_epsilon(mnist: Dataset) -> None:
    with pytest.raises(ValueError, match="epsilon must"):
        mnist.epsilon_in_pixels(-0.1)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"name": "CIFAR10"}, ValueError, "dataset must be one of MNIST, .*'CIFAR10'"),
        ({"images": 0}, ValueError, "images must be .* not 0"),
        ({"images": 1.5}, TypeError, "images must be .* not 1.5"),
        ({"folder": 3}, TypeError, "folder must be a path, not 3"),
        ({"folder": "/no/such"}, FileNotFoundError, "/no/such is not a folder.*t10k-labels"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        load_data(**arguments)


@pytest.mark.parametrize("name", DATASETS)
def test_a_users_folder_gzipped_or_not(tmp_path: Path, name: str) -> None:
    contents = made_up()
    plain = load_data(name, folder=put(tmp_path / "plain", contents))
    packed = load_data(name, folder=str(put(tmp_path / "packed", contents, gzipped=True)))
    assert [len(plain.train), len(plain.validation), len(plain.test)] == [10, 5000, 20]
    assert len(plain.classes) == 10
    assert plain.fingerprint == packed.fingerprint
    assert torch.equal(plain.train.images, packed.train.images)
    assert torch.equal(plain.test.labels, packed.test.labels)
    assert {path.name for path in (tmp_path / "packed").iterdir()} == {
        f"{file}.gz" for file in idx.FILES
    }


def test_class_names() -> None:
    assert idx.classes("FashionMNIST")[::9] == ("T-shirt/top", "Ankle boot")
    assert idx.classes("KMNIST")[:3] == ("o", "ki", "su")


def test_a_folder_may_have_other_counts_but_needs_training_images(tmp_path: Path) -> None:
    folder = put(tmp_path / "a", made_up(train=5002))
    assert len(load_data(folder=folder).train) == 2
    with pytest.raises(ValueError, match=r"images must be at most 2, .* not 3"):
        load_data(folder=folder, images=3)
    put(tmp_path / "a", made_up(train=5000))
    with pytest.raises(ValueError, match="has 5000 images; more than 5000 are needed"):
        load_data(folder=folder)


def test_the_fingerprint_follows_the_contents(tmp_path: Path) -> None:
    contents = made_up()
    found = {load_data(folder=put(tmp_path / "a", contents)).fingerprint}
    for file in idx.FILES:
        changed = bytearray(contents[file])
        changed[-1] ^= 1
        put(tmp_path / "a", contents | {file: bytes(changed)})
        found.add(load_data(folder=tmp_path / "a").fingerprint)
    assert len(found) == 5


def test_missing_files_are_named(tmp_path: Path) -> None:
    contents = made_up()
    del contents[idx.TEST[1]]
    with pytest.raises(FileNotFoundError, match=r"a lacks t10k-labels-idx1-ubyte; .*\.gz"):
        load_data(folder=put(tmp_path / "a", contents))


CONTENTS = made_up()
IMAGES = CONTENTS[idx.TRAIN[0]]
LABELS = CONTENTS[idx.TRAIN[1]]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        *((idx.TRAIN[0], IMAGES[:end], "not a whole IDX") for end in (0, 3, 9, 16, 1000, -1)),
        *((idx.TRAIN[1], LABELS[:end], "not a whole IDX") for end in (0, 3, 8, -1)),
        (idx.TRAIN[0], IMAGES + b"\0", "not a whole IDX"),
        (idx.TRAIN[0], LABELS, "not a whole IDX file of images"),
        (idx.TRAIN[1], IMAGES, "not a whole IDX file of labels"),
        (idx.TRAIN[0], b"<html>no such page</html>" * 99, "not a whole IDX"),
        (idx.TRAIN[0], b"\0\0\x0d\3" + IMAGES[4:], "not a whole IDX"),
        (idx.TRAIN[0], b"\0\0\x08\3" + b"\xff" * 12 + IMAGES[16:], "not a whole IDX"),
        (idx.TRAIN[0], idx_bytes(np.zeros((5010, 28, 27))), r"28 x 28, not \[28, 27\]"),
        (idx.TRAIN[0], idx_bytes(np.zeros((5009, 28, 28))), "5009 images .* 5010 labels"),
        (idx.TRAIN[1], idx_bytes(np.full(5010, 10)), "labels must be from 0 to 9, not 10"),
        (idx.TRAIN[0], idx_bytes(np.full((5010, 28, 28), 7)), "no scale"),
    ],
)
def test_malformed_files_are_errors_with_the_path(
    tmp_path: Path, file: str, content: bytes, words: str
) -> None:
    folder = put(tmp_path / "a", CONTENTS | {file: content})
    with pytest.raises(ValueError, match=words) as caught:
        load_data(folder=folder)
    assert str(folder / file) in str(caught.value)


@pytest.mark.parametrize("gzipped", [True, False])
def test_a_file_is_what_its_first_bytes_say(tmp_path: Path, gzipped: bool) -> None:
    """A browser may unpack a file and leave its name, or the other way round."""
    good = load_data(folder=put(tmp_path / "good", CONTENTS))
    misnamed = tmp_path / "misnamed"
    for path in put(tmp_path / "a", CONTENTS, gzipped=gzipped).iterdir():
        misnamed.mkdir(exist_ok=True)
        path.rename(misnamed / (path.stem if gzipped else f"{path.name}.gz"))
    found = load_data(folder=misnamed)
    assert found.fingerprint == good.fingerprint
    assert torch.equal(found.train.images, good.train.images)


@pytest.mark.parametrize("gzipped", [True, False])
@pytest.mark.parametrize("file", idx.FILES)
def test_files_of_a_known_data_set_are_not_taken_for_anothers(
    tmp_path: Path, file: str, gzipped: bool
) -> None:
    content = gzip.decompress((idx.BUNDLED / f"{file}.gz").read_bytes())
    folder = put(tmp_path / "a", CONTENTS)
    (folder / file).unlink()
    put(folder, {file: content}, gzipped=gzipped)
    with pytest.raises(DamagedFileError, match=f"{file}.* is not of KMNIST: .* a file of MNIST; "):
        load_data("KMNIST", folder=folder)


def test_the_bundled_files_are_known() -> None:
    assert KNOWN["MNIST"] == tuple(
        read_checksums(idx.BUNDLED / idx.CHECKSUMS)[file] for file in (*idx.TRAIN, *idx.TEST)
    )


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
@pytest.mark.parametrize("packed", [True, False])
def test_fashion_mnist_is_not_taken_for_anothers(tmp_path: Path, packed: bool) -> None:
    """Also packed anew, by others than torchvision's server."""
    read = {file: gzip.decompress((FASHION / f"{file}.gz").read_bytes()) for file in idx.FILES}
    folder = put(tmp_path / "a", read, gzipped=packed)
    for name in ("MNIST", "KMNIST"):
        with pytest.raises(DamagedFileError, match=f"not of {name}: it is a file of FashionMNIST"):
            load_data(name, folder=folder)


def test_a_packed_file_is_known_by_what_torchvision_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(tmp_path / "a", CONTENTS, gzipped=True)
    assert load_data("KMNIST", folder=folder).name == "KMNIST", "of no known data set"
    md5 = hashlib.md5((folder / f"{idx.TEST[1]}.gz").read_bytes()).hexdigest()
    fashion = torchvision.datasets.FashionMNIST
    assert dict(fashion.resources).keys() == {f"{file}.gz" for file in idx.FILES}
    monkeypatch.setattr(fashion, "resources", [(f"{idx.TEST[1]}.gz", md5)])
    for name in ("KMNIST", "MNIST"):
        with pytest.raises(DamagedFileError, match=f"not of {name}: it is a file of FashionMNIST"):
            load_data(name, folder=folder)
    assert load_data("FashionMNIST", folder=folder).name == "FashionMNIST"


def test_empty_test_set(tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match="t10k-images-idx3-ubyte"):
        load_data(folder=put(tmp_path / "a", made_up(test=0)))


@pytest.mark.parametrize("damage", ["cut", "flip", "header", "empty"])
def test_damaged_gzip_files_are_errors_with_the_path(tmp_path: Path, damage: str) -> None:
    folder = put(tmp_path / "a", made_up(), gzipped=True)
    path = folder / f"{idx.TRAIN[0]}.gz"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[-1000:]
    elif damage == "empty":
        content.clear()
    else:
        content[0 if damage == "header" else len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=f"{idx.TRAIN[0]}.gz is "):
        load_data(folder=folder)


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_folders_own_checksums_are_held_against_it(tmp_path: Path, gzipped: bool) -> None:
    contents = made_up()
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {file}\n" for file, content in contents.items()
    )
    folder = put(tmp_path / "a", contents, gzipped=gzipped)
    (folder / "SHA256SUMS").write_text(sums)
    load_data(folder=folder)
    changed = bytearray(contents[idx.TEST[0]])
    changed[5000] ^= 1
    put(folder, {idx.TEST[0]: bytes(changed)}, gzipped=gzipped)
    with pytest.raises(DamagedFileError, match=f"{idx.TEST[0]}.* is damaged.*SHA256SUMS"):
        load_data(folder=folder)


def test_the_bundle_is_mnist() -> None:
    lines = (idx.BUNDLED / "SHA256SUMS").read_text().splitlines()
    for line in lines:
        checksum, file = line.split()
        content = gzip.decompress((idx.BUNDLED / f"{file}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == checksum
    assert len(lines) == 4
    assert "CC BY-SA 3.0" in (idx.BUNDLED / "README.md").read_text()


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small bundle in place of MNIST's, to be damaged."""
    contents = made_up()
    folder = put(tmp_path / "bundle", contents, gzipped=True)
    (folder / "SHA256SUMS").write_text(
        "".join(f"{hashlib.sha256(data).hexdigest()}  {file}\n" for file, data in contents.items())
    )
    monkeypatch.setattr(idx, "BUNDLED", folder)
    return folder


def test_the_bundle_is_unpacked_once(cache: Path, bundle: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in bundle.iterdir()}
    load_data()
    folder = cache / "MNIST"
    assert {path.name for path in folder.iterdir()} == {*idx.FILES, ".lock"}
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    load_data()
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times
    assert {path: path.stat().st_mtime_ns for path in bundle.iterdir()} == before


@pytest.mark.parametrize("file", idx.FILES)
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
@pytest.mark.usefixtures("bundle")
def test_a_damaged_unpacked_file_is_made_again(cache: Path, file: str, damage: str) -> None:
    good = load_data().fingerprint
    path = cache / "MNIST" / file
    content = bytearray(path.read_bytes())
    (path.parent / ".part-0123abcd-left by a killed process").write_bytes(content[:9])
    if damage == "flip":
        content[-1] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-1])
    else:
        path.unlink()
    assert load_data().fingerprint == good
    assert {path.name for path in path.parent.iterdir()} == {*idx.FILES, ".lock"}


@pytest.mark.parametrize("file", [f"{idx.TRAIN[0]}.gz", f"{idx.TEST[1]}.gz", "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["flip", "cut", "replace", "remove"])
def test_a_damaged_bundle_is_an_error_with_path_and_remedy(
    cache: Path, bundle: Path, file: str, damage: str
) -> None:
    path = bundle / file
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "replace":
        content = bytearray(gzip.compress(b"something else"))
    path.unlink()
    if damage != "remove":
        path.write_bytes(content)
    with pytest.raises(DamagedFileError) as caught:
        load_data()
    # A checksum that is another one tells against the file that it is of, and is named with it.
    assert str(path) in str(caught.value)
    assert "install advlib again" in str(caught.value)
    assert not any(path.name.startswith(".part") for path in (cache / "MNIST").iterdir())


@pytest.mark.usefixtures("bundle")
def test_a_cache_that_cannot_be_written_is_an_error_that_says_how_to_choose_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ADVLIB_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"cannot write .*ADVLIB_CACHE"):
        load_data()


FIND = "from advlib.data import idx; idx.find('MNIST', None)"


def test_two_processes_may_unpack_at_once(cache: Path) -> None:
    both = [subprocess.Popen([sys.executable, "-c", FIND]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert {path.name for path in (cache / "MNIST").iterdir()} == {*idx.FILES, ".lock"}
    assert idx._intact("MNIST", cache / "MNIST")


class Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server that torchvision takes for FashionMNIST's; its folder."""
    folder = put(tmp_path / "site", made_up(), gzipped=True)
    handler = functools.partial(Server, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sums = [
            (f"{file}.gz", hashlib.md5((folder / f"{file}.gz").read_bytes()).hexdigest())
            for file in idx.FILES
        ]
        fashion = torchvision.datasets.FashionMNIST
        monkeypatch.setattr(fashion, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(fashion, "resources", sums)
        yield folder
        server.shutdown()


def test_downloads_are_kept_checked_and_made_again(
    cache: Path, site: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = load_data("FashionMNIST")
    assert data.classes[0] == "T-shirt/top"
    folder = cache / "FashionMNIST"
    kept = {*idx.FILES, ".lock", "SHA256SUMS"}
    assert {path.name for path in folder.iterdir()} == kept
    assert capfd.readouterr() == ("", "")

    hidden = site.rename(site.with_name("gone"))
    assert load_data("FashionMNIST").fingerprint == data.fingerprint

    path = folder / idx.TRAIN[0]
    content = bytearray(path.read_bytes())
    content[999] ^= 1
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match="FashionMNIST could not be downloaded"):
        load_data("FashionMNIST")
    hidden.rename(site)
    assert load_data("FashionMNIST").fingerprint == data.fingerprint
    assert {path.name for path in folder.iterdir()} == kept


class SilentServer(Server):
    """Says nothing at all, or nothing more within a file."""

    begins = False

    def do_GET(self) -> None:
        self.connection.settimeout(None)  # in this process the limit is the server's too
        if self.begins:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(bytes(10))
            self.wfile.flush()
        if not (self.begins and self.headers["Method"] == "HEAD"):  # torchvision asks that first
            self.rfile.read(1)  # until the other side gives up


@pytest.mark.parametrize("begins", [False, True])
def test_a_silent_server_ends_the_download_and_the_next_begins_anew(
    begins: bool, cache: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fashion = torchvision.datasets.FashionMNIST
    monkeypatch.setattr(downloads, "SILENCE", 0.3)
    monkeypatch.setattr(SilentServer, "begins", begins)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), SilentServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with monkeypatch.context() as patch:
            patch.setattr(fashion, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
            with pytest.raises(RuntimeError, match=r"FashionMNIST .* downloaded \(.*timed out\)"):
                load_data("FashionMNIST")
        server.shutdown()
    assert socket.getdefaulttimeout() is None
    assert {path.name for path in (cache / "FashionMNIST").iterdir()} == {".lock"}
    monkeypatch.setattr(downloads, "SILENCE", 600)
    assert load_data("FashionMNIST").classes[0] == "T-shirt/top"


def test_a_download_with_another_content_is_not_taken(cache: Path, site: Path) -> None:
    (site / f"{idx.TRAIN[1]}.gz").write_bytes(gzip.compress(idx_bytes([1, 2, 3])))
    with pytest.raises(RuntimeError, match="could not be downloaded"):
        load_data("FashionMNIST")
    assert {path.name for path in (cache / "FashionMNIST").iterdir()} == {".lock"}


def test_without_a_network_the_error_says_which_files_to_put_where(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Port 9, discard: nothing listens there.
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(RuntimeError) as caught:
        load_data("KMNIST")
    message = str(caught.value)
    assert 'load_data("KMNIST", folder=...)' in message
    assert all(file in message for file in idx.FILES)
    assert "\n" not in message


MEMORY = """
import pathlib, torch, torchvision
def peak():
    return int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
from advlib.data import load_data
before = peak()
data = load_data()
print((peak() - before) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
@pytest.mark.usefixtures("mnist")
def test_loading_takes_little_more_memory_than_the_images() -> None:
    assert idx._intact("MNIST", cache_folder() / "data" / "MNIST")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    # in 2**20 bytes; the float32 images are 209.4 of them, their bytes in the file 52.3
    assert 210 < float(done.stdout) < 2 * 209.4 - 20, "there is a second copy of the images"


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="has no sha256sum")
@pytest.mark.usefixtures("mnist")
def test_sha256sum_agrees() -> None:
    folder = cache_folder() / "data" / "MNIST"
    command = ["sha256sum", "--check", "--status", str(idx.BUNDLED / "SHA256SUMS")]
    assert subprocess.run(command, cwd=folder, check=False).returncode == 0
