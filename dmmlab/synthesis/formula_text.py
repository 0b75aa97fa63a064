"""The functions that formulas are made of, and how they are written: as text, and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from sympy import Expr, Float, Function, Heaviside, Max, Min, Mul, Pow, S, Symbol
from sympy.core.function import Application
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

T = Symbol("t", integer=True)
ANY = Symbol("any")  # characters are a function of the letter that one asks for
_OPEN = PRECEDENCE["Mul"] + 1  # 'count of x' is a factor as it stands, but no base of a power


class Input(Function):
    """Input(a, t): 1 where the input is the letter a at tick t, else 0."""

    precedence = _OPEN
    is_nonnegative = True


class Channel(Input):
    """Channel(a, t): what the input, a V-value, holds at a."""

    is_nonnegative = None
    is_real = True


class Amount(Function):
    """Amount(t): the number of the input at tick t."""

    is_real = True


class Clock(Function):
    """Clock(t): what the timer shows at tick t."""

    is_nonnegative = True


class State(Function):
    """State(p, t): what the loop of that name holds at tick t; State(p, a, t) what it holds at the letter a."""

    is_real = True


class Level(State):
    """A state that is never below zero."""

    is_nonnegative = True


class MaxNorm(Function):
    """MaxNorm(x): the largest |x| of any letter."""

    is_nonnegative = True


class Inner(Function):
    """Inner(x, y): the sum of x·y over all letters."""

    is_real = True

    def _eval_is_nonnegative(self) -> bool | None:
        return all(x.is_nonnegative for x in self.args) or None


class Total(Inner):
    """Total(x): the running sum of x, from tick 1 on."""

    precedence = _OPEN


def exact(x: float) -> Expr:
    """The simple fraction that a float stands for, or the float."""
    fraction = Fraction(x).limit_denominator(12)
    return S(fraction if abs(fraction - x) <= 1e-12 * abs(x) else x)


TEXT = {
    "Input": "input", "Channel": "input", "Amount": "number", "Clock": "t",
    "Total": "Σ {}", "MaxNorm": "max-norm({})", "Inner": "⟨{}, {}⟩", "Abs": "|{}|",
    "clip": "clip({}, ±{})", "count": "count of {}", "count now": "count of {} in input", "other": "{}({})",
    "letter": "{}", "-": "−", "*": "·", "**": "^",
}  # fmt: skip
LATEX = {
    "Input": r"\mathrm{{input}}", "Channel": r"\mathrm{{input}}", "Amount": r"\mathrm{{number}}", "Clock": "t",
    "Total": r"\textstyle\sum {}", "MaxNorm": r"\lVert {} \rVert_\infty",
    "Inner": r"\langle {}, {} \rangle", "Abs": r"\lvert {} \rvert", "clip": r"\operatorname{{clip}}({}, \pm {})",
    "count": r"\#{}", "count now": r"\#{}\,(\mathrm{{input}})", "other": r"\operatorname{{{}}}({})",
    "letter": r"\text{{{}}}", r"'\'": r"\text{'∖'}", "'^'": r"\text{'ˆ'}", "'~'": r"\text{'˜'}",
    "-": "-", "*": r" \cdot ", "**": "^",
}  # fmt: skip
LATEX |= {f"'{letter}'": rf"\text{{'\{letter}'}}" for letter in "{}%#&_$"}


def delay_of(e: Expr, otherwise: int = 0) -> int:
    """How many ticks after the input it arrives; `otherwise` for what never changes."""
    return min((int(T - leaf.args[-1]) for leaf in e.atoms(Input, Amount, Clock, State)), default=otherwise)


class Printer(StrPrinter):
    """Writes expressions in words of ours, and behind parts that arrive later how many ticks."""

    def __init__(self, words: Mapping[str, str], delay: int) -> None:
        super().__init__({"full_prec": False})
        self.words, self.delay = words, delay

    def write(self, e: Expr) -> str:
        """The text of an expression."""
        text = self.doprint(e.xreplace({x: exact(float(f"{x:.6g}")) for x in e.atoms(Float)}))
        letter = self.words["letter"]
        return re.sub(r"'.'|\*+|(?<!\w)-", lambda sign: self.words.get(sign[0]) or letter.format(sign[0]), text)

    def _print(self, e: Expr, **settings: object) -> str:
        if not isinstance(e, Application):
            return super()._print(e, **settings)
        before, self.delay = self.delay, delay_of(e, self.delay)
        text = self._call(e)
        later, self.delay = self.delay - before, before
        return f"{self._closed(e, text)}[t{self.words['-']}{later}]" if later else text

    def _call(self, e: Application) -> str:
        word, parts = type(e).__name__, e.args
        match e:
            case Input(args=(letter, _)) if letter != ANY:
                word, parts = "count now", [letter]
            case State(args=(name, *letters, _)):
                return " of ".join([str(name), *(str(letter) for letter in letters if letter != ANY)])
            case Total(args=(Input(args=(letter, _)),)) if letter != ANY:
                word, parts = "count", [letter]
            case Max(args=(bottom, x)) if bottom == 0:
                word, parts = "relu", [x]
            case Max(args=(bottom, Min(args=(top, x)))) if bottom == -top:
                word, parts = "clip", [x, top]
            case Heaviside(args=(x, _)):
                word, parts = "step", [x]
        texts = [self._closed(x, self._print(x)) if word == "Total" else self._print(x) for x in parts]
        if word in self.words:
            return self.words[word].format(*texts)
        return self.words["other"].format(word.lower(), ", ".join(texts))

    def _closed(self, e: Expr, text: str) -> str:
        return f"({text})" if isinstance(e, (Mul, Pow, Total)) else text

    def _as_ordered_terms(self, e: Expr, order: str | None = None) -> list[Expr]:
        return sorted(super()._as_ordered_terms(e, order), key=lambda term: term.as_coeff_Mul()[0].is_negative)
