"""Which licences let code be trained on freely: SPDX expressions against the list of The Stack.

Permissive, as for The Stack v2 (Lozhkov et al. 2024, arXiv:2402.19173, 2.1): what the Blue Oak Council lists, or ScanCode
puts in its categories Permissive and Public Domain. ScanCode's categories come with the license-expression library; of
Blue Oak's list (15.0.0, CC0-1.0) only the 21 that ScanCode sees otherwise are repeated here.

Of a choice (OR) the most permissive counts, of a conjunction (AND) the least; an exception (WITH) only grants more. It
does not find the licence of a file: the source says it.
"""

from __future__ import annotations

import json
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from license_expression import ExpressionError, LicenseWithExceptionSymbol, Licensing, get_spdx_licensing

PERMISSIVE_CATEGORIES = frozenset({"Permissive", "Public Domain"})
BLUE_OAK_BESIDES = frozenset(
    {
        *(
            "Artistic-1.0",
            "Artistic-1.0-Perl",
            "Artistic-1.0-cl8",
            "Artistic-2.0",
            "BSD-3-Clause-No-Nuclear-License-2014",
        ),
        *("BSD-3-Clause-No-Nuclear-Warranty", "ClArtistic", "HPND-export-US", "LPL-1.0", "LPL-1.02", "LPPL-1.3c"),
        *("NASA-1.3", "NBPL-1.0", "OGTSL", "OLDAP-1.1", "OLDAP-1.2", "OLDAP-1.3", "OLDAP-1.4", "Qhull", "Ruby", "Vim"),
    }
)
# What sources write where nobody said anything (SPDX 2.3, 7.13).
NOTHING_SAID = frozenset({"", "unknown", "noassertion", "none", "null", "other"})


class Freedom(StrEnum):
    PERMISSIVE = "permissive"
    RESTRICTED = "restricted"
    UNKNOWN = "unknown"


def is_permissive(spdx: str) -> bool:
    """Does this expression let everybody use the code without passing on more than a notice?"""
    return freedom(spdx) is Freedom.PERMISSIVE


@cache
def freedom(spdx: str, also: frozenset[str] = frozenset()) -> Freedom:
    """UNKNOWN where nothing is said, the expression does not parse, or an undecided part of it could tip the answer.

    `also`: ids that count as permissive besides, whatever their case (a company's own LicenseRef, say).
    """
    if spdx.strip().lower() in NOTHING_SAID:
        return Freedom.UNKNOWN
    try:
        parsed = _licensing().parse(spdx.replace("/", " OR "))  # as Cargo wrote a choice before it took SPDX
    except ExpressionError:
        return Freedom.UNKNOWN
    return Freedom.UNKNOWN if parsed is None else _of(parsed, frozenset(key.lower() for key in also))


def _of(node: Any, also: frozenset[str]) -> Freedom:
    licensing = _licensing()
    if isinstance(node, licensing.AND | licensing.OR):
        parts = {_of(part, also) for part in node.args}
        decides = Freedom.PERMISSIVE if isinstance(node, licensing.OR) else Freedom.RESTRICTED
        if decides in parts:
            return decides
        return Freedom.UNKNOWN if Freedom.UNKNOWN in parts else parts.pop()
    symbol = node.license_symbol if isinstance(node, LicenseWithExceptionSymbol) else node
    key = symbol.key.lower()
    return Freedom.PERMISSIVE if key in also else _by_id().get(key, Freedom.UNKNOWN)


@cache
def _licensing() -> Licensing:
    return get_spdx_licensing()


@cache
def _by_id() -> dict[str, Freedom]:
    """SPDX ids, also the deprecated ones, in lower case (SPDX 2.3, annex D: ids are compared without case)."""
    index = resources.files("license_expression") / "data" / "scancode-licensedb-index.json"
    by_id: dict[str, Freedom] = {}
    for entry in json.loads(index.read_text("utf-8")):
        if entry["is_exception"] or not entry.get("category"):
            continue
        found = Freedom.PERMISSIVE if entry["category"] in PERMISSIVE_CATEGORIES else Freedom.RESTRICTED
        for key in (entry["spdx_license_key"], *entry["other_spdx_license_keys"]):
            if key:
                by_id[key.lower()] = found
    return by_id | {key.lower(): Freedom.PERMISSIVE for key in BLUE_OAK_BESIDES}
