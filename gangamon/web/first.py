"""What a page shows before its scripts run: the same as they will show, in words and in look, so
that nobody waits for them (static/dom.js has the same of each of these)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from markupsafe import Markup

#: The order of a bar's parts.
STATUSES = ("completed", "failed", "killed", "completing", "running", "submitted", "submitting")

#: Rows: as many as a large screen has room for. The others come with the scripts.
FIRST = 25

_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


def clean(value: object) -> str:
    """Text with what would hide, turn round or control written out; markup of a template's own as
    it is."""
    if isinstance(value, Markup):
        return value

    def shown(found: re.Match[str]) -> str:
        code = ord(found[0])
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

    return _HIDDEN.sub(shown, str(value))


def count(value: int) -> str:
    return f"{value:,}"


def lane(name: str) -> str:
    """As people say it: backend, endpoint, credential."""
    return clean(" · ".join(unquote(part) for part in name.split("|") if part != "-"))


def span(value: float) -> str:
    """So many seconds as people say it."""
    if value == 0:
        return "0 s"
    if value >= 5400:
        return f"{value / 3600:.1f} h"
    if value >= 60:
        return f"{int(value / 60 + 0.5)} min"
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"


def moment(at: float) -> str:
    """In this host's time: the viewer's comes with the scripts. The date only where it is not
    today."""
    then = datetime.fromtimestamp(at).astimezone()
    today = then.date() == datetime.now().astimezone().date()
    return then.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def parts(subjobs: Mapping[str, int], total: int) -> list[dict[str, Any]]:
    """Of a bar 1000 wide: status, x, width."""
    found, x = [], 0.0
    for status in STATUSES:
        if not subjobs.get(status) or not total:
            continue
        width = 1000 * subjobs[status] / total
        found.append({"status": status, "x": min(x, 997.0), "width": max(3.0, width)})
        x += width
    return found


def said(subjobs: Mapping[str, int], total: int) -> str:
    """A bar in words."""
    some = [f"{count(subjobs[name])} {name}" for name in STATUSES if subjobs.get(name)]
    return f"of {count(total)}: {', '.join(some) or 'nothing yet'}"


FILTERS = {"clean": clean, "count": count, "lane": lane, "span": span, "moment": moment}
GLOBALS = {"FIRST": FIRST, "STATUSES": STATUSES, "parts": parts, "said": said}
