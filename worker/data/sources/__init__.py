"""Where raw files come from: one module a kind of source, all read through the same three verbs (sources.reader).

No reader cleans, filters or decides on a licence: it says what is there, hands over bytes, and gives a reason for each
thing that it will not read.
"""

from __future__ import annotations

from worker.data.sources.opening import open_source
from worker.data.sources.reader import LISTED, Found, Reader, snapshot_of, tabulate

__all__ = ["LISTED", "Found", "Reader", "open_source", "snapshot_of", "tabulate"]
