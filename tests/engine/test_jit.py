"""Compiled code is kept, looked up by all of the engine's sources, and made anew where nothing can be kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dmmlab.engine import jit

ROOT = Path(__file__).parents[2]
TOTAL = "import numpy as np; from dmmlab.engine.sums import total, _span_sums as f; print(total(np.ones(3)), "


def python(code, root=ROOT):
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    command = [sys.executable, "-c", code]  # it looks for modules in the current folder first
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=root)
    return run.stdout.split()


def test_a_second_process_finds_the_code_until_any_source_of_the_engine_changes(tmp_path):
    shutil.copytree(ROOT / "dmmlab", tmp_path / "dmmlab", ignore=shutil.ignore_patterns("__pycache__"))
    hits = TOTAL + "sum(f.stats.cache_hits.values()))"
    assert [python(hits, tmp_path) for _ in range(2)] == [["3.0", "0"], ["3.0", "1"]]
    with (tmp_path / "dmmlab" / "engine" / "lanes.py").open("a", encoding="utf-8") as file:
        file.write("# something else\n")
    assert [python(hits, tmp_path) for _ in range(2)] == [["3.0", "0"], ["3.0", "1"]]


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same():
    nowhere = """
import numba.core.caching as caching
for each in vars(caching).values():
    if hasattr(each, "_locator_classes"):
        each._locator_classes = []
"""
    assert python(nowhere + TOTAL + "type(f._cache).__name__)") == ["3.0", "NullCache"]


def test_a_first_call_that_takes_long_says_so(capfd, monkeypatch):
    class Waits:
        def __init__(self, seconds, function):
            assert seconds == 1.0
            self.function, self.daemon = function, False

        def start(self):
            self.function()

        def cancel(self):
            pass

    monkeypatch.setattr(jit, "Timer", Waits)
    monkeypatch.setattr(jit, "_ready", set())
    found = []
    for dtype in ("one", "one", "another"):
        jit.call(found.append, dtype, 1)
    assert found == [1, 1, 1]
    assert capfd.readouterr().err.count("compiling") == 1


def test_an_error_of_the_first_call_is_raised_and_it_stays_the_first():
    with pytest.raises(ZeroDivisionError):
        jit.call(lambda: 1 / 0, "test")
