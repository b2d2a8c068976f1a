"""Mergers that other Ganga packages bring, as the service knows them."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import GangaCore
from GangaCore.GPIDev.Adapters.IMerger import IMerger
from GangaCore.Utility.Config import getConfig

import gangamon
from gangamon.client import Client
from gangamon.domain.command import ACCEPTANCE, MergerSpec
from gangamon.domain.observation import Scalar

KIND = "GangaMerger"


def acceptance() -> dict[str, Scalar]:
    """The session's wish, where it has one; for each merger."""
    try:
        share = float(getConfig("Gangamon")["MergeAcceptance"])
    except KeyError:  # a Ganga without the adapter, as scripts use to look at mergers
        return {}
    return {ACCEPTANCE: share} if share < 1.0 else {}


def spec(
    merger: Any, name: str, attributes: dict[str, Scalar] | None, files: tuple[str, ...] | None
) -> MergerSpec | None:
    """To run its ``mergefiles`` in a Ganga of its own. None for one that decides by itself what is
    merged, has attributes that are neither texts, numbers nor flags, or where this Ganga's program
    is not known."""
    kind = type(merger)
    ganga = _program()
    if (
        KIND not in Client.mergers()
        or attributes is None
        or files is None
        or (kind.merge, kind.execute) != (IMerger.merge, IMerger.execute)
        or not callable(getattr(kind, "mergefiles", None))
        or not ganga
    ):
        return None
    ours = os.path.dirname(os.path.abspath(gangamon.__file__))
    packages = str(getConfig("Configuration")["RUNTIME_PATH"]).split(":")
    options: dict[str, Scalar] = {
        "plugin": name,
        "attributes": json.dumps(attributes, sort_keys=True),
        "python": sys.executable,
        "ganga": ganga,
        "version": str(GangaCore._gangaVersion),
        "packages": ":".join(package for package in packages if package and package != ours),
        "gangarc": os.path.expanduser("~/.gangarc"),
    }
    return MergerSpec(
        KIND,
        files,
        ignorefailed=bool(merger.ignorefailed),
        overwrite=bool(merger.overwrite),
        options=options | acceptance(),
    )


def _program() -> str:
    """What this session was started with: ``sys.argv`` is by now that of its script. Empty: not
    known."""
    try:
        with open("/proc/self/cmdline", encoding="utf-8", errors="surrogateescape") as file:
            words = file.read().split("\0")
    except OSError:
        return ""
    path = next((word for word in words if os.path.basename(word) == "ganga"), "")
    return path if os.path.isabs(path) and os.path.isfile(path) else ""
