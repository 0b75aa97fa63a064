"""The published files of the 2022 journal: what is shipped, and what a clone has (DMMLAB_CLONE names its folder)."""

import os
import struct

import numpy as np
import pytest
from conftest import refused

import dmmlab as dmm
from dmmlab.builders import CLOCK
from dmmlab.lab import journal

CLONE = os.environ.get("DMMLAB_CLONE", "")
needs_clone = pytest.mark.skipif(not CLONE, reason="DMMLAB_CLONE names no clone of anhinga/julia-flux-drafts")
MATRIX = {"norm-1-1": {"dict": {"accum-1-1": {"dict": 0.5}}}, "accum-1-1": {"dict-2": {"input": {"char": -1.25}}}}
MATRIX["output"] = {"dict-1": {"norm-1-1": {"norm": 2.0}, "accum-1-1": {"dict": 3.0}}}


def serialized(matrix):
    """The bytes of Julia's Serialization, version 15: types once, strings of eight bytes and more once."""
    known, out = [], [journal.HEADER]

    def refer(number):
        out.append(b"\x2c" + struct.pack("<H", number))

    def write_type(depth):
        if ("type", depth) in known:
            return refer(known.index(("type", depth)))
        known.append(("type", depth))
        out.append(b"\x10" + journal.DICT + b"\x00\x21")
        return write_type(depth + 1) if depth < 3 else out.append(b"\x00\x0d")

    def write(value, depth=0):
        if isinstance(value, float):
            out.append(b"\x0d" + struct.pack("<f", value))
        elif isinstance(value, dict):
            out.append(b"\x35")
            known.append("a dictionary")
            write_type(depth)
            out.append(struct.pack("<i", len(value)))
            for key, part in value.items():
                write_string(key)
                write(part, depth + 1)

    def write_string(text):
        if text in known:
            return refer(known.index(text))
        if len(text) > 7:
            known.append(text)
            out.append(b"\x39")
        return out.append(b"\x21" + bytes([len(text)]) + text.encode())

    write(matrix)
    return b"".join(out)


def test_a_serialized_matrix_is_read(tmp_path):
    path = tmp_path / "some-matrix.ser"
    path.write_bytes(serialized(MATRIX))
    assert journal.read_matrix(path) == dmm.VValue(MATRIX)


@pytest.mark.parametrize("cut", [0, 5, 8, 9, 40, 100, -1])
def test_what_is_no_serialized_matrix_is_refused_by_its_path(tmp_path, cut):
    path = tmp_path / "some-matrix.ser"
    path.write_bytes(serialized(MATRIX)[:cut])
    with refused("some-matrix.ser: not a matrix as Julia's Serialization writes it"):
        journal.read_matrix(path)


def test_odd_bytes_are_read_or_refused_in_one_line(tmp_path):
    good, path = serialized(MATRIX), tmp_path / "some-matrix.ser"
    refusals = 0
    for place in range(len(good)):
        for other in (0, good[place] ^ 1, 0x2C, 0x35):
            path.write_bytes(good[:place] + bytes([other]) + good[place + 1 :])
            try:
                journal.read_matrix(path)
            except dmm.DMMError as error:
                assert str(error).startswith(str(path))
                refusals += 1
    assert refusals > len(good)


def test_the_links_of_the_clock_move_where_they_belong(tmp_path):
    dmm.save_matrix(MATRIX | {"timer": {"timer": {"timer": {"timer": 1.0}}}}, tmp_path / "early.json")
    assert journal.read_matrix(tmp_path / "early.json") == dmm.VValue(MATRIX)
    assert {*CLOCK} <= {*journal.machine_of(dmm.VValue(MATRIX)).fixed_links}


def test_a_shipped_matrix_is_read_by_its_name():
    matrix = dmm.load_published("run-2.1-after-510-steps")
    assert len([*matrix.leaves()]) == 930
    with refused("no matrix 'sparse22'; there are: cf-july-65-links, "):
        dmm.load_published("sparse22")


