"""One self-contained HTML page for a run: scores, statistics, warnings, provenance, and an explorer of neighbours.

    path = write_page(Run(...), Path("outputs/report/offline--stamps.html"))

The page needs no network and no server. It computes no scores: it shows the tables and the stored features.
"""

from __future__ import annotations

from platorep.report.material import Run
from platorep.report.page import write_page


__all__ = ["Run", "write_page"]
