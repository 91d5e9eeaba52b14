"""Views of one run, on frames that may hold several."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from platorep.core.errors import StoreError


def check_one_run(rows: pd.DataFrame, by: Sequence[str], title: str) -> None:
    """Refuses rows of which two describe the same thing: a mean over them would mix settings.

    Args:
        rows: of a table, or of `platorep.load(...)`, which gives the rows of all runs.
        by: columns that name a row within one run.
        title: what a row is, for the message.

    Raises:
        StoreError: two rows are equal in these columns.
    """
    if (twice := rows.duplicated(list(by))).any():
        first = rows[twice].iloc[0]
        raise StoreError(
            f"the table holds several {title} of {first.x_model} and {first.y_model}, by runs with other settings. "
            "Keep the rows of one run: the column run has its folder."
        )
