"""A merge whose outputs appear whole, all or none, and once, whatever makes them.

For mergers that make one output from its inputs in one go. A merger writes into a hidden directory
beside the output; when all outputs are there, the manifest is written, and they get their names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from gangamon.errors import MergeFailed
from gangamon.postprocess import manifest
from gangamon.postprocess.plan import accepted, fingerprint, plan, refuse
from gangamon.protocols import Manifest, MergeOrder

#: Makes the file of the second argument from the files of the first: paths. What else it writes
#: beside that file gets its place beside the output too. Raises MergeFailed, TransientError.
Make = Callable[[Sequence[str], str], None]

#: Which files are merged for an output (its name, its inputs) in the place of these.
Instead = Callable[[str, Sequence[str]], Sequence[str]]

_CHUNK = 1 << 20


def merge(order: MergeOrder, make: Make, instead: Instead = lambda _, paths: paths) -> Manifest:
    """As PostProcessor.run. A second run from the same inputs changes nothing, also without
    ``overwrite``; one that was killed is taken up where its outputs were to get their names."""
    accepted(order)
    inputs = plan(order)
    source = fingerprint(inputs)
    noted = manifest.load(order.target, order.attempt, order.spec, source)
    kept = [f for f in noted.files if manifest.fits(order.target, f)] if noted else []
    if noted is not None and len(kept) == len(noted.files):
        return noted
    done = {name for name, _, _ in kept}
    due = {name: paths for name, paths in inputs.items() if os.path.normpath(name) not in done}
    refuse(order, due)
    with manifest.disk(order.target), ExitStack() as leftovers:
        folders = {name: _folder(order, name, leftovers) for name in due}
        for name, paths in due.items():
            _make(order, make, instead(name, paths), name, folders[name])
        made = {f[0]: f for f in kept}
        for name, folder in folders.items():
            made.update({f[0]: f for f in _found(os.path.dirname(name), folder)})
        result = Manifest(tuple(sorted(made.values())))
        manifest.store(order.target, order.attempt, order.spec, source, result)
        for name, folder in folders.items():
            listed = "".join(f"{path}\n" for path in due[name])
            # Before the output: where that stands, a second run leaves both alone.
            summary(order, name, f"# -- List of files merged -- #\n{listed}# -- End of list -- #\n")
            _place(order, name, folder)
    return result


def summary(order: MergeOrder, name: str, text: str) -> None:
    """Ganga's record of one output's merge, beside it."""
    manifest.put(os.path.join(order.target, f"{name}.merge_summary"), os.fsencode(text))


def settle(folder: str) -> None:
    """All files there, to the disk, and that they are there. Raises OSError."""
    for path in (*(entry.path for entry in os.scandir(folder)), folder):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _folder(order: MergeOrder, name: str, leftovers: ExitStack) -> str:
    directory = os.path.dirname(os.path.join(order.target, name))
    os.makedirs(directory, exist_ok=True)
    manifest.sweep(directory)
    folder = manifest.hidden(directory)
    os.mkdir(folder)
    leftovers.callback(manifest.discard, folder)
    return folder


def _make(order: MergeOrder, make: Make, paths: Sequence[str], name: str, folder: str) -> None:
    try:
        make(list(paths), os.path.join(folder, os.path.basename(name)))
    except MergeFailed as error:
        text = f"# -- Error in Merge -- #\n\tPostProcessException: {error}\n"
        summary(order, name, text)
        raise


def _found(directory: str, folder: str) -> list[tuple[str, int, str]]:
    """The files that were made, as a manifest has them, safe on the disk."""
    found = []
    for entry in sorted(os.listdir(folder)):
        path = os.path.join(folder, entry)
        if os.path.islink(path) or not os.path.isfile(path):
            raise MergeFailed(f"The merge made {entry}, which is not a regular file.")
        digest = manifest.checksum()
        size = 0
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
            os.fsync(file.fileno())
        found.append((os.path.normpath(os.path.join(directory, entry)), size, digest.hexdigest()))
    return found


def _place(order: MergeOrder, name: str, folder: str) -> None:
    """Give what was made its names, the output last: where that stands, all of it does."""
    directory = os.path.dirname(os.path.join(order.target, name))
    last = os.path.basename(name)
    for entry in sorted(os.listdir(folder), key=lambda entry: entry == last):
        os.replace(os.path.join(folder, entry), os.path.join(directory, entry))
