"""Where a job has put its files: what Ganga's wrapper notes in its output directory as
``massstorage PATTERN LOCATION`` (MassStorageFileWNScript.py.template, 8.7.12)."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Sequence
from functools import lru_cache

from gangamon.outdir.manifest import blake2b
from gangamon.outdir.tree import OURS, Fresh

#: ``[Output]PostProcessLocationsFileName`` of Ganga, and the most that is read of it.
LOCATIONS, MOST = "__postprocesslocations__", 16 << 20

_WILD = re.compile(r"[*?\[\]]")


def wanted(text: str, patterns: Sequence[str], protocol: str) -> dict[str, str]:
    """Those of ``named`` whose names match."""
    fits = _fits(tuple(patterns))
    return {name: url for name, url in named(text, protocol) if fits(name)}


@lru_cache(64)
def _fits(patterns: tuple[str, ...]) -> Callable[[str], object]:
    return re.compile("|".join(map(fnmatch.translate, patterns)) or "$.").match


def locations(target: str, protocol: str) -> list[tuple[str, str]]:
    """As ``named``, of an output directory. OSError."""
    return named(read(target)[0], protocol)


def named(text: str, protocol: str) -> list[tuple[str, str]]:
    """(name in the output directory, URL or path) of what Ganga's wrapper has put somewhere.
    ``protocol``: what stands before a path that is not mounted here."""
    found = []
    for line in text.splitlines():
        words = line.split(None, 2)
        if len(words) == 3 and words[0] == "massstorage" and not words[2].startswith("ERROR"):
            pattern, place = words[1], words[2].strip()
            name = _name(pattern, place)
            if name not in ("", ".", "..") and not name.startswith(OURS):
                found.append((name, _url(place, protocol)))
    return found


def read(target: str) -> tuple[str, dict[str, Fresh]]:
    """What Ganga's wrapper has noted in an output directory; and the facts of that file, where all
    of it was read. OSError."""
    try:
        descriptor = os.open(os.path.join(target, LOCATIONS), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return "", {}
    try:
        facts = os.fstat(descriptor)
        data = os.read(descriptor, min(facts.st_size, MOST))
    finally:
        os.close(descriptor)
    text = data.decode("utf-8", "replace")
    if len(data) != facts.st_size or not stat.S_ISREG(facts.st_mode):
        return text, {}
    checksum = blake2b(data).hexdigest()
    return text, {LOCATIONS: Fresh(facts.st_ino, facts.st_size, facts.st_mtime_ns, checksum)}


def _name(pattern: str, place: str) -> str:
    """Only where the pattern is one is the name of the file the job wrote not known."""
    base = (place if place.startswith("/") else _path(place)).rpartition("/")[2]
    if base == pattern or _WILD.search(pattern) or "/" in pattern:
        return base
    packed = base.endswith(".gz") and not pattern.endswith(".gz")
    return f"{pattern}.gz" if packed else pattern


def _path(url: str) -> str:
    from urllib.parse import urlsplit  # a helper has no URLs

    return urlsplit(url).path


def _url(place: str, protocol: str) -> str:
    if not place.startswith("/"):
        return place
    if not protocol or protocol.startswith("file:") or os.path.exists(place):
        return place
    return f"{protocol.rstrip('/')}/{place}"
