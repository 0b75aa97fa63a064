"""Odd command lines and odd notebooks, drawn at random: each ends with a code and a line, soon, and leaves whole files.

`make test-odd` runs 200 of both, `make test` ten. The number of a test is the seed that it is drawn from.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import dmmlab as dmm
from dmmlab.engine.jit import call
from dmmlab.engine.threads import interrupts_later
from dmmlab.lab.cli import _make_parser, main

SEEDS = range(int(os.environ.get("ODD", "10")))
ENOUGH = 25  # seconds until a command gets Ctrl-C
PATIENCE = 120  # seconds that a notebook may take, or anything after Ctrl-C: twice what is bearable, for busy computers
# A job behind others may not get Ctrl-C, so a command asks for it anew.
BEGIN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
COMMAND = [sys.executable, "-c", f"{BEGIN}; from dmmlab.lab.cli import main; raise SystemExit(main())"]

EXAMPLES = "input,target\na,0\nb,1\nab,1\nba,1\nbb,2\nabb,2\n"
FIT = "import dmmlab as dmm\ndmm.save_results('02-fit', {'loss': rate})\nprint(seed)"
PARAMETERS = "seed: int = 0  # of what is drawn\nrate: float = 0.5\nword: str = 'a'\nsizes: list[int] = [1, 2]"

FILES = {
    "examples.csv": EXAMPLES,
    "empty.csv": "",
    "half.csv": EXAMPLES[:-20] + '"',
    "half.json": '{"a": [1, ',
    "bytes.json": bytes(range(256)),
    "twice.csv": "input,target,input\na,0,b\n",
    "rows.csv": EXAMPLES + "a\na,1,2,3\n",
    "latin.csv": "input,target\né,0\n".encode("latin-1"),
    "utf-16.csv": EXAMPLES.encode("utf-16"),
    "bom.csv": b"\xef\xbb\xbf" + EXAMPLES.replace("\n", "\r\n").encode(),
    "nul.csv": EXAMPLES.replace("ab", "a\0"),
    "a 'file' \"of\" mine.csv": EXAMPLES,
    "huge.csv": EXAMPLES.replace("1", "1e400"),
    "deep.json": "[" * 100_000,
}


def parameters_cell(source=PARAMETERS, id="parameters"):
    return new_code_cell(source, metadata={"tags": ["parameters"]}, id=id)


def notebook_of(*cells):
    texts = [new_code_cell(cell, id=f"cell-{i}") if isinstance(cell, str) else cell for i, cell in enumerate(cells)]
    return new_notebook(cells=[new_markdown_cell("# Fit\n\n**Question.** Does it fit?", id="head"), *texts])


def make_project(root, content):
    (root / "notebooks").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    (root / "notebooks" / "02-fit.ipynb").write_bytes(content)
    dmm.handcrafted_detector().save(root / "machine.json")
    (root / "folder.csv").mkdir()
    for name, content in FILES.items():
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    whole = (root / "machine.json").read_bytes()
    (root / "cut.json").write_bytes(whole[: len(whole) // 2])
    (root / "bom.json").write_bytes(b"\xef\xbb\xbf" + whole.replace(b"\n", b"\r\n"))
    (root / "circle.csv").symlink_to("circle.csv")


# ---- what is left behind ----

ENDS = {".json": b"\n", ".csv": b"\n", ".ipynb": b"}\n", ".svg": b"</svg>\n", ".pdf": b"%%EOF\n", ".md": b"\n"}


def read_all(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def check_files(before, after, replaced=()):
    """What was there is as it was; what is new is whole, and nothing temporary is left."""
    for path, content in before.items():
        assert path in replaced or after.get(path) == content, f"{path} is not as it was"
    for path in after.keys() - before.keys():
        assert not re.search(r"/\.[^/]+\.\d+$", f"/{path}"), f"{path} is temporary"
        if "__pycache__" not in path.parts and path.suffix in ENDS:
            assert after[path].endswith(ENDS[path.suffix]), f"{path} is half a file"
        if path.suffix in (".json", ".ipynb"):
            json.loads(after[path])


def run_command(arguments, root, enough=ENOUGH):
    """Code and outputs of a command in a process of its own; what takes long gets Ctrl-C, and has to end then."""
    given = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "start_new_session": True,
    }
    # Kernels that find this variable do not catch what is written to file 1 or 2.
    given["env"] = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    with subprocess.Popen([*COMMAND, *arguments], cwd=root, **given) as process:
        try:
            try:
                out, told = process.communicate(timeout=enough)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                out, told = process.communicate(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    check_gone(root)
    return process.returncode, out.decode(), told.decode()


def check_gone(root):
    """Nothing that was started there goes on."""

    def is_there(process):
        try:
            return Path(process.cwd()).is_relative_to(root)
        except (psutil.Error, OSError):
            return False

    left = [process for process in psutil.process_iter() if is_there(process)]
    assert not psutil.wait_procs(left, timeout=60)[1]


def check_end(code, out, told):
    code = 130 if code == -signal.SIGINT else code  # for a shell they are the same: Ctrl-C came after the last line
    assert code in (0, 1, 2, 130), (code, told)
    assert "Traceback" not in out + told, told
    if code == 2:
        assert re.match(r"dmmlab( [a-z-]+)?: ", told.splitlines()[-1]), told


# ---- command lines ----

ODD = ["", " ", "0", "-1", "-0", "1e400", "-1e400", "9" * 400, "nan", "inf", "true", "null", "[1,", "{}", "1_0", "0x10"]
ODD += ["é", "🙂", "²", "٣", b"\xff", "a\nb", "\t", "\x7f", "x" * 5000, "a=b=c", "a,b", "%s", "{name}", ":number"]
ODD += ["--", "-", "..", "'", '"', "$HOME", "~", "~nobody", "missing.csv", "folder.csv", "circle.csv", "examples.csv/x"]
ODD += ["/proc/self/mem", *FILES, "cut.json", "bom.json"]
NUMBERS = ["02", "2", "3", "99", "002"]
NAMES = ["seed", "rate", "word", "sizes", "sede", "__class__"]
VALUES = [
    "1",
    "0.5",
    "1e400",
    "[1, 2]",
    "[]",
    '{"a": 1}',
    "1e308",
    "-1e-400",
    "[NaN]",
    '"\\ud800"',
    '"\\0"',
    '"\\u0000"',
]
VARY = [
    "seed=0..1",
    "seed=0..99999999999999",
    "seed=1..0",
    "seed=",
    "=1",
    "rate=1,2",
    "word=a,é",
    "sizes=[[1],[2]]",
    "seed=1,1",
]
PLACES = [
    "out",
    "machine.json",
    "machine.json/x",
    "/proc/none/x",
    "/dev/null",
    "/dev/full",
    "folder.csv",
    "ü/b",
    "x" * 300,
]
COUNTS = ["1", "2", "0", "-3", "100000000000000000000", "1.5"]
WORDS = ["ab.a", "a", "aa.b.", "examples.csv", *FILES]
TIMES = {"--speed": COUNTS, "--latency": COUNTS}
SOME = {"--workers": ["1", "0", "-1", "1.5"], "--scheduler": ["tcp://127.0.0.1:1", "nowhere", "tcp://", "a:b:c"]}
# For each command what its arguments and its options usually hold; None is an option that holds nothing.
COMMANDS = {
    "list": ([], {}),
    "run": ([NUMBERS], {"-p": (NAMES, VALUES), "--output": PLACES, "--in-place": None}),
    "sweep": ([NUMBERS], {"--vary": VARY, "-p": (NAMES, VALUES), "--table": [*PLACES, "t.csv"], "--plot": NAMES}
              | {"--retry": None, "--dry-run": None} | SOME),
    "figures": ([NUMBERS], {"--for": ["nature", "ieee", "Nature"], "--width": ["3.5", "0", "-1", "1e9"]}),
    "synthesize": ([WORDS], {"--seed": COUNTS, "--output": PLACES, "--holdout": ["0.5", "1", "-1", "0.01"]} | TIMES),
    "check": ([["machine.json", "bom.json"], ["examples.csv", "bom.csv", *FILES]], TIMES),
    "ladder": ([], {"--rung": COUNTS, "--task": ["parity all", "parity", "x"], "--seeds": COUNTS, "--strings": COUNTS}
               | {"--longest": COUNTS, "--seconds": COUNTS, "--output": PLACES} | SOME),
    "new-notebook": ([["Does it?", "Does\nit?", "/etc/passwd", "{number}", "?" * 9]], {}),
}  # fmt: skip


def draw_command(rng):
    """A command with arguments and options, of which one in three is odd."""
    name = rng.choice([*COMMANDS, "sweep", "run", "synthesize"])
    usual, options = COMMANDS[name]

    def draw(values):
        return rng.choice(ODD if rng.random() < 1 / 3 else values)

    arguments = [draw(values) for values in usual for _ in range(rng.choice((1, 1, 1, 1, 2, 0)))]
    for option in rng.sample([*options], rng.randint(0, min(3, len(options)))):
        values = options[option]
        held = [] if values is None else [draw(each) for each in (values if isinstance(values, tuple) else (values,))]
        arguments += [option, *held]
    if name == "sweep" and "--vary" not in arguments and rng.random() < 0.8:
        arguments += ["--vary", rng.choice(VARY)]
    return [name, *arguments]


def test_odd_command_lines_have_every_command_and_option():
    actions = _make_parser()._actions
    (commands,) = (action.choices for action in actions if action.dest == "command")
    assert commands.keys() == COMMANDS.keys()
    for name, command in commands.items():
        actions = [action for action in command._actions if action.dest != "help"]
        usual, options = COMMANDS[name]
        assert len([action for action in actions if not action.option_strings]) == len(usual), name
        told = [option for option in options if any(option in action.option_strings for action in actions)]
        assert [*options] == told and len(told) == len([each for each in actions if each.option_strings]), name
        for action in actions:
            held = next((options[each] for each in action.option_strings if each in options), "argument")
            assert (action.nargs == 0) == (held is None), (name, action.option_strings)


def test_odd_files_are_read_or_refused_in_a_line(tmp_path, monkeypatch, capsys):
    root = tmp_path / "project"
    make_project(root, b"")
    monkeypatch.chdir(root)
    before = read_all(root)
    good = {"examples.csv", "bom.csv", "nul.csv", "a 'file' \"of\" mine.csv", "machine.json", "bom.json"}
    places = {"circle.csv", "folder.csv", "missing.csv", "examples.csv/x", "/proc/self/mem", "", "a\0b", "x" * 5000}
    for name in [*before, *places]:
        codes = {main(["check", "machine.json", str(name)]), main(["check", str(name), "examples.csv"])}
        told = [line for line in capsys.readouterr().err.splitlines() if "compiling the engine" not in line]
        assert codes == ({1, 2} if str(name) in good else {2}), name
        assert len(told) == 3 - len(codes) and all(line.startswith("dmmlab: ") for line in told), told
        assert str(name) not in places or not any("UTF-8" in line for line in told), told
    assert read_all(root) == before


@pytest.mark.parametrize("option", ["--speed", "--latency"])
@pytest.mark.parametrize("ticks", ["1" + "0" * 8, "1" + "0" * 20])
def test_more_ticks_than_memory_holds_are_refused(option, ticks, tmp_path, monkeypatch, capsys):
    make_project(tmp_path / "project", b"")
    monkeypatch.chdir(tmp_path / "project")
    assert main(["check", "machine.json", "examples.csv", option, ticks]) == 2
    assert main(["synthesize", "examples.csv", option, ticks]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and all("too many" in line for line in told), told
    assert not Path("data").exists()


LINES = [["run", "a\nb"], ["figures", "a\nb"], ["check", "a\r\nb", "x"], ["sweep", "a\nb", "--vary", "seed=1"]]
LINES += [
    ["new-notebook", "a", "b\nc"],
    ["list", "a\n"],
    ["a\nb"],
    ["ladder", "--rung", "\n1\nx"],
    ["figures", "--for", "\n"],
]


@pytest.mark.parametrize("arguments", LINES)
def test_arguments_with_line_ends_are_refused_in_a_line(arguments, tmp_path, monkeypatch, capsys):
    make_project(tmp_path / "project", nbformat.writes(notebook_of(parameters_cell(), FIT)).encode())
    monkeypatch.chdir(tmp_path / "project")
    try:
        code = main(arguments)
    except SystemExit as stop:  # argparse tells the usage first
        code = stop.code
    check_end(code, *capsys.readouterr())
    assert code == 2


HUGE = [
    ["sweep", "2", "--vary", "seed=0..99999999999999"],
    ["sweep", "2", "--vary", "seed=0..999", "--vary", "rate=" + ",".join(map(str, range(999)))],
    ["sweep", "2", "--vary", "seed=0.." + "9" * 5000],
    ["ladder", "--seeds", "1" + "0" * 20],
    ["ladder", "--strings", "1" + "0" * 20],
    ["ladder", "--longest", "1" + "0" * 20],
]


@pytest.mark.parametrize("arguments", HUGE, ids=range(len(HUGE)))
def test_more_than_anybody_waits_for_is_refused_before_it_fills_the_memory(arguments, tmp_path, monkeypatch, capsys):
    make_project(tmp_path / "project", nbformat.writes(notebook_of(parameters_cell(), FIT)).encode())
    monkeypatch.chdir(tmp_path / "project")
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "too many" in line or "does not read as int" in line
    assert not Path("data").exists()


@pytest.mark.parametrize("do", [interrupts_later, None], ids=["block", "compiled"])
def test_ctrl_c_waits_for_the_end(do):  # llvmlite tells a traceback and goes on where it arrives while it compiles
    done = []

    def work():
        signal.raise_signal(signal.SIGINT)
        done.append(True)

    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            if do is None:
                call(work, float)
            else:
                with do() as held:
                    assert held
                    work()
        assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, usual)


def test_too_little_memory_is_told_in_a_line(monkeypatch, capsys):
    monkeypatch.setattr("dmmlab.lab.notebooks.describe_notebooks", lambda: bytearray(10**18))
    assert main(["list"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("dmmlab: this computer has not enough memory")


@pytest.mark.parametrize("seed", SEEDS)
def test_an_odd_command_line_ends_with_a_line_and_leaves_whole_files(seed, tmp_path):
    root = tmp_path / "project"
    make_project(root, nbformat.writes(notebook_of(parameters_cell(), FIT)).encode())
    before, arguments = read_all(root), draw_command(random.Random(seed))
    code, out, told = run_command(arguments, root)
    print(arguments, code, told, sep="\n")  # pytest shows it where the test fails
    check_end(code, out, told)
    asked = {Path(each) for each in arguments[1:] if isinstance(each, str)}
    asked |= {Path("notebooks/02-fit.ipynb")} if "--in-place" in arguments else set()
    check_files(before, read_all(root), asked)


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to-the-command", "to-all-in-the-terminal"])
@pytest.mark.parametrize("after", [0, 1])
def test_ctrl_c_while_workers_begin_is_told_in_a_line(after, send, tmp_path):
    make_project(tmp_path / "project", nbformat.writes(notebook_of(parameters_cell(), FIT)).encode())
    command = [*COMMAND, "sweep", "2", "--vary", "seed=0..1"]
    with subprocess.Popen(command, cwd=tmp_path / "project", stderr=subprocess.PIPE, start_new_session=True) as process:
        while not psutil.Process(process.pid).children():
            time.sleep(0.01)
        time.sleep(after)
        send(process.pid, signal.SIGINT)
        told = process.communicate(timeout=60)[1].decode()
    assert (process.returncode, told.splitlines()[-1]) == (130, "dmmlab: stopped")
    assert "Traceback" not in told


# ---- notebooks ----

CELLS = [
    "",
    " \n\n",
    "# only a comment",
    "%matplotlib inline",
    "%%bash\necho one",
    "%%time\n1",
    "!echo two",
    "%nothing",
]
CELLS += ["%%nothing\nx", "%%html\n<b>", "%%capture\nprint(1)", "%%writefile x.txt\na", "%load_ext nothing", "seed?"]
CELLS += [
    "1 +",
    "\tx = 1",
    "print('x' * 10_000_000)",
    "for i in range(20_000): print(i)",
    "print(1, end='')",
    "input()",
]
CELLS += [
    "print('\\r'.join(map(str, range(5000))))",
    "print('\\ud800')",
    "print('\\x00\\x1b[31m')",
    "!printf '\\377\\n'",
]
CELLS += [
    "import os; os.write(1, b'\\xff\\xfe')",
    "raise SystemExit(3)",
    "exit()",
    "raise KeyboardInterrupt",
    "0" * 200_000,
]
CELLS += [
    "import os; os._exit(1)",
    "import os; os.abort()",
    "import os; os.fork()",
    "import os; os.fork() or os._exit(0)",
]
CELLS += [
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "import ctypes; ctypes.string_at(0)",
    "bytearray(10**18)",
]
CELLS += [
    "import subprocess; subprocess.Popen(['sleep', '1000'])",
    "import os; os.closerange(3, 1000)",
    "await None",
    "1/0",
]
CELLS += [
    "import threading, time; threading.Thread(target=time.sleep, args=[1000]).start()",
    "raise BaseException('a\\nb')",
]
CELLS += ["import threading; threading.Thread(target=input).start()", "raise ExceptionGroup('g', [ValueError(1)])"]
CELLS += [
    "def f(): f()\nf()",
    "import sys; sys.stdout.close()",
    "import os; os.close(1); os.close(2)",
    "del print, exit",
]
CELLS += [
    "class E(Exception):\n    def __str__(self): raise E\nraise E",
    "class R:\n    def __repr__(self): exit()\nR()",
]
CELLS += [
    "import builtins; builtins.print = None",
    "import os; os.chdir('/'); print(os.getcwd())",
    "import logging; logging.error('x')",
]
CELLS += [
    "import shutil; [shutil.rmtree(each, ignore_errors=True) for each in ('../data', '../out')]",
    "import warnings; warnings.warn('x')",
]
CELLS += [
    "from pathlib import Path; Path('02-fit.ipynb').unlink()",
    "from pathlib import Path; Path('02-fit.ipynb').write_text('')",
]
CELLS += ["from IPython.display import display; display({'a/b': object()}, raw=True)"]
CELLS += ["from IPython.display import Image; Image(b'\\x89PNG' + bytes(10_000_000), format='png')"]
CELLS += ["import dmmlab as dmm; dmm.save_results('02-fit', {'a': float('nan')})"]
CELLS += ["import dmmlab as dmm; dmm.save_results('../../x/' + 'y' * 300, 1)"]
DECLARED = ["", "# nothing", "seed = 1", "seed: int", "seed: int = ", "seed: 'int' = 1", "seed: Path = 1", "lambda = 2"]
DECLARED += ["seed: int = 1; rate = 2", "%time seed = 1", "class: int = 1", "seed: int = '''\n'''", "é: float = 1"]
DECLARED += ["seed: int = 10**400", "seed: int | = 1"]
WRONG = [None, True, 5, -1, 1e300, "", "x", [], {}, [None], [[]], {"": {}}, "parameters", "code", "raw", "output"]


def spots(tree, place=()):
    """Where values stand in a tree of dicts and lists."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [found for key, part in inner for found in [(*place, key), *spots(part, (*place, key))]]


