"""What a notebook says: sentences with values in them, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmmlab.lab.frames import Table


class Sentence(str):
    """Text that shows itself as Markdown in a notebook, and as it is elsewhere."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        return str(self)


def say(text: str) -> None:
    """Show sentences of Markdown: prose around values that a cell has computed. Elsewhere they are printed.

    So that a measured number is never typed, and another run tells its own story.

    >>> dmm.say(f"It ends with **{8} links**.")
    It ends with **8 links**.
    """
    from IPython.display import display

    display(Sentence(text))


def table(rows: Mapping[str, Iterable] | Iterable[Mapping[str, Any]], index: str = "", digits: int = 5) -> Table:
    """A pandas DataFrame that shows its numbers with so many significant digits, and nothing where there is none.

    `rows` are dicts, one a row, or a dict of columns; `index` names the column that stands at the left.

    >>> dmm.table({"links": [1486, 19], "loss": [0.0546, 0.0016]}, digits=2).shape
    (2, 2)
    """
    from dmmlab.lab.frames import Table  # pandas takes half a second, for which those who draw should not wait

    frame = Table(rows if isinstance(rows, Mapping) else [*rows])
    frame.attrs["digits"] = digits
    return frame.set_index(index) if index else frame
