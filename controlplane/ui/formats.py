"""Numbers, sizes and times as people read them: a unit always, three significant digits, a thin dash for "none".

Pure functions from values to text. They know nothing of HTML; `templatetags.ui` wraps what needs markup.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

NONE = "–"
THIN = "\N{NO-BREAK SPACE}"  # between a number and its unit, so that they never part at a line's end
STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
DAY, HOUR, MINUTE = 86_400, 3_600, 60


def significant(value: float, digits: int = 3) -> str:
    """`value` with that many significant digits and no trailing zeros: 1.20 is 1.2, 4.163 is 4.16."""
    return f"{value:.{digits}g}"


def scaled(value: float, steps: tuple[tuple[float, str], ...], digits: int = 3) -> str | None:
    """`value` over the first step that it still reaches after rounding: 999,950 is 1 M, not 1e+03 k."""
    for step, unit in steps:
        if abs(value) / step >= 0.9995:
            return f"{significant(value / step, digits)}{THIN}{unit}"
    return None


def number(value: float | None) -> str:
    """Up to 10,000 in full (1,284), beyond in k, M, G, T (1.2 M). Fractions keep four significant digits (3.284)."""
    if value is None or not math.isfinite(value):
        return NONE
    if abs(value) >= 9_999.5:
        return scaled(value, STEPS) or NONE
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else significant(value, 4)


def byte_size(value: float | None) -> str:
    """Bytes in decimal units, as disks and clouds count them: 16.7 MB."""
    if value is None or not math.isfinite(value):
        return NONE
    return scaled(value, tuple((step, f"{unit}B") for step, unit in STEPS)) or f"{int(value)}{THIN}B"


def token_count(value: float | None) -> str:
    return NONE if value is None else f"{number(value)}{THIN}{'token' if value == 1 else 'tokens'}"


def percent(ratio: float | None) -> str:
    """A ratio (0.415) as a percentage with one digit (41.5 %)."""
    if ratio is None or not math.isfinite(ratio):
        return NONE
    return f"{ratio * 100:.1f}{THIN}%"


def duration(value: float | timedelta | None) -> str:
    """Seconds or a timedelta, in its two largest units: 420 ms, 8.2 s, 3 min 12 s, 1 h 02 min, 2 d 03 h."""
    if value is None:
        return NONE
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f}{THIN}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}{THIN}s"
    whole = round(seconds)
    for size, unit, next_size, next_unit in (
        (DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "min"),
        (MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size}{THIN}{unit} {whole % size // next_size:02d}{THIN}{next_unit}"
    return f"{whole}{THIN}s"


def relative(at: datetime, now: datetime) -> str:
    """`at` as seen from `now`: just now, 3 min ago, in 2 h. The absolute time belongs on hover."""
    seconds = (now - at).total_seconds()
    amount = abs(seconds)
    if amount < 10:
        return "just now"
    size, unit = next(pair for pair in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s")) if amount >= pair[0])
    text = f"{int(amount // size)}{THIN}{unit}"
    return f"{text} ago" if seconds > 0 else f"in {text}"
