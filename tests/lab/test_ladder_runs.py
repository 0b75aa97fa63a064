"""The ladder climbed: what is examined, what is kept, the table of it, and what is shown meanwhile."""

import distributed
import numpy as np
import pytest
from conftest import refused

import dmmlab as dmm
from dmmlab.examples.ladder import LADDER
from dmmlab.files import read_json, write_json
from dmmlab.lab import ladder, rungs
from dmmlab.lab.board import Board
from dmmlab.lab.cli import main
from dmmlab.lab.ladder import COLUMNS, Settings, choose, climb_ladder, read_results

EVENS = "dot.dict-1 <- input.char\naccum.dict-2 <- dot.dot\noutput.dict-1 <- accum.dict\n"


def counts_digits(digits):
    return dmm.write_program(EVENS + "\n".join(f"dot.dict-2 <- letter-{digit}.char" for digit in digits))


# ---- one task with one seed ----


def test_a_program_is_examined_on_a_thousand_strings_and_long_ones_and_at_a_speed_it_never_saw():
    task = dmm.ladder_task("evens counter", 5)
    found = rungs.examine_rung(counts_digits("02468"), "evens counter", task, 0)
    assert found.passed
    assert (found.strings, found.longest) == (1009, 1000)
    assert found.table < 100
    wrong = rungs.examine_rung(counts_digits("0246"), "evens counter", task, 0)
    assert wrong.failed > 700
    assert wrong.counterexample == min((x for x in rungs.test_inputs("evens counter", 0) if "8" in x), key=len)


def test_the_examination_is_at_the_speeds_of_the_task_and_another():
    task = dmm.ladder_task("evens counter", 5)
    asked = rungs.ask("evens counter", task, ["12", "3", "4"], [8, 11, 13])
    assert (asked.ticks_per_character, asked.latency) == ((8, 11, 13), 7)
    assert [pair[0] for pair in asked.due[0]] == [0.0, 1.0]


def test_answers_end_where_they_are_no_longer_exact():
    task = dmm.ladder_task("newton magnetic", 2)
    inputs = rungs.test_inputs("newton magnetic", 0)
    asked = rungs.ask("newton magnetic", task, inputs, [1])
    assert max(map(len, inputs)) == 1000 > max(map(len, asked.strings)) > 50
    assert max(np.abs(due).max() for due in asked.due) <= 2.0**40
    assert len(asked.strings) == len(inputs)