# Data losses as published, and those of the first measurements of these machines in double precision.
LOSSES = {
    ("sparse20-after-100-steps", "test string.", 140, 10): 0.0016100588,
    ("sparse20-after-100-steps", "test string.", 150, 10): 0.6776272,
    ("run-3-2500-steps", "test string.", 140, 10): 0.05603,
    ("run-3-2500-steps", "test string.", 280, 20): 1268,
    ("sparse16-after-2500-steps", "test string.", 280, 20): 0.04982,
    ("sparse21-after-1000-steps", "hello. all.", 130, 10): 1.012,
    ("cf-july-65-links", "aaaaaaa", 75, 10): 1.343,
    ("cf-s2-16-dash-2", "a.b.c.", 80, 10): 121.5,
}


@pytest.mark.parametrize(("case", "published"), LOSSES.items())
def test_a_published_machine_answers_as_published(case, published):
    name, string, ticks, speed = case
    machine = dmm.machine_of(dmm.load_published(name))
    task = dmm.Task([string], ticks=ticks, ticks_per_character=speed, teacher=dmm.handcrafted_detector())
    assert dmm.Objective(machine, task).data_loss(machine.vector()) == pytest.approx(published, rel=5e-4)


def test_neurons_of_layers_remember_and_those_of_the_recurrent_machine_do_not():
    layered = dmm.machine_of(dmm.load_published("sparse20-after-100-steps"))
    assert "accum-1-2.dict-1 <- accum-1-2.dict" in map(str, layered.fixed_links)
    recurrent = dmm.machine_of(dmm.load_published("run-2.1-after-510-steps"), dot_clip=100.0)
    assert {*recurrent.fixed_links} == {*CLOCK}
    wide = dmm.recurrent(1, 100.0).with_weights(recurrent.weights)
    np.testing.assert_allclose(dmm.run(recurrent, "test."), dmm.run(wide, "test."), rtol=1e-9, atol=1e-12)


def test_losses_are_read_out_of_a_log(tmp_path):
    log = tmp_path / "README.md"
    log.write_text(
        "julia> steps!(2)\nSTEP 1 ====\nprereg loss 6.29e7 regularization 1215.8\nloss 6.3e7\n"
        "prereg loss 2.5f-2 reg_l1 7.8\nthe prereg loss 3 falls\n"
    )
    assert journal.read_losses(log).tolist() == [6.29e7, 0.025]
    log.write_text("prereg loss much\n")
    with refused("README.md: prereg loss 'much' is no number"):
        journal.read_losses(log)
    log.write_text("nothing\n")
    with refused("README.md: no line begins with 'prereg loss'"):
        journal.read_losses(log)
    with refused("missing.md: cannot read this log"):
        journal.read_losses(tmp_path / "missing.md")


@pytest.mark.parametrize("find", [journal.find_matrices, journal.find_logs])
def test_a_folder_that_is_no_clone_is_refused(tmp_path, find):
    with refused("give the path of a clone of github.com/anhinga/julia-flux-drafts"):
        find(tmp_path)


@needs_clone
def test_all_matrices_of_a_clone_load_and_answer():
    found = journal.find_matrices(CLONE)
    assert len(found) == 139
    for name, path in found.items():
        machine = dmm.machine_of(journal.read_matrix(path))
        assert np.isfinite(dmm.run(machine, "ab", ticks=20)).all(), name


@needs_clone
def test_both_formats_of_a_matrix_hold_the_same():
    found = journal.find_matrices(CLONE)
    pairs = [name for name in found if name.endswith(".json") and f"{name[:-5]}.ser" in found]
    assert len(pairs) > 9
    for name in pairs:
        ours, theirs = (dict(journal.read_matrix(found[name[:-5] + end]).leaves()) for end in (".json", ".ser"))
        assert ours.keys() == theirs.keys()
        assert all(np.float32(weight) == np.float32(theirs[link]) for link, weight in ours.items())


@needs_clone
def test_all_logs_of_a_clone_are_read():
    losses = {name: journal.read_losses(path) for name, path in journal.find_logs(CLONE).items()}
    assert len(losses) >= 25
    assert len(losses["v0-1/compare-free/README.md"]) == 2500
    assert losses["rough-sketches/run-2.1/README.md"][0] == 577.4583
