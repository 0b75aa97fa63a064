"""Files: written whole or not at all, read strictly, found from anywhere in the project."""

import errno
import hashlib
import json
import os
import sys
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import refused
from hypothesis import given
from hypothesis import strategies as st

from dmmlab import files
from dmmlab.files import DMMError, atomic_write, check_positive, parse_json, read_json, write_json
from dmmlab.lab.project import project_root, save_results

# ---- writing ----


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "new" / "folders" / "file.json"
    content = {"a": [1, 2.5, None, "é\n"], "b": {"c": True}}
    assert write_json(path, content) == path
    assert read_json(path) == content
    assert path.read_bytes().endswith(b"\n")
    assert [each.name for each in path.parent.iterdir()] == ["file.json"]


def test_text_and_bytes_are_written_as_they_are(tmp_path):
    assert atomic_write(tmp_path / "text", "é\r\n").read_bytes() == b"\xc3\xa9\r\n"
    assert atomic_write(str(tmp_path / "bytes"), b"\x00\xff").read_bytes() == b"\x00\xff"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0, 0o666)])
def test_permissions_follow_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        path = atomic_write(tmp_path / "file", "text")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


@pytest.fixture
def old_file(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("old", encoding="utf-8")
    return path


def is_untouched(path):
    return path.read_text(encoding="utf-8") == "old" and list(path.parent.iterdir()) == [path]


def fail(error):
    def failing(*arguments, **options):
        raise error

    return failing


def test_a_rename_that_fails_leaves_the_old_file_alone(old_file, monkeypatch):
    monkeypatch.setattr(files.os, "replace", fail(OSError(errno.EACCES, "Permission denied")))
    with refused("Permission denied", start=old_file):
        atomic_write(old_file, "new")
    assert is_untouched(old_file)


def test_a_disk_that_fills_midway_leaves_the_old_file_alone(old_file, monkeypatch):
    real = Path.open

    class FullDisk:
        def __init__(self, *arguments):
            self.file = real(*arguments)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, data):
            self.file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, refused("No space left", start=old_file):
        patch.setattr(Path, "open", lambda *arguments: FullDisk(*arguments))
        atomic_write(old_file, "a long new text")
    assert is_untouched(old_file)


def test_an_interrupt_midway_leaves_no_temporary_file(old_file, monkeypatch):
    monkeypatch.setattr(files.os, "replace", fail(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        atomic_write(old_file, "new")
    assert is_untouched(old_file)


def test_a_folder_that_is_a_file_is_refused(old_file):
    with refused(start=old_file / "deeper.json"):
        atomic_write(old_file / "deeper.json", "new")
    with refused(start=old_file / "much" / "deeper.json"):
        atomic_write(old_file / "much" / "deeper.json", "new")
    assert is_untouched(old_file)


def test_a_folder_is_not_overwritten(tmp_path):
    with refused(start=tmp_path):
        atomic_write(tmp_path, "new")
    assert list(tmp_path.iterdir()) == []
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}*"))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_not_written(old_file, bad):
    with refused("not finite", start=old_file):
        write_json(old_file, {"a": [1.0, bad]})
    assert is_untouched(old_file)


def test_text_that_utf8_cannot_hold_is_not_written(old_file):
    with refused(start=old_file):
        write_json(old_file, {"\ud800": 1})
    assert is_untouched(old_file)


def test_a_path_with_a_null_character_is_refused(tmp_path):
    with refused():
        atomic_write(tmp_path / "a\0b", "text")
    with refused():
        read_json(tmp_path / "a\0b")


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path):
    path = tmp_path / "file.json"
    mine, anothers = (tmp_path / f".file.json.{number}" for number in (threading.get_native_id(), 0))
    for left in (mine, anothers):
        left.write_text("half of it, and longer than the whole", encoding="utf-8")
    write_json(path, 1)
    assert read_json(path) == 1
    assert sorted(tmp_path.iterdir()) == sorted([path, anothers])


# ---- reading ----

BAD_FILES = {
    "not json": b"{'a': 1}",
    "empty": b"",
    "cut off": b'{"a": 1',
    "two values": b"1 2",
    "not utf-8": b'{"\xff": 1}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "nan": b'{"a": NaN}',
    "infinity": b"[-Infinity]",
    "too large a number": b'{"a": [1e999]}',
    "too large a negative number": b"-1e999",
    "a number of 5000 digits": b"1" * 5000,
    "a key twice": b'{"a": 1, "b": {"c": 1, "c": 1}}',
    "half a character": b'{"a": "\\ud800"}',
    "half a character in a key": b'{"\\uDFFF": 1}',
    "too deep a list": b"[" * 100_000,
    "too deep a dict": b'{"a":' * 100_000,
}


def test_a_file_that_begins_with_the_mark_of_windows_is_read(tmp_path):
    path = tmp_path / "machine.json"
    path.write_text('{"ä": 1}', encoding="utf-8-sig")
    assert read_json(path) == {"ä": 1}


def test_a_character_of_two_halves_is_whole():
    assert parse_json('"\\ud83d\\ude42"') == "🙂"


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_json_is_refused_by_its_path(tmp_path, name):
    path = tmp_path / "bad.json"
    path.write_bytes(BAD_FILES[name])
    with refused(start=f"{path}: "):
        read_json(path)


