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

SEEDS = range(int(os.environ.get("ODD", "10")))
PATIENCE = 25  # seconds until Ctrl-C, and from there to the end

EXAMPLES = "input,target\na,0\nb,1\nab,1\nba,1\nbb,2\nabb,2\n"
FIT = "import dmmlab as dmm\ndmm.save_results('02-fit', {'loss': rate})\nprint(seed)"
PARAMETERS = "seed: int = 0  # of what is drawn\nrate: float = 0.5\nword: str = 'a'\nsizes: list[int] = [1, 2]"


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
    files = {"examples.csv": EXAMPLES, "empty.csv": "", "half.csv": EXAMPLES[:-20] + '"', "half.json": '{"a": [1, '}
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
    (root / "bytes.json").write_bytes(bytes(range(256)))


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


def run_command(arguments, root):
    """Code and outputs of a command in a process of its own; what takes long gets Ctrl-C, and has to end then."""
    command = [sys.executable, "-m", "dmmlab", *arguments]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=root, **streams, start_new_session=True) as process:
        try:
            try:
                out, told = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                out, told = process.communicate(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out.decode(), told.decode()


def check_end(code, out, told):
    assert code in (0, 1, 2, 130), (code, told)
    assert "Traceback" not in out + told, told
    if code == 2:
        assert re.match(r"dmmlab( [a-z-]+)?: ", told.splitlines()[-1]), told


# ---- command lines ----

ODD = [
    "",
    " ",
    "0",
    "-1",
    "-0",
    "1e400",
    "9" * 400,
    "nan",
    "inf",
    "é",
    "🙂",
    b"\xff",
    "a\nb",
    "--",
    "-",
    "..",
    "²",
    "٣",
]
ODD += ["missing.csv", "folder.csv", "empty.csv", "half.csv", "half.json", "bytes.json", "true", "null", "[1,", "{}"]
ODD += [
    "x" * 5000,
    "a=b=c",
    "%s",
    "{name}",
    "$HOME",
    "~",
    "~nobody",
    "\t",
    "\x7f",
    "1_0",
    "0x10",
    "a,b",
    "'",
    '"',
    ":number",
]
NUMBERS = ["02", "2", "3", "99", "002"]
NAMES = ["seed", "rate", "word", "sizes", "sede", "__class__"]
VALUES = ["1", "0.5", "[1, 2]", "[]", '{"a": 1}', "1e308", "-1e-400", "[NaN]", '"\\ud800"']
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
WORDS = ["ab.a", "a", "aa.b.", "examples.csv", "machine.json"]
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
    "check": ([["machine.json", "examples.csv"], ["examples.csv", "machine.json"]], TIMES),
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
    listens = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # jobs behind others may not
    code = f"{listens}; from dmmlab.lab.cli import main; raise SystemExit(main(['sweep', '2', '--vary', 'seed=0..1']))"
    command = [sys.executable, "-c", code]
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
CELLS += [
    "%%nothing\nx",
    "%%html\n<b>",
    "%%capture\nprint(1)",
    "%%writefile x.txt\na",
    "%load_ext nothing",
    "seed?",
    "1 +",
    "\tx = 1",
]
CELLS += ["print('x' * 10_000_000)", "for i in range(20_000): print(i)", "print('\\r'.join(map(str, range(5000))))"]
CELLS += [
    "print('\\ud800')",
    "print('\\x00\\x1b[31m')",
    "raise SystemExit(3)",
    "exit()",
    "raise KeyboardInterrupt",
    "input()",
]
CELLS += [
    "import os; os._exit(1)",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "raise BaseException('a\\nb')",
]
CELLS += [
    "def f(): f()\nf()",
    "import sys; sys.stdout.close()",
    "import os; os.close(1); os.close(2)",
    "await None",
    "1/0",
]
CELLS += [
    "class E(Exception):\n    def __str__(self): raise E\nraise E",
    "import os; os.chdir('/'); print(os.getcwd())",
]
CELLS += [
    "from pathlib import Path; Path('02-fit.ipynb').unlink()",
    "from pathlib import Path; Path('02-fit.ipynb').write_text('')",
]
CELLS += [
    "from IPython.display import display; display({'a/b': object()}, raw=True)",
    "import warnings; warnings.warn('x')",
]
CELLS += ["import dmmlab as dmm; dmm.save_results('02-fit', {'a': float('nan')})", "import logging; logging.error('x')"]
CELLS += [
    "import dmmlab as dmm; dmm.save_results('../../x/' + 'y' * 300, 1)",
    "import threading; threading.Thread(target=input).start()",
]
CELLS += [
    "raise ExceptionGroup('g', [ValueError(1)])",
    "del print, exit",
    "import builtins; builtins.print = None",
    "0" * 200_000,
]
DECLARED = [
    "",
    "# nothing",
    "seed = 1",
    "seed: int",
    "seed: int = ",
    "seed: 'int' = 1",
    "seed: Path = 1",
    "seed: int = 1; rate = 2",
]
DECLARED += [
    "%time seed = 1",
    "class: int = 1",
    "seed: int = '''\n'''",
    "é: float = 1",
    "seed: int = 10**400",
    "lambda = 2",
    "seed: int | = 1",
]
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
    kinds = [
        content[:at],
        content[:at] + b"\xff" + content[at:],
        content[:at] + b"\x00",
        b"",
        b" \n",
        b"null",
        b"[]",
        b"{}",
        b"5",
    ]
    kinds += [
        b"\xef\xbb\xbf" + content,
        content.decode().encode("utf-16"),
        content + content,
        b"[" * 100_000,
        b'"\\ud800"',
    ]
    kinds += [
        content.replace(b'"nbformat": 4', each) for each in (b'"nbformat": 3', b'"nbformat": 99', b'"nbformat": "4"')
    ]
    kinds += [
        content.replace(b'"metadata": {}', each, 1) for each in (b'"metadata": NaN', b'"metadata": {"\\ud800": 1}')
    ]
    return rng.choice(kinds)


def draw_notebook(rng):
    """The bytes of an odd notebook: odd cells, odd parameters, a few wrong values somewhere, or damage."""
    declared = rng.choice(
        [
            [],
            [parameters_cell()],
            [parameters_cell(rng.choice(DECLARED))],
            [parameters_cell(), parameters_cell(id="again")],
        ]
    )
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
        code, out, told = run_command(arguments, root)
        print(arguments, code, out[:2000], told, sep="\n")
        assert code != 130
        kernels = "ERROR:tornado" in told  # of what kernels say themselves, only they know
        check_end(code, out, "" if kernels and code < 2 else told)
        check_files(before, read_all(root), {Path("notebooks/02-fit.ipynb")})
    if code < 2:
        (entry,) = json.loads((root / "out/summary.json").read_text(encoding="utf-8"))
        assert code == (entry["status"] == "failed")
        assert Path(entry["output"]).is_file()
    shutil.rmtree(root)
