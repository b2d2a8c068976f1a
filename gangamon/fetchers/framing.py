"""Parts of one stream, each between lines that nobody can have put into it.

A line is ``\\nMARK TEXT\\n``, with a MARK that was made up for this stream. All that comes is
looked through for it: a part that is cut off (its ``tar`` was killed) takes nothing of the next.
"""

from __future__ import annotations

from collections.abc import Callable

from gangamon.errors import TransientError

#: Bytes that are read at once; characters of a line.
CHUNK, LONG = 1 << 18, 100


class Broken(TransientError):
    """The stream is not to be read any more: nothing is known of the parts that were to come."""


class CutOff(TransientError):
    """A part has ended too early; the next one can be read."""


class Parts:
    """``read``: as of a file, b'' at the end. A TransientError of its is the stream's end, too."""

    def __init__(self, read: Callable[[int], bytes], mark: str) -> None:
        self._read = read
        self._mark = f"\n{mark} ".encode()
        #: Bytes so far.
        self.came = 0
        self._have = b""
        #: Where we are in it; until where nothing belongs to a line; whether one begins there.
        self._at, self._safe, self._line = 0, 0, False

    def some(self, most: int) -> memoryview:
        """The next bytes of this part, at least one; empty at its end. Broken."""
        while self._at == self._safe:
            if self._line:
                return memoryview(b"")
            self._look(self._have[self._at :] + self._more())
        end = min(self._safe, self._at + most)
        found = memoryview(self._have)[self._at : end]
        self._at = end
        return found

    def exactly(self, size: int) -> bytes:
        """Broken; CutOff where this part has fewer."""
        end = self._at + size
        if end <= self._safe:
            found, self._at = self._have[self._at : end], end
            return found
        pieces = bytearray()
        while len(pieces) < size:
            piece = self.some(size - len(pieces))
            if not piece:
                raise CutOff("it ended too early")
            pieces += piece
        return bytes(pieces)

    def skip(self, size: int) -> None:
        """Broken; CutOff where this part has fewer."""
        while size:
            piece = len(self.some(size))
            if not piece:
                raise CutOff("it ended too early")
            size -= piece

    def line(self) -> str:
        """The text of the next line, whatever comes before it. Broken."""
        while self.some(CHUNK):
            pass
        begin = self._at + len(self._mark)
        while (end := self._have.find(b"\n", begin)) < 0:
            if len(self._have) - begin > LONG:
                raise Broken("a line that is too long")
            self._have += self._more()
        text = self._have[begin:end].decode("ascii", "replace")
        self._look(self._have[end + 1 :])
        return text

    def _more(self) -> bytes:
        try:
            chunk = self._read(CHUNK)
        except TransientError as error:
            raise Broken(str(error)) from error
        if not chunk:
            raise Broken("cut off")
        self.came += len(chunk)
        return chunk

    def _look(self, have: bytes) -> None:
        self._have, self._at = have, 0
        found = have.find(self._mark)
        self._line = found >= 0
        self._safe = found if self._line else max(0, len(have) - len(self._mark) + 1)
