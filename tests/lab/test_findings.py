"""What a synthesis from examples leaves behind: files, a report, and commands around them."""

import json
import re
import subprocess
import sys

import pytest

import dmmlab as dmm
from dmmlab.lab import programs
from dmmlab.lab.cli import main
from dmmlab.lab.findings import describe, save_findings, show
from dmmlab.synthesis.search import Synthesis

ROWS = [
    ("(", "1"),
    ("()", "1 0"),
    ("(()", "1 2 1"),
    ("))(", "-1 -2 -1"),
    ("((((", "1 2 3 4"),
    (")", "-1"),
    (")(", "-1 0"),
]


@pytest.fixture
def examples(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "depth.csv"
    path.write_text("input,target\n" + "".join(f"{x},{y}\n" for x, y in ROWS), encoding="utf-8")
    return path


def test_a_file_of_examples_becomes_a_folder_of_findings(examples, tmp_path, capsys):
    assert main(["synthesize", str(examples), "--holdout", "0.2", "--output", "out"]) == 0
    printed = capsys.readouterr().out
    assert "data loss 0; right on" in printed
    assert "kept in out: machine.json, circuit.svg, stepper.html, program.py, report.md, report.html" in printed
    report = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    for heading in ("What was asked", "What was found", "How sure it is", "What it does", "Files"):
        assert f"## {heading}" in report
    assert "| '(' | 1 | 1 |" in report
    assert "enumeration of small programs" in report
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert 'name="color-scheme" content="light dark"' in page and "<table>" in page and '<img src="circuit.svg"' in page
    done = subprocess.run(
        [sys.executable, "-I", "out/program.py"], input="(()\n", capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 2 1\n"
    assert "right[t]" not in printed + report  # no example asks for it


def test_the_same_command_again_finds_the_same(examples, tmp_path, capsys):
    command = ["synthesize", str(examples), "--output", "out"]
    assert main(command) == 0
    first, printed = (tmp_path / "out/machine.json").read_bytes(), capsys.readouterr().out
    assert main(command) == 0
    assert (tmp_path / "out/machine.json").read_bytes() == first
    assert capsys.readouterr().out == printed


def test_an_old_program_is_asked_new_examples(examples, tmp_path, capsys):
    assert main(["synthesize", str(examples), "--output", "out"]) == 0
    assert main(["check", "out/machine.json", str(examples)]) == 0
    assert "right on 14 examples of up to 4 steps" in capsys.readouterr().out
    (tmp_path / "more.json").write_text(json.dumps([{"input": "((", "target": 5}]), encoding="utf-8")
    assert main(["check", "out/machine.json", "more.json", "--speed", "8"]) == 1
    assert "wrong on 1 of 1 examples of up to 2 steps; the shortest: '((' at 8 ticks a step" in capsys.readouterr().out


def test_what_no_program_does_at_any_speed_is_found_at_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    numbers = [[3, -1, 4], [1, 5, -9, 2, 6], [5, 3], [-5, 8, 9, 7], [9, 3, -2], [3, 8, 4, 6], [2], [-6, 4, -3, 3]]
    rows = [{"input": x, "target": [sum(x[max(i - 2, 0) : i + 1]) for i in range(len(x))]} for x in numbers]
    dmm.write_json("last-three.json", rows)
    assert main(["synthesize", "last-three.json", "--output", "out"]) == 0
    told = capsys.readouterr()
    assert "check it with --speed 8" in told.err and "gives the answers of the 8 examples" in told.out
    assert main(["check", "out/machine.json", "last-three.json", "--speed", "8"]) == 0
    assert main(["synthesize", "last-three.json", "--speed", "8", "--output", "again"]) == 0
    assert "check it with" not in capsys.readouterr().err  # who asks for a speed knows it


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.csv"], "none.csv: cannot read this file of examples"),
        (["depth.csv", "--holdout", "2"], "holdout is 2.0"),
        (["depth.csv", "--speed", "0"], "ticks_per_step is 0"),
        (["depth.csv", "--latency", "-1"], "latency is -1"),
    ],
)
def test_what_is_refused_is_one_line_and_leaves_nothing(examples, tmp_path, capsys, arguments, words):
    before = {path.name for path in tmp_path.rglob("*")}
    assert main(["synthesize", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert {path.name for path in tmp_path.rglob("*")} == before


def test_who_stops_a_search_gets_the_best_so_far(examples, tmp_path, monkeypatch, capsys):
    def stopped(task, seed, on_round, **options):
        entry = {"attempt": 0, "stage": "train", "links": 9, "seconds": 0.0}
        on_round(entry | {"loss": 3.0}, dmm.feedforward(1, 1))
        on_round(entry | {"loss": 0.0}, dmm.write_program("output.dict-1 <- 2 const_1.const_1"))
        on_round(entry | {"loss": None}, dmm.feedforward(1, 1))
        raise KeyboardInterrupt

    monkeypatch.setattr(programs, "synthesize", stopped)
    assert main(["synthesize", str(examples), "--output", "out"]) == 130
    assert "the best so far has 1 links and gives all answers" in capsys.readouterr().out
    assert len(dmm.Machine.load(tmp_path / "out/machine.json").links) == 1


def test_a_program_with_a_loop_is_told_by_a_recurrence(examples, tmp_path, capsys):
    rows = ["".join("ab"[i >> k & 1] for k in range(n)) for n in (1, 2, 3, 4) for i in range(2**n)]
    cells = [" ".join(str(x[: i + 1].count("a") % 2) for i in range(len(x))) for x in rows]
    examples.write_text("input,target\n" + "".join(f"{x},{y}\n" for x, y in zip(rows, cells, strict=True)))
    assert main(["synthesize", str(examples), "--output", "out"]) == 0
    assert re.search(r"p\[t.*\] += .*p\[t−1\]", capsys.readouterr().out)
    done = [sys.executable, "-I", "out/program.py"]
    printed = subprocess.run(done, input="aaba\n", capture_output=True, text=True, check=True).stdout
    assert printed == "1 0 0 1\n"


def found(machine, task):
    loss = dmm.Objective(machine, task).data_loss(machine.vector())
    return Synthesis(machine, loss, dmm.verify(machine, task), [{"stage": "train", "seconds": 1.0}], [machine])


def test_a_machine_that_is_no_program_yet_is_reported_too(tmp_path, monkeypatch, capsys):
    task = dmm.Task.from_examples(["ab", "abab"], [[1, 2], [1, 2, 3, 4]])
    large = dmm.initialize(dmm.feedforward(letters="ab"), scale=0.1, seed=1)
    (tmp_path / "stepper.html").write_text("of another run", encoding="utf-8")
    files = save_findings(found(large, task), task, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*files}
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "stepper" not in report
    assert "There is no formula" in report
    assert "No program that gives all answers was found" in report
    (tmp_path / "ab.csv").write_text("input,target\nab,1 2\n", encoding="utf-8")
    monkeypatch.setattr(programs, "synthesize", lambda task, *_, **__: found(large, task))
    assert main(["synthesize", str(tmp_path / "ab.csv"), "--output", str(tmp_path / "out")]) == 0
    assert "no program that gives all answers was found" in capsys.readouterr().out


def test_numbers_are_shown_as_numbers():
    assert show((1.0, -2.5, "a", {":number": 3}, 0)) == "1 -2.5 a 3 0"
    assert show(({"a": 1, ":number": 2},)) == "{'a': 1.0, ':number': 2.0}"


def test_names_in_examples_are_escaped(tmp_path):
    task = dmm.Task.from_examples([("<b>", "a|b"), ("a|b",)], [[1, 2], [1]])
    result = dmm.synthesize(task, progress=False, attempts=1)
    assert "<b>" not in describe(result, task)
    save_findings(result, task, tmp_path)
    assert "<b>" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_question_is_told():
    task = dmm.Task.from_examples(["ab", "ba", "aabb"], [1, 1, 2])
    result = dmm.synthesize(task, progress=False)
    assert f"They differ on {result.question!r}" in describe(result, task)


def test_other_work_has_a_folder_of_its_own(examples, tmp_path, monkeypatch):
    folders = []

    def note(task, seed, holdout, checkpoint, **_):
        folders.append(checkpoint.parent)
        raise KeyboardInterrupt

    monkeypatch.setattr(programs, "synthesize", note)
    other = tmp_path / "other" / "depth.csv"
    other.parent.mkdir()
    other.write_text(examples.read_text(encoding="utf-8") + "((),1 2 1\n", encoding="utf-8")
    strings = [
        ["hello. all."],
        ["hello all."],
        ["Hello, all!"],
        ["hello-all"],
        ["hello", "all"],
        ["."],
        [" "],
        ["a" * 99],
    ]
    strings += [["a" * 98], ["a b"], ["a", "b"], ["hello. all.", "--seed", "1"]]
    strings += [[str(examples)], [str(other)], [str(examples), "--speed", "8"], [str(examples), "--holdout", "0.2"]]
    strings += [[str(examples), "--latency", "7", "--speed", "8", "9"]]
    for given in strings:
        assert main(["synthesize", *given]) == 130
    assert len({*folders}) == len(strings)
    assert all(folder.parent == tmp_path / "data" / "synthesized" for folder in folders)
    assert main(["synthesize", "hello. all."]) == 130
    assert folders[-1] == folders[0]
    assert folders[0].name.startswith("hello-all-0-")
