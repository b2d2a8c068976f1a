"""Ganga's mergers as the service knows them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from GangaCore.GPIDev.Adapters.IGangaFile import IGangaFile
from GangaCore.GPIDev.Base.Proxy import getName
from GangaCore.GPIDev.Lib.File.File import File
from GangaCore.Lib.Mergers.Merger import getMergerObject

from gangamon.adapter.handover import foreign
from gangamon.client import Client
from gangamon.domain.command import MergerSpec
from gangamon.domain.observation import Scalar

#: Attributes that each merger's spec has as fields.
_FIELDS = ("files", "ignorefailed", "overwrite", "compress")

#: Files without an extension for which Ganga has a merger.
_STANDARD = ("stdout", "stderr")


_NO_EXTENSION = (
    "File extension not found for file {} and so the merge will fail. Check the name of the file "
    "or set the ignorefailed flag."
)
_UNKNOWN = (
    "Extension {} not recognized and so the merge will fail. Check the [Mergers] section of your "
    ".gangarc file."
)


def spec(merger: Any) -> MergerSpec | None:
    """What the service is to do for a merger of Ganga; None: Ganga must run it, for the service
    has none of that name, or not for such attributes."""
    kind = str(getName(merger))
    if kind not in Client.mergers():
        options, files = other_options(merger, _FIELDS), inside(merger.files)
        return foreign.spec(merger, kind, options, files)
    return _smart(merger) if kind == "SmartMerger" else _plain(merger, kind)


def _plain(merger: Any, kind: str) -> MergerSpec | None:
    """The merger's other attributes become options, by name."""
    files, options = inside(merger.files), other_options(merger, _FIELDS)
    if files is None or options is None:
        return None
    return MergerSpec(
        kind,
        files,
        ignorefailed=bool(merger.ignorefailed),
        overwrite=bool(merger.overwrite),
        compress=bool(getattr(merger, "compress", False)),
        options=options | foreign.acceptance(),
    )


def _smart(smart: Any) -> MergerSpec | None:
    """The files by the merger that ``[Mergers]`` associates with their names or extensions (where
    it knows none, by gangamon's of the extension), in the order of the first file of each, as
    ``SmartMerger.merge`` of Ganga 8.7.12. Where no files are named, Ganga looks through all subjobs
    for those that all of them have: that is its own."""
    files = inside(smart.files)
    if not files:
        return None
    whole = MergerSpec(
        "SmartMerger", files, ignorefailed=bool(smart.ignorefailed), overwrite=bool(smart.overwrite)
    )
    groups: dict[str, list[str]] = {}
    for name in files:
        key = name if getMergerObject(name) else _extension(name)
        if key:
            groups.setdefault(key, []).append(name)
        elif not whole.ignorefailed:
            return replace(whole, options={"refusal": _NO_EXTENSION.format(name)})
    parts: list[MergerSpec] = []
    for key, names in groups.items():
        merger = getMergerObject(key)
        if merger is None and (kind := Client.merger_of(key)):
            given = replace(
                whole, kind=kind, files=tuple(names), parts=(), options=foreign.acceptance()
            )
            parts.append(given)
            continue
        if merger is None:
            whole = replace(whole, options={"refusal": _UNKNOWN.format(key)})
            break
        merger.files, merger.ignorefailed = names, whole.ignorefailed
        merger.overwrite = whole.overwrite
        part = spec(merger)
        if part is None or part.parts:
            return None
        parts.append(part)
    return replace(whole, parts=tuple(parts))


def _extension(name: str) -> str:
    extension = os.path.splitext(name)[1].lstrip(".").lower()
    return extension or ("std_merge" if name in _STANDARD else "")


def other_options(processor: Any, fields: Sequence[str]) -> dict[str, Scalar] | None:
    """Its attributes but ``fields``, by name; None if one is neither text, number nor flag."""
    found: dict[str, Scalar] = {}
    for name, item in processor._schema.allItems():
        if name in fields or item["hidden"]:
            continue
        value = getattr(processor, name)
        if name == "module":
            value = path(value)
        if not isinstance(value, (str, int, float, type(None))):
            return None
        if value is not None:
            found[name] = value
    return found


def path(module: Any) -> str:
    """The absolute path of a FileItem, as Ganga's CustomMerger reads it; empty: there is none."""
    if isinstance(module, IGangaFile):
        module = os.path.join(str(module.localDir), str(module.namePattern))
    elif isinstance(module, File):
        module = module.name
    return os.path.abspath(str(module)) if module else ""


def inside(names: Any) -> tuple[str, ...] | None:
    """Names of files below a job's output directory; None if one is not."""
    files = texts(names)
    if files is None or any(not f or f.startswith("/") or ".." in f.split("/") for f in files):
        return None
    return files


def texts(values: Any) -> tuple[str, ...] | None:
    if isinstance(values, str):
        return None
    found = tuple(values)
    return found if all(isinstance(text, str) for text in found) else None
