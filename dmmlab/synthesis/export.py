"""Export: a machine as a plain Python program, which needs nothing but the standard library.

The kinds' own formulas are run once more, on texts: so what the program computes is what the interpreter computes, tick
by tick, loops and all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from dmmlab.engine.keys import fields_of, refuse_trees
from dmmlab.files import DMMError, check_int
from dmmlab.machines import CLOCK_KINDS, NO_CLIP, Machine
from dmmlab.neurons import find_kind
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.trees import NUMBER

READABLE = 40  # links of a machine whose formula is worth writing, at most
HELPERS = {
    "flat": """def flat(x, path=()):  # a word w is {(w,): 1}, a number is {(): number}, a dict has paths
    if isinstance(x, str):
        return {(x,): 1.0}
    if not isinstance(x, dict):
        return {path: float(x)}
    parts = [flat(y, path if key == ":number" else (*path, key)) for key, y in x.items()]
    return {place: y for part in parts for place, y in part.items()}
""",
    "mix": """def mix(*terms):  # weights and streams: their linear combination
    total = {}
    for weight, stream in terms:
        for key, x in stream.items():
            total[key] = total.get(key, 0.0) + weight * x
    return total
""",
    "num": """def num(stream):
    return stream.get((), 0.0)
""",
    "norm": """def norm(stream):
    return max(map(abs, stream.values()), default=0.0)
""",
    "inner": """def inner(a, b):
    return sum((x * b[key] for key, x in a.items() if key in b), 0.0)
""",
}
CHARACTERS = """
def steps(line):  # its characters; or words, as a list in JSON
    try:
        words = json.loads(line)
    except ValueError:
        return list(line)
    return words if words and isinstance(words, list) and all(isinstance(x, str) for x in words) else list(line)
"""
VALUES = """
def steps(line):  # its numbers; or a list in JSON, of numbers, words and dicts
    return json.loads(line) if line.lstrip().startswith("[") else [float(word) for word in line.split()]
"""
ONE, BOTH = "f'{answers[%d] + 0.0:.12g}'", "'({:.12g}, {:.12g})'.format(*(x + 0.0 for x in answers))"
MAIN = """

def told(answers):  # '-' where nothing is due yet
    return '-' if answers is None else %s


if __name__ == "__main__":  # reads lines
    for line in sys.stdin:
        program = Program()
        try:
            print(*(told(program.step(x)) for x in steps(line.rstrip("\\r\\n"))))
        except (TypeError, ValueError) as error:
            sys.exit(f"cannot read {line!r:.80}: {error}")
