"""Files that are there whole or not at all, whenever the process is killed."""

from __future__ import annotations

import os
from collections.abc import Iterable


def replace(path: str, parts: Iterable[bytes], backup: bool = False) -> None:
    """Put ``parts`` in the place of the file. Raises OSError; the old file is there then.

    ``backup``: the old file stays as ``path~``, where Ganga looks if it cannot read ``path``
    (SubJobXMLList.py:355, GangaRepositoryXML.py:955, 8.7.12). Unlike Ganga's ``safe_save``, which
    moves it away first, at no moment is there no ``path``.
    """
    new = path + ".new"
    with open(new, "wb") as file:
        file.writelines(parts)
    if backup:
        _keep(path)
    os.replace(new, path)


def _keep(path: str) -> None:
    kept = path + "~"
    try:
        os.link(path, kept + ".new")
    except FileNotFoundError:
        return  # nothing to keep
    except FileExistsError:  # from a process that was killed between the two
        os.unlink(kept + ".new")
        os.link(path, kept + ".new")
    except OSError:  # a file system without hard links
        os.rename(path, kept)
        return
    os.replace(kept + ".new", kept)


def replace_in_new_directory(folder: str, name: str, parts: Iterable[bytes]) -> None:
    """The same for the first file of a directory, which appears together with it: Ganga gives up
    a job that has the directory of a subjob, but no data in it (SubJobXMLList.py:640, 8.7.12).
    The directory above must exist. Raises OSError."""
    new = folder + ".new"
    os.makedirs(new, exist_ok=True)
    replace(os.path.join(new, name), parts)
    os.rename(new, folder)
