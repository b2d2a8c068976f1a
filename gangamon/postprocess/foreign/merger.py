"""GangaMerger: the ``mergefiles`` of a merger that another Ganga package brings (LHCb's, ...).

A Ganga is started for each output, in a process of its own, with the session's version, its Python,
its packages and its configuration file, but a repository and a home that are removed afterwards.
Which files are merged, whether they may be, and when they are seen is decided here, as for all
mergers. Whatever goes wrong before ``mergefiles`` is called leaves the merge to the session.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from gangamon.errors import LeftToSession, MergeFailed
from gangamon.postprocess import manifest, outputs, process
from gangamon.protocols import CodeLimits, Manifest, MergeOrder

PROGRAM = os.path.join(os.path.dirname(__file__), "program.py")

#: Bytes of what Ganga and the merger print that come back where it fails: the last.
_MOST_TOLD = 16_000


class GangaMerger:
    """``options``: plugin, its name in Ganga; attributes, json of its values by name; python and
    ganga, the paths of the session's programs; version, of Ganga; packages, its RUNTIME_PATH;
    gangarc, the path of its configuration file."""

    kind = "GangaMerger"
    limits = CodeLimits()

    def run(self, order: MergeOrder) -> Manifest:
        """See PostProcessor."""
        given = {name: str(value) for name, value in order.spec.options.items()}
        missing = [name for name in ("python", "ganga") if not os.access(given[name], os.X_OK)]
        if missing:
            raise LeftToSession(f"{given[missing[0]]} cannot be run by the worker")
        files = list(order.spec.files)
        return outputs.merge(order, lambda paths, out: self._merge(given, files, paths, out))

    def _merge(
        self, given: dict[str, str], files: list[str], paths: Sequence[str], output: str
    ) -> None:
        place = manifest.hidden(tempfile.gettempdir())
        with manifest.disk(place):
            os.mkdir(place, 0o700)
        try:
            self._run(place, given, files, paths, output)
        finally:
            manifest.discard(place)

    def _run(
        self, place: str, given: dict[str, str], files: list[str], paths: Sequence[str], output: str
    ) -> None:
        answer_at, log = os.path.join(place, "answer"), os.path.join(place, "log")
        request = {
            "plugin": given["plugin"],
            "attributes": {**json.loads(given["attributes"]), "files": files},
            "inputs": list(paths),
            "output": output,
            "answer": answer_at,
        }
        words = ["env", f"HOME={_home(place, given)}", given["python"], given["ganga"]]
        words += ["--no-prompt", "--very-quiet", *_options(place, given), _script(place, request)]
        ended = process.run({"words": words, "log": log}, self.limits)
        answer: dict[str, Any] = {}
        with suppress(FileNotFoundError, ValueError), open(answer_at, encoding="utf-8") as file:
            answer = json.load(file)
        told = f"\nIt printed:\n{said}" if (said := _said(log)) else ""
        if answer.get("begun") is not True:
            why = answer.get("left") or f"Ganga did not start: {ended.how(self.limits)}"
            raise LeftToSession(f"{given['plugin']}: {why}{told}")
        if "error" in answer:
            raise MergeFailed(f"{answer['error']}{answer.get('trace', '')}{told}")
        if answer.get("done") is not True:
            how = ended.how(self.limits)
            raise MergeFailed(f"{given['plugin']} did not come to its end: {how}.{told}")


def _home(place: str, given: dict[str, str]) -> str:
    """A home in which Ganga asks nothing: with the user's configuration, of the same version."""
    home = os.path.join(place, "home")
    known = os.path.join(home, ".cache", "Ganga")
    os.makedirs(known)
    with open(os.path.join(known, ".used_versions"), "w", encoding="utf-8") as file:
        file.write(f"{given['version']}\n")
    gangarc = os.path.join(home, ".gangarc")
    if os.path.isfile(given["gangarc"]):
        shutil.copyfile(given["gangarc"], gangarc)
    else:
        with open(gangarc, "w", encoding="utf-8") as file:
            file.write(f"# Ganga configuration file ($Name: {given['version']} $)\n")
    return home


def _options(place: str, given: dict[str, str]) -> list[str]:
    """Above what the file says. With ``:::`` a path is not put before that of the file, which
    names gangamon's adapter (Config.py:795, 8.7.12)."""
    return [
        f"-o[Configuration]gangadir={os.path.join(place, 'gangadir')}",
        f"-o[Configuration]RUNTIME_PATH=:::{given['packages']}",
        "-o[Configuration]ReleaseNotes=False",
        "-o[PollThread]autostart=False",
    ]


def _script(place: str, request: dict[str, Any]) -> str:
    """What Ganga is to run."""
    path, told = os.path.join(place, "script.py"), os.path.join(place, "request")
    with open(told, "w", encoding="utf-8") as file:
        json.dump(request, file)
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            f"with open({PROGRAM!r}) as _file:\n"
            f"    exec(compile(_file.read(), {PROGRAM!r}, 'exec'), {{'REQUEST': {told!r}}})\n"
        )
    return path


def _said(log: str) -> str:
    with suppress(FileNotFoundError), open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - _MOST_TOLD))
        return file.read().decode("utf-8", "replace").strip()
    return ""
