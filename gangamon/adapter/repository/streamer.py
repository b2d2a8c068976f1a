"""Ganga's XML of a job, made without holding the job's lock all the while."""

from __future__ import annotations

import io
import time
from typing import Any

from GangaCore.Core.GangaRepository.VStreamer import VStreamer, XMLFileError

#: Elements of sequences between two releases of the lock, and seconds of each.
ELEMENTS, BREATH = 64, 0.0005


class _Breathing(VStreamer):
    """A master's splitter may have 10,000 elements, half a second of work. After each some of them
    the job's lock, which ``accept`` holds (Objects.py:715, 8.7.12), is free for a moment."""

    def __init__(self, out: Any, without: str, lock: Any) -> None:
        super().__init__(out=out, selection=[without])
        self._lock, self._elements = lock, 0

    def acceptOptional(self, s: Any) -> None:  # noqa: N802 (Ganga's name)
        self._elements += 1
        if self._lock is not None and self._elements % ELEMENTS == 0:
            held = self._lock._release_save()  # as threading.Condition does
            time.sleep(BREATH)
            self._lock._acquire_restore(held)
        super().acceptOptional(s)


def xml(job: Any, without: str) -> bytes:
    """As Ganga writes it (VStreamer.py:47, 8.7.12), but for the attribute ``without``. Raises
    XMLFileError.

    What changes meanwhile may be in it or not; it makes the job dirty, and is written next time.
    A caller who holds the lock keeps it.
    """
    lock = None if job._lock._is_owned() else job._lock
    out = io.StringIO()
    streamer = _Breathing(out, without, lock)
    try:
        streamer.begin_root()
        job.accept(streamer)
        streamer.end_root()
    except Exception as error:
        raise XMLFileError(error, "to-file error") from error
    print(file=out)
    return out.getvalue().encode()
