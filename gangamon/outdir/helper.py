"""A process beside a worker, for one core: does what it is asked, a request in, an answer out.

Threads of one process take turns at the interpreter after each call of the system; with small
files that is most of what they do. It ends with its stdin, and so with its worker. Either is behind
its length (``packed``). An answer is that of ``small.complete``, or what it raises::

    {"error": "TransientError", "text": TEXT}                     a class of gangamon.errors
    {"error": "OSError", "errno": 13, "strerror": TEXT, "filename": PATH}
"""

from __future__ import annotations

import contextlib
import gc
import marshal
import os
import sys
from typing import Any

from gangamon import errors
from gangamon.outdir import small, tree

_KINDS = {
    kind.__name__: kind
    for kind in (errors.TransientError, errors.BackendUnreachable, errors.DiskFull)
}


#: Bytes of a length.
HEAD = 4


def packed(value: Any) -> bytes:
    """A request or an answer. By ``marshal``: both ends are the same Python."""
    body = marshal.dumps(value)
    return len(body).to_bytes(HEAD, "little") + body


def length(head: bytes) -> int:
    """Of what follows."""
    return int.from_bytes(head, "little")


def answer(request: bytes) -> bytes:
    """To one request, which is without its length."""
    try:
        found = small.complete(marshal.loads(request))
    except (errors.GangamonError, OSError) as error:
        found = _told(error)
    return packed(found)


def _told(error: errors.GangamonError | OSError) -> dict[str, Any]:
    if isinstance(error, OSError):
        filename = error.filename if isinstance(error.filename, str) else None
        facts = {"errno": error.errno, "strerror": error.strerror, "filename": filename}
        return {"error": "OSError", **facts}
    return {"error": type(error).__name__, "text": str(error)}


def taken(answer: bytes) -> dict[str, Any]:
    """What an answer, without its length, says; or raises what it tells. ValueError, KeyError: it
    is none."""
    try:
        found = dict(marshal.loads(answer))
    except (EOFError, TypeError) as error:
        raise ValueError(str(error)) from error
    kind = found.get("error")
    if kind is None:
        return found
    if kind == "OSError":
        raise OSError(found["errno"], found["strerror"], found["filename"])
    raise _KINDS[kind](found["text"])


def main() -> None:
    # What is loaded stays, and a request makes nothing that refers to itself: seldom is enough.
    gc.freeze()
    gc.set_threshold(100_000)
    # Its worker is gone while it answers.
    with contextlib.suppress(BrokenPipeError):
        asked = sys.stdin.buffer
        while head := asked.read(HEAD):
            tree.write(sys.stdout.fileno(), answer(asked.read(length(head))))
    # Nothing is open, and nobody is to be told.
    os._exit(0)
