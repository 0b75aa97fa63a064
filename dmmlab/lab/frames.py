"""Tables: pandas DataFrames that show significant digits."""

from __future__ import annotations

from typing import Any

import pandas as pd


class Table(pd.DataFrame):
    """A DataFrame that shows its numbers with `attrs["digits"]` significant digits, missing ones as nothing."""

    @property
    def _constructor(self) -> type[Table]:  # of what its methods return
        return Table

    def _look(self) -> dict[str, Any]:
        digits = self.attrs.get("digits", 5)
        numbered = isinstance(self.index, pd.RangeIndex) and self.index.name is None
        return {"na_rep": "", "index": not numbered, "float_format": lambda value: _significant(value, digits)}

    def __repr__(self) -> str:
        return self.to_string(**self._look())

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):  # sentences are shown whole
            return self.to_html(notebook=True, max_rows=None, **self._look())


def _significant(value: float, digits: int) -> str:
    """So many digits; and a large number is written out."""
    text = f"{value:,.{digits}g}"
    return f"{value:,.0f}" if "e+" in text and abs(value) < 1e7 else text
