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
        numbered = not isinstance(self.index, pd.RangeIndex)
        return {"na_rep": "", "index": numbered, "float_format": lambda value: f"{value:,.{digits}g}"}

    def __repr__(self) -> str:
        return self.to_string(**self._look())

    def _repr_html_(self) -> str:
        return self.to_html(notebook=True, max_rows=None, **self._look())