"""


@dataclass
class TextOps:
    """`dmmlab.neurons.Ops` that write Python; numbers are (text,) and streams are texts."""

    dot_clip: float
    used: set[str] = field(default_factory=lambda: {"flat", "mix", "num"})

    def _call(self, name: str, *texts: str) -> str:
        self.used.add(name)
        return f"{name}({', '.join(texts)})"

    def add(self, a: str | tuple, b: str | tuple) -> str | tuple:
        if isinstance(a, tuple) and isinstance(b, tuple):
            return (f"{a[0]} + {b[0]}",)
        return self._call("mix", *(f"(1.0, {stream_text(x)})" for x in (a, b)))

    def difference(self, a: tuple, b: tuple) -> tuple:
        return (f"{a[0]} - {b[0]}",)

    def inner(self, a: str, b: str) -> tuple:
        return (self._call("inner", a, b),)

    def max_norm(self, a: str) -> tuple:
        return (self._call("norm", a),)

    def number(self, a: str | tuple) -> tuple:
        return a if isinstance(a, tuple) else (self._call("num", a),)

    def relu(self, a: tuple) -> tuple:
        return (f"max({a[0]}, 0.0)",)

    def step(self, a: tuple) -> tuple:
        return (f"float({a[0]} > 0)",)

    def clip(self, a: tuple, bound: float) -> tuple:
        return a if bound == NO_CLIP else (f"max(-{bound!r}, min({bound!r}, {a[0]}))",)

    def constant(self, tree: Mapping[str, float]) -> str:
        return repr({() if key == NUMBER else (key,): value for key, value in tree.items()})

    def character(self, timer: tuple) -> str:
        return "x"

    def amount(self, timer: tuple) -> str:
        return "{}"


def stream_text(x: str | tuple) -> str:
    """A number as a stream."""
    return f"{{(): {x[0]}}}" if isinstance(x, tuple) else x


def to_python(machine: Machine, ticks_per_step: int = 8, latency: int | None = None) -> str:
    """A machine as the source of a Python program: a class `Program` whose `step(x)` takes a word, a number or a dict.
    It gives left and right: the answers to this step, or to an earlier one where they are due later than the next step
    comes, and None as long as nothing is due. Raises DMMError for kinds of trees, and machines that rewrite themselves.

    Run as a script it reads lines, and prints the answers that are ever other than zero: left, or right, or pairs. The
    steps of a line are its characters; or its numbers, if the machine reads values (see `Machine.reading_values`); or
    the items of a list in JSON.

    `latency` is how many ticks after a step its answers are due; None: the tick before the next step.

    >>> dmm.to_python(dmm.handcrafted_detector()).count("def step(")
    1
    """
    speed = check_int("ticks_per_step", ticks_per_step)
    latency = speed - 1 if latency is None else check_int("latency", latency, 0)
    refuse_trees(machine)
    reads_values = "value_input" in machine.neurons.values()
    machine = remove_dead(machine.reading_values())
    ops = TextOps(machine.dot_clip)
    outputs = dict(_outputs(machine, ops))
    answers = [_reading(machine, machine.output, side) for side in ("dict-1", "dict-2")]
    lines = "\n".join(f"            {end!r}: {text}," for end, text in outputs.items())
    helpers = "\n\n".join(text for name, text in HELPERS.items() if name in ops.used)
    told = [side for side, text in enumerate(answers) if text != "mix()"] or [0]
    main = (VALUES if reads_values else CHARACTERS) + MAIN % (BOTH if len(told) > 1 else ONE % told[0])
    return f'''"""{_about(machine)}"""

import json
import sys

SPEED, LATENCY = {speed}, {latency}  # ticks a step takes, and after which its answers are due


{helpers}

class Program:
    def __init__(self):
        self.ticks, self.was = 0, {{}}  # what neurons emitted at the tick before

    def tick(self, x):
        def was(end):
            return self.was.get(end, {{}})

        answers = num({answers[0]}), num({answers[1]})
        self.was = {{
{lines}
        }}
        return answers

    def step(self, x):
        due = None
        for tick in range(SPEED):
            answers = self.tick({{}} if tick else flat(x))
            if self.ticks >= LATENCY and (self.ticks - LATENCY) % SPEED == 0:
                due = answers
            self.ticks += 1
        return due

{main}'''


def is_readable(machine: Machine) -> bool:
    """Whether a formula is worth writing: of few links, where those by which a value only waits do not count."""
    read = Counter(link.to_neuron for link in machine.links)
    relays = sum(read[name] == 1 for name, kind in machine.neurons.items() if kind == "sum")
    return len(machine.links) - relays <= READABLE


def _about(machine: Machine) -> str:
    """The formula, where there is one that can be read."""
    from dmmlab.synthesis.formulas import formula  # brings SymPy

    text = f"A machine of {len(machine.links)} links."
    if is_readable(machine):
        with suppress(DMMError):
            text = str(formula(machine))
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _outputs(machine: Machine, ops: TextOps) -> Iterable[tuple[str, str]]:
    """What every output field emits, as text."""
    links = (*machine.links, *machine.fixed_links)
    clock = {name for name, kind in machine.neurons.items() if kind in CLOCK_KINDS}
    read = {link.from_neuron for link in links if link.to_neuron not in clock}
    for name, kind_name in machine.neurons.items():
        kind = find_kind(kind_name)
        if kind_name == "timer" and name not in read:
            continue  # steps are given, not waited for
        if kind_name in ("input", "value_input"):
            yield f"{name}.char", "x"
        elif name != machine.output:
            given = {port: _reading(machine, name, port) for port in fields_of(kind, name, links)}
            for port, text in kind.up(given, ops).items():
                yield f"{name}.{port}", stream_text(text)


def _reading(machine: Machine, name: str, port: str) -> str:
    """What arrives at an input field, as text."""
    weights = [*machine.soft_links.items(), *machine.fixed_links.items()]
    terms = [(weight, f"was({f'{link[2]}.{link[3]}'!r})") for link, weight in weights if link[:2] == (name, port)]
    if len(terms) == 1 and terms[0][0] == 1.0:
        return terms[0][1]
    return f"mix({', '.join(f'({weight!r}, {text})' for weight, text in terms)})"
