"""``subjobs.idx``: what Ganga shows of subjobs that are not loaded, written piece by piece.

Ganga pickles {sub: {...}} in one go, which holds the GIL for as long as it takes (0.1 s and more
for 10,000 subjobs), after it has made every entry anew. Here an entry is pickled when its subjob
is written, and the file is the pieces one after the other.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from typing import Any

#: As Ganga writes it (PickleStreamer.py:17, 8.7.12). It has no header, and each piece refers only
#: to memo entries that it has put itself, so pieces can follow one another.
PROTOCOL = 1


class SubjobIndex:
    """Pickled entries by sub id."""

    def __init__(self) -> None:
        self._pieces: dict[int, bytes] = {}

    def __contains__(self, sub: int) -> bool:
        return sub in self._pieces

    def put(self, sub: int, entry: Mapping[str, Any]) -> None:
        self._pieces[sub] = _body(sub) + _body(dict(entry))

    def cut(self, length: int) -> None:
        """Forget subjobs from ``length`` on."""
        for sub in [sub for sub in self._pieces if sub >= length]:
            del self._pieces[sub]

    def parts(self) -> Iterator[bytes]:
        """The file's content: one pickled dict."""
        yield pickle.EMPTY_DICT + pickle.MARK
        yield b"".join(self._pieces[sub] for sub in sorted(self._pieces))
        yield pickle.SETITEMS + pickle.STOP


def _body(value: Any) -> bytes:
    return pickle.dumps(value, PROTOCOL)[: -len(pickle.STOP)]
