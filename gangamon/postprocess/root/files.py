"""Reading ROOT files by uproot, which is imported where it is needed: it takes a second."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gangamon.errors import GangamonError, LeftToSession, StorageAway

#: What a storage that is away says; the file itself is not to blame.
_AWAY = {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT}

#: ``TDirectory`` is what uproot writes, ``TDirectoryFile`` what ROOT does.
DIRECTORIES = ("TDirectory", "TDirectoryFile")


class Broken(Exception):
    """What is in a file cannot be read: it is no ROOT file, was not closed, or is damaged."""


def library() -> Any:
    """uproot. LeftToSession if it is not installed."""
    try:
        import uproot
    except ImportError as error:
        raise LeftToSession(
            "ROOT files need the extra `root` of gangamon (uproot) in the worker's environment"
        ) from error
    return uproot


@contextmanager
def opened(path: str) -> Iterator[Any]:
    """The file's directory. Broken, StorageAway: also for what is read inside the ``with``.
    OSError where there is no room for what is written there."""
    uproot = library()
    try:
        with uproot.open(
            {path: None},
            handler=uproot.MultithreadedFileSource,  # not mapped: a file may be cut while it is
            use_threads=False,
            object_cache=None,
            array_cache=None,
        ) as file:
            yield file
    except GangamonError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # of what is written meanwhile
        if error.errno in _AWAY:
            raise StorageAway(f"{path}: {error.strerror}") from error
        raise Broken(f"{path}: {error}") from error
    except Exception as error:  # whatever a damaged file leads to
        raise Broken(f"{path}: {type(error).__name__}: {error}") from error


def objects(file: Any) -> Mapping[str, str]:
    """The class of each object of a file by its path, directories too, the newest cycle only."""
    newest: dict[str, tuple[int, str]] = {}
    for key, kind in file.classnames(recursive=True, cycle=True).items():
        path, _, cycle = key.rpartition(";")
        if path not in newest or int(cycle) > newest[path][0]:
            newest[path] = (int(cycle), kind)
    return {path: kind for path, (_, kind) in newest.items()}