def test_a_missing_file_and_a_folder_are_refused_by_their_path(tmp_path):
    with refused("matrix file", start=tmp_path / "none.json"):
        read_json(tmp_path / "none.json", "matrix file")
    with refused("matrix file", start=tmp_path):
        read_json(str(tmp_path), "matrix file")


def test_a_key_that_appears_twice_is_named():
    with refused("'twin'"):
        parse_json('{"a": [{"twin": 1, "b": 2, "twin": 1}]}')


def test_a_key_with_a_line_break_is_refused_in_one_line():
    with refused():
        parse_json('{"a\\nb": 1, "a\\nb": 2}')


@given(st.text(max_size=20) | st.binary(max_size=20).map(lambda data: data.decode("latin-1")))
def test_any_text_is_json_or_refused(text):
    try:
        value = parse_json(text)
    except DMMError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert json.loads(json.dumps(value, allow_nan=False)) == value


# ---- numbers ----


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.int64(3), sys.float_info.max, Fraction(1, 2)])
def test_positive_numbers_of_any_type_are_floats(value):
    found = check_positive("rate", value)
    assert type(found) is float and found == value


@pytest.mark.parametrize("value", [0, -1, True, "1", None, float("nan"), float("inf"), 10**400, np.ones(1)], ids=str)
def test_what_is_no_positive_number_is_refused(value):
    with refused("positive number", start="rate is "):
        check_positive("rate", value)


def test_zero_is_one_of_the_numbers_that_are_not_negative():
    assert check_positive("l1", 0, or_zero=True) == 0.0
    with refused("at least 0", start="l1 is -1"):
        check_positive("l1", -1, or_zero=True)


# ---- the project ----


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project" / "notebooks" / "deep").mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").touch()
    return tmp_path / "project"


@pytest.mark.parametrize("folder", ["", "notebooks", "notebooks/deep"])
def test_the_project_is_found_from_its_folders(project, monkeypatch, folder):
    monkeypatch.chdir(project / folder)
    assert project_root() == project


def test_elsewhere_the_current_folder_is_the_project(project, monkeypatch):
    monkeypatch.chdir(project.parent)
    assert project_root() == project.parent
    (project / "pyproject.toml").unlink()
    monkeypatch.chdir(project / "notebooks")
    assert project_root() == project / "notebooks"


def test_numbers_and_arrays_of_numpy_are_written_as_plain_ones(tmp_path):
    write_json(tmp_path / "a.json", {"n": np.int64(3), "x": np.float32(0.5), "v": np.arange(2)})
    assert read_json(tmp_path / "a.json") == {"n": 3, "x": 0.5, "v": [0, 1]}
    with refused(start=tmp_path / "b.json"):
        write_json(tmp_path / "b.json", {"s": {1, 2}})
    assert not (tmp_path / "b.json").exists()


# ---- results and their bits ----


@pytest.fixture
def bits(tmp_path, monkeypatch, capsys):
    """Saves results and returns the bits that were printed."""
    monkeypatch.setenv("DMMLAB_OUTPUT", str(tmp_path))

    def save(content, measured=None):
        assert save_results("09-fit", content, measured) == tmp_path / "data" / "results" / "09-fit.json"
        start, found = capsys.readouterr().out.rsplit(" ", 1)
        assert start == "results of 09-fit: bits"
        return found.removesuffix("\n")

    return save


def test_bits_are_the_hash_of_what_is_not_measured(bits, tmp_path):
    found = bits({"b": [0.1, "é"], "a": {10: None}}, measured={"seconds": 1.5})
    text = '{"a": {"10": null}, "b": [0.1, "\\u00e9"]}'
    assert found == hashlib.sha256(text.encode()).hexdigest()[:16]
    content = {"b": [0.1, "é"], "a": {"10": None}, "measured": {"seconds": 1.5}}
    assert read_json(tmp_path / "data" / "results" / "09-fit.json") == content
    assert bits({"a": {10: None}, "b": (np.float64(0.1), "é")}, measured={"seconds": 2.5}) == found


def test_bits_change_with_the_last_bit_of_a_number(bits):
    third = 1 / 3
    assert bits([third]) == bits(np.array([third])) != bits([np.nextafter(third, 1)])
    assert bits([1.0]) != bits([1])


@pytest.mark.parametrize("content", [[1.0], {"measured": 1}])
def test_what_is_measured_has_a_place_of_its_own(bits, tmp_path, content):
    with refused("without `measured`", start=tmp_path / "data"):
        bits(content, measured={"seconds": 1.5})
    assert list(tmp_path.iterdir()) == []
    bits(content)


def test_results_that_are_not_written_print_nothing(bits, capsys):
    for wrong in ({"a": float("nan")}, {"a": "\ud800"}):
        with refused("09-fit.json"):
            bits(wrong)
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(os.name != "posix", reason="has no such files")
def test_a_file_does_not_take_the_place_of_something_else(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with refused("there is something else than a file", start=path):
            atomic_write(path, "x")
    assert list(tmp_path.iterdir()) == [pipe]
    assert pipe.is_fifo()
