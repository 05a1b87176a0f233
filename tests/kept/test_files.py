"""advlib.kept.files: whole-or-nothing writes, checksums, locks."""

import os
import stat
import subprocess
import sys

import pytest

from advlib.kept import files


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failing_writer_leaves_the_old_file(tmp_path, error):
    target = tmp_path / "history.csv"
    target.write_text("old")

    def write():
        with files.replace_file(target) as temporary:
            temporary.write_text("half of the ne")
            raise error

    with pytest.raises(error):
        write()
    assert target.read_text() == "old"
    assert names(tmp_path) == {"history.csv"}


def test_a_target_that_cannot_be_replaced_leaves_no_temporary(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        files.write_bytes(tmp_path / "folder", b"text")
    assert names(tmp_path) == {"folder"}


def test_the_content_is_synced_before_it_has_its_name(tmp_path, monkeypatch):
    steps = []
    sync, replace = os.fsync, os.replace

    def noting_sync(descriptor):
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        steps.append("sync folder" if folder else "sync file")
        sync(descriptor)

    def noting_replace(source, target):
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noting_sync)
    monkeypatch.setattr(os, "replace", noting_replace)
    for content in (b"first", b"second"):
        files.write_bytes(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
    assert steps == ["sync file", "rename", "sync folder"] * 2
    assert names(tmp_path) == {"a"}


def test_checksums_are_those_of_sha256sum(tmp_path):
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "SUMS").write_bytes(files.checksum_lines({"a b": b"abc"}))  # FIPS 180-2, B.1
    assert (tmp_path / "SUMS").read_text() == f"{expected}  a b\n"
    assert files.read_checksums(tmp_path / "SUMS") == {"a b": expected}


@pytest.mark.parametrize("content", [b"abc  a\n", b"0" * 64, b"0" * 64 + b" \n\xff\n"])
def test_damaged_checksums_are_an_error_with_the_path(tmp_path, content):
    (tmp_path / "SUMS").write_bytes(content)
    with pytest.raises(files.DamagedFileError, match="SUMS is damaged"):
        files.read_checksums(tmp_path / "SUMS")


HOLDER = """
import sys, time
from advlib.kept import files
with files.lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_excludes_other_processes_and_dies_with_its_own(tmp_path):
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(TimeoutError, match=r"\.lock is locked"), files.lock(path, wait=0.1):
                pass
        finally:
            holder.kill()
    with pytest.raises(RuntimeError), files.lock(path):
        raise RuntimeError
    with files.lock(path), pytest.raises(TimeoutError), files.lock(path):  # free again, and held
        pass


def test_the_cache_folder_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVLIB_CACHE", str(tmp_path))
    assert files.cache_folder() == tmp_path
    monkeypatch.setenv("ADVLIB_CACHE", "")
    assert files.cache_folder().is_absolute()
    assert "advlib" in files.cache_folder().parts


def test_links_are_followed_and_never_in_a_circle(tmp_path):
    one, other = tmp_path / "data" / "one", tmp_path / "data" / "other"
    for folder, link in ((one, other), (other, one)):
        folder.mkdir(parents=True)
        (folder / "file").write_text("")
        (folder / "link").symlink_to(link)
        (folder / "up").symlink_to(tmp_path / "data")
    assert files.list_files(tmp_path / "data") == [
        place / file for place in (one, other) for file in ("file", "link/file")
    ]
    assert files.list_files(tmp_path / "nowhere") == []
