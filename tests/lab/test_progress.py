"""What long commands say of themselves: how far they are, how long it may take, and what they have found."""

import itertools
import re

import pytest

from dmmlab.builders import handcrafted_detector
from dmmlab.lab import programs, progress
from dmmlab.lab.cli import main
from dmmlab.lab.programs import Search
from dmmlab.lab.progress import Progress, Status, show_time
from dmmlab.lab.results import show_found

LATER = 1e9  # seconds


@pytest.mark.parametrize(("seconds", "shown"), [(0.9, "0:00"), (67, "1:07"), (3723, "1:02:03")])
def test_times_are_minutes_and_seconds(seconds, shown):
    assert show_time(seconds) == shown


def test_a_log_gets_lines_that_stay_and_no_control_characters(capsys):
    with Progress({"a": 30.0, "b": 10.0}, live=False, silence=LATER) as bar:
        bar.end("a", {"status": "done", "seconds": 3.0}, "links 8")
        bar.end("b", {"status": "failed", "seconds": 1.0})
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"a: done, 3.0 s; links 8 \(1 of 2, about 0:00 left\)", lines[0])
    assert lines[1:] == ["b: failed, 1.0 s (2 of 2, 1 failed)"]


def test_a_log_that_is_silent_for_long_hears_what_runs(capsys, monkeypatch):
    monkeypatch.setattr(progress, "TICK", 0.001)
    bar = Progress({"a": 10.0}, live=False, silence=0.01)
    bar.at("a", 3, 4)
    with bar:
        while bar.told == bar.start:
            pass
    assert re.search(r"^after 0:00: 0 of 1, about 0:00 left; a at cell 3 of 4$", capsys.readouterr().err, re.M)


def test_a_terminal_has_one_line_that_fits_and_is_gone_at_the_end(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    with Status(lambda: "x" * 100, live=True) as status:
        status.tell("a line")
    shown = capsys.readouterr().err
    assert max(len(part) for part in re.findall("x+", shown)) == 31
    assert "a line\n" in shown
    assert shown.endswith("\r\x1b[K")


def test_what_is_left_is_estimated_from_what_is_done():
    clock = Progress({"long": 30.0, "short": 10.0}, live=False)
    clock.start -= 20.0
    assert clock.text() == "0 of 2"
    clock.at("long", 3, 6)  # two of six cells of three quarters
    assert clock.text() == "0 of 2, about 1:00 left; long at cell 3 of 6"


def entry(attempt, stage, loss):
    return {"attempt": attempt, "stage": stage, "links": 1486, "loss": loss, "seconds": 0.0}


def test_a_search_says_where_it_is_and_the_best_so_far(capsys):
    machine, search = handcrafted_detector(), Search(live=False)
    assert search.text() == "attempt 1/12"
    search.after_round(entry(0, "train", None), machine)
    assert "nothing" in search.text()
    search.after_round(entry(0, "train", 2.5), machine)
    assert "attempt 1/12, best 8 links (wrong); train 2/20, about " in search.text()
    search.after_round(entry(0, "cut", 0.0), machine)
    search.after_round(entry(1, "solve", 0.5), machine)
    assert search.text() == "attempt 2/12, best 8 links; solve: 1486 links, loss 0.5"
    assert re.fullmatch(r"attempt 1/12: 1486 links, loss 0, \d+\.\d s; best 8 links\n", capsys.readouterr().err)


def test_the_command_tells_of_each_attempt_in_a_log(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(programs, "LONG", 10)
    (tmp_path / "few.csv").write_text("input,target\nab,1 1\na,1\nba,0 1\n", encoding="utf-8")
    assert main(["synthesize", str(tmp_path / "few.csv"), "--output", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().err
    assert "3 examples: small programs first, then at most 12 attempts" in told
    assert "ticks in all are many" in told
    assert re.search(r"^attempt 1/12: \d+ links, loss \S+, \d+\.\d s; best \d+ links$", told, re.M)


def test_the_first_results_of_a_run_are_told():
    row = {"seed": 3, "status": "done", "cell": None, "right": True, **dict(zip("abcd", itertools.count(0.5)))}
    assert show_found(row, ["seed"]) == "a 0.5, b 1.5, c 2.5"
