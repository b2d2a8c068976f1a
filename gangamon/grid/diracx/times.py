"""DiracX's times."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def seconds(value: object) -> float | None:
    """Since the epoch, of DiracX's times: ISO 8601, UTC unless they say otherwise."""
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        return None
    whole, point, rest = value.replace("Z", "+00:00").partition(".")
    digits = re.match(r"\d*", rest)
    fraction = digits[0] if digits else ""
    try:
        # Python 3.10 reads three or six digits only.
        text = f"{whole}.{fraction.ljust(6, '0')}{rest[len(fraction) :]}" if point else whole
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        found = moment.timestamp()
    except (ValueError, OverflowError):
        return None
    return found if 0 < found < 1e11 else None