def change(tree, rng):
    """Replace or delete a value somewhere."""
    *above, last = rng.choice(spots(tree))
    for key in above:
        tree = tree[key]
    if rng.random() < 0.3:
        del tree[last]
    else:
        tree[last] = rng.choice(WRONG)


def damage(content, rng):
    """A file that is no notebook any more, or nearly so."""
    at = rng.randrange(len(content))
    kinds = [content[:at], content[:at] + b"\xff" + content[at:], content[:at] + b"\x00", content + content]
    kinds += [b"", b" \n", b"null", b"[]", b"{}", b"5", b"[" * 100_000, b'"\\ud800"', content.decode().encode("utf-16")]
    kinds += [b"\xef\xbb\xbf" + content, content.replace(b", ", b",\r\n")]
    for version in (b"3", b"5", b"99", b"0", b'"4"'):
        kinds.append(content.replace(b'"nbformat": 4', b'"nbformat": ' + version))
    for metadata in (b"NaN", b'{"\\ud800": 1}', b"[]"):
        kinds.append(content.replace(b'"metadata": {}', b'"metadata": ' + metadata, 1))
    kinds += [content.replace(b'"metadata"', b'"data"', count) for count in (1, 2, -1)]
    return rng.choice(kinds)


def draw_notebook(rng):
    """The bytes of an odd notebook: odd cells, odd parameters, a few wrong values somewhere, or damage."""
    two = [parameters_cell(), parameters_cell(id="again")]
    declared = rng.choice([[], [parameters_cell()], [parameters_cell(rng.choice(DECLARED))], two])
    notebook = notebook_of(*declared, *rng.sample(CELLS, rng.randint(0, 3)), rng.choice([FIT, ""]))
    output = new_output("stream", text="results of x: bits 0123456789abcdef\n")
    notebook.cells.append(new_code_cell("1", id="last", outputs=[output], metadata={"tags": ["raises-exception"]}))
    tree = json.loads(nbformat.writes(notebook))
    kind = rng.random()
    for _ in range(rng.randint(1, 3) if kind < 0.4 else 0):
        change(tree, rng)
    content = json.dumps(tree).encode()
    return damage(content, rng) if kind > 0.8 else content


@pytest.mark.parametrize("seed", SEEDS)
def test_an_odd_notebook_is_run_or_refused_in_a_line(seed, tmp_path):
    rng, root = random.Random(seed), tmp_path / "project"
    make_project(root, draw_notebook(rng))
    given = rng.choice([[], [], ["-p", rng.choice(NAMES), rng.choice(VALUES)]])
    for arguments in (["list"], ["run", "--output", "out", *given]):
        before = read_all(root)
        code, out, told = run_command(arguments, root, PATIENCE)
        print(arguments, code, out[:2000], told, sep="\n")
        assert code != 130
        check_end(code, out, told)
        check_files(before, read_all(root), {Path("notebooks/02-fit.ipynb")})
    if code < 2:
        (entry,) = json.loads((root / "out/summary.json").read_text(encoding="utf-8"))
        assert code == (entry["status"] == "failed")
        assert Path(entry["output"]).is_file()
    shutil.rmtree(root)