def test_words_of_languages_stay_words():
    for word in rungs.test_inputs("a^n b^n", 0):
        assert word == "a" * (len(word) // 2) + "b" * (len(word) // 2)


def test_a_counter_is_asked_deep_words():
    task = dmm.ladder_task("a^n b^2n", 3)
    found = rungs.stress(counts_digits("a"), "a^n b^2n", task, deepest=300)
    assert (found.strings, found.longest, found.failed) == (3, 900, 3)
    for name in rungs.DEEPEST:
        word, targets = rungs.deep_word(name, 3), LADDER[name].target(rungs.deep_word(name, 3))
        assert [*dict.fromkeys(word)] == [*dict.fromkeys(rungs.DEEPEST[name])]
        assert [right for _, right in targets] == [0] * (len(word) - 1) + [1], "it may end at its end only"
        assert max(map(len, rungs.test_inputs(name, 0))) >= 990
    with refused("'hist' has no deep words"):
        rungs.deep_word("hist", 2)


@pytest.fixture
def searched(monkeypatch):
    """The search ends at once, with what is set here: the machine and what is left of the loss."""
    found = {"machine": counts_digits("02468"), "loss": 0.0}

    def synthesize(task, seed, progress, on_round):
        for _ in range(3):
            on_round({"loss": found["loss"]}, found["machine"])
        raise dmm.DMMError("no attempt ended with a finite loss")

    monkeypatch.setattr(rungs, "synthesize", synthesize)
    return found


def test_a_row_of_what_is_found_wrong_and_not_found(searched):
    row = rungs.climb("evens counter", 0, strings=4, longest=3, seconds=60)
    assert (row["exact"], row["fits"], row["links"], row["failed"]) == (True, True, 8, 0)
    assert row["counterexample"] is None
    assert "Σ" in row["formula"]
    searched["machine"] = counts_digits("0246")
    row = rungs.climb("evens counter", 0, strings=4, longest=3, seconds=60)
    assert (row["exact"], row["fits"], row["strings"]) == (False, True, 4)
    assert "8" in row["counterexample"]
    searched["loss"] = 0.5
    row = rungs.climb("evens counter", 0, strings=4, longest=3, seconds=60)
    assert (row["exact"], row["fits"], row["links"], row["formula"]) == (False, False, None, None)


def test_a_search_is_left_between_rounds_when_its_time_is_over(searched):
    machine, fits = rungs.search(dmm.ladder_task("evens counter", 4), 0, end=-1.0)
    assert fits
    assert len(machine.links) == 8
    searched["loss"] = 0.5
    assert rungs.search(dmm.ladder_task("evens counter", 4), 0, end=-1.0)[1] is False


# ---- many ----


@pytest.fixture
def climbed(monkeypatch):
    """Tasks take no time, in threads of this process; which were tried."""
    tried, local = [], distributed.LocalCluster
    monkeypatch.setattr(distributed, "LocalCluster", lambda preload, **more: local(**more, processes=False))

    def climb(name, seed, strings, longest, seconds):
        tried.append((name, seed))
        if name == "run length":
            raise KeyError("broken")
        row = dict.fromkeys(COLUMNS) | {"exact": name == "hist", "fits": True, "links": 9 - seed, "seconds": 1.5}
        return {key: value for key, value in row.items() if key not in ("task", "rung", "source", "seed")}

    monkeypatch.setattr(ladder, "climb", climb)
    return tried


def test_results_are_kept_and_their_table_is_in_the_order_of_the_ladder(tmp_path, climbed, capsys):
    climb_ladder(["parity all", "hist"], 2, workers=1, output=tmp_path)
    first = (tmp_path / "results.csv").read_bytes()
    rows = read_results(tmp_path / "results.csv")
    assert [(row["task"], row["seed"]) for row in rows] == [
        ("hist", 0), ("hist", 1), ("parity all", 0), ("parity all", 1),
    ]  # fmt: skip
    assert (rows[0]["exact"], rows[0]["links"], rows[0]["seconds"], rows[0]["formula"]) == (True, 9, 1.5, None)
    assert rows[0]["peers"] == LADDER["hist"].peers
    assert len(climbed) == 4
    out = capsys.readouterr().out
    assert "hist                         2/2       8      1.5  195 lines" in out
    assert "4 of 4 runs; 1 of 2 tasks found" in out

    assert len(climb_ladder(["parity all", "hist"], 2, workers=1, output=tmp_path)) == 4
    assert len(climbed) == 4, "all was there"
    climb_ladder(["parity all"], 1, Settings(seconds=5), workers=1, output=tmp_path)
    assert climbed[4:] == [("parity all", 0)], "other settings are another result"
    assert (tmp_path / "results.csv").read_bytes() == first


def test_a_table_without_its_files_keeps_its_rows(tmp_path, climbed):
    climb_ladder(["hist"], 2, workers=1, output=tmp_path / "old")
    (tmp_path / "new").mkdir()
    (tmp_path / "old" / "results.csv").rename(tmp_path / "new" / "results.csv")
    climb_ladder(["distinct"], 1, workers=1, output=tmp_path / "new")
    rows = read_results(tmp_path / "new" / "results.csv")
    assert [row["task"] for row in rows] == ["hist", "hist", "distinct"]


def test_a_result_of_other_code_is_found_anew(tmp_path, climbed):
    climb_ladder(["hist"], 1, workers=1, output=tmp_path)
    (path,) = tmp_path.glob("results/*.json")
    content = read_json(path)
    write_json(path, content | {"row": content["row"] | {"code": "0" * 16}})
    climb_ladder(["hist"], 1, workers=1, output=tmp_path)
    assert len(climbed) == 2
    assert read_json(path)["row"]["code"] == rungs.code_hash()


def test_a_run_that_breaks_does_not_take_others_along(tmp_path, climbed):
    with refused("run length, seed 0: KeyError"):
        climb_ladder(["run length", "hist"], 1, workers=1, output=tmp_path)
    assert [row["task"] for row in read_results(tmp_path / "results.csv")] == ["hist"]


def test_every_result_has_a_file_of_its_own(tmp_path):
    paths = {ladder.Run(name, seed, Settings(), tmp_path).path for name in LADDER for seed in (0, 1)}
    assert len(paths) == 2 * len(LADDER)


def test_tasks_are_chosen_by_name_and_rung():
    assert choose() == [*LADDER]
    assert choose(["hist"], [5])[:2] == ["hist", "tomita 3"]
    with refused("rung is 7; the ladder has the rungs 1 to 5"):
        choose(rungs=[7])
    with refused("no task 'hits'"):
        choose(["hits"])


def test_the_command_refuses_and_tells(tmp_path, climbed, capsys):
    assert main(["ladder", "--task", "hist", "--seeds", "1", "--workers", "1", "--output", str(tmp_path)]) == 0
    assert "table: " in capsys.readouterr().out
    assert main(["ladder", "--seconds", "0"]) == 2
    assert main(["ladder", "--task", "hits"]) == 2
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    climbed.clear()
    assert main(["ladder", "--task", "distinct", "--seeds", "1", "--output", str(tmp_path)]) == 2
    assert "its columns are not those" in capsys.readouterr().err
    assert not climbed, "refused before anything is tried"


def test_a_live_table_is_written_anew(capsys):
    row = {"exact": True, "links": 5, "seconds": 2.0, "peers": "somebody who found it in a very long time"}
    with Board(["hist", "distinct"], 2, live=True) as board:
        board.add(row | {"task": "distinct"})
        board.add(row | {"task": "hist"})
        board.add(row | {"task": "hist", "exact": False})
    shown = capsys.readouterr().out
    parts = shown.split("\x1b[J")
    assert [part.rpartition("\n")[2] for part in parts[:-1]] == ["\r", "\x1b[1A\r", "\x1b[2A\r", "\x1b[1A\r"]
    assert parts[3].splitlines()[0].startswith("hist                         1/2       5")
    last = parts[-1].splitlines()
    assert last[0].startswith("distinct                     1/2       5")
    assert last[-1] == "3 of 4 runs; 2 of 2 tasks found"
    assert "…" in last[0]
