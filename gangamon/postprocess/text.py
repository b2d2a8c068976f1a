"""TextMerger: the files of the subjobs one after the other, each with a line above it.

The result is byte for byte that of Ganga 8.7.12 (Lib/Mergers/Merger.py) from the same inputs, the
time in its first line aside. Ganga reads and writes text: every ``\\r\\n`` and ``\\r`` of an input
becomes ``\\n``. It stops at bytes that are not in the session's encoding; here they are kept. It
raises TypeError for gzip, in and out; here an input whose name ends in ``.gz`` is decompressed,
and an output compressed if ``compress`` is set or its name ends so.

While jobs run the outputs grow, see ``growth``; what is in of them, the merge at the end only has
to find unchanged.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from gangamon.domain.status import JobStatus
from gangamon.errors import DiskFull, MergeFailed, TransientError
from gangamon.postprocess import growth, manifest, slices
from gangamon.postprocess.frames import Frames, is_gzip, output_name
from gangamon.postprocess.plan import (
    Facts,
    accepted,
    fingerprint,
    is_name,
    mounted,
    plan,
    refuse,
)
from gangamon.protocols import Manifest, MergeOrder

#: Seconds for which the merge at the end waits for a slice that is under way.
PATIENCE = 10.0


class TextMerger:
    """Ganga's TextMerger, with bounded memory, and all or nothing: several outputs appear only
    when each of them is complete."""

    kind = "TextMerger"

    def run(self, order: MergeOrder) -> Manifest:
        """See PostProcessor. DiskFull if there is no room; nothing of the merge stays then.

        A second run from the same inputs changes nothing, also without ``overwrite``.
        """
        try:
            made = _run(order)
        except (MergeFailed, DiskFull):
            _discard(order)
            raise
        _discard(order)
        return made

    def grow(self, order: MergeOrder, seconds: float) -> bool:
        """See Growing."""
        until = time.monotonic() + seconds
        mounted(order)
        if not order.spec.files:
            return False
        try:
            with manifest.disk(order.target):
                os.makedirs(order.target, exist_ok=True)
                with growth.opened(order.target, order.spec, create=True) as grown:
                    if grown is None:
                        return False
                    grown.cut(slices.agreed(grown, order))
                    return slices.grow(order, grown, until)
        except DiskFull:
            _discard(order)
            raise


def _discard(order: MergeOrder) -> None:
    with manifest.disk(order.target):
        growth.discard(order.target, order.spec)


def _run(order: MergeOrder) -> Manifest:
    accepted(order)
    made = _at_once(order)
    if made is not None:
        return made
    looked: dict[str, Facts] = {}
    inputs = plan(order, looked)
    source = fingerprint(inputs, looked)
    noted = manifest.load(order.target, order.attempt, order.spec, source)
    kept = [f for f in noted.files if manifest.fits(order.target, f)] if noted else []
    done = {name for name, _, _ in kept}
    due = {n: of for n, of in _outputs(order, inputs).items() if n not in done}
    if noted is not None and not due:
        return noted
    refuse(order, {name: inputs[of] for name, of in due.items()})
    with manifest.disk(order.target):
        return _merge(order, source, inputs, due, kept, looked)


def _at_once(order: MergeOrder) -> Manifest | None:
    """The usual merge, without a look at each file before it is read: one output, the first time,
    of a file of the same name of each subjob. None, and nothing is left, if there is anything else
    about it: a missing file, a failed subjob, one that has grown, no room. The other way says it.
    """
    spec = order.spec
    of = spec.files[0] if len(spec.files) == 1 else ""
    if not of or not is_name(of) or not order.inputs:
        return None
    if any(status is not JobStatus.COMPLETED for _, status, _ in order.inputs):
        return None
    name = output_name(of, spec.compress)
    path = os.path.join(order.target, name)
    begun = os.path.join(order.target, manifest.NAME), growth.base(order.target, spec), path
    if any(map(os.path.lexists, begun)) or not os.path.isdir(os.path.dirname(path)):
        return None
    inputs = {of: [f"{output.removesuffix('/')}/{of}" for _, _, output in order.inputs]}
    refuse(order, {name: inputs[of]})
    try:
        with manifest.disk(order.target):
            return _merge(order, "", inputs, {name: of}, [], {})
    except (MergeFailed, TransientError):
        return None


def _outputs(order: MergeOrder, inputs: Mapping[str, list[str]]) -> dict[str, str]:
    """The name without ``.gz`` that Ganga would give, by the name of the output."""
    names: dict[str, str] = {}
    for of in inputs:
        name = output_name(of, order.spec.compress)
        if name in names:
            raise MergeFailed(f"Both {names[name]} and {of} would be merged into {name}.")
        names[name] = of
    return names


def _merge(
    order: MergeOrder,
    source: str,
    inputs: Mapping[str, list[str]],
    due: Mapping[str, str],
    kept: Sequence[tuple[str, int, str]],
    looked: dict[str, Facts],
) -> Manifest:
    """``source``: the fingerprint of the inputs; '': nothing was looked at, nor has grown."""
    paths = {name: os.path.join(order.target, name) for name in due}
    for directory in {order.target, *map(os.path.dirname, paths.values())}:
        os.makedirs(directory, exist_ok=True)
        manifest.sweep(directory)
    with ExitStack() as leftovers:
        ready = growth.opened(order.target, order.spec, create=False, wait=PATIENCE)
        grown = leftovers.enter_context(ready)
        if grown is not None and not source:
            raise TransientError(f"{order.target}: it has grown")
        if grown is not None:
            grown.cut(min(slices.agreed(grown, order), slices.same(grown, inputs)))
        hidden: dict[str, str] = {}
        made = list(kept)
        for name, of in due.items():
            try:
                if grown is not None and slices.takes(order, grown, of):
                    hidden[name] = grown.place(of)
                    given = inputs[of], is_gzip(name), looked
                    made.append((name, *slices.finish(grown, of, *given)))
                else:
                    hidden[name] = manifest.hidden(os.path.dirname(paths[name]))
                    leftovers.callback(manifest.discard, hidden[name])
                    given = inputs[of], is_gzip(name), looked
                    made.append((name, *_write(hidden[name], *given, learn=not source)))
            except MergeFailed as error:
                _summary(order, of, f"# -- Error in Merge -- #\n\t{error}\n")
                raise
        result = Manifest(tuple(sorted(made)))
        source = source or fingerprint(inputs, looked)
        manifest.store(order.target, order.attempt, order.spec, source, result)
        for name, of in due.items():
            listed = "".join(f"{path}\n" for path in inputs[of])
            text = f"# -- List of files merged -- #\n{listed}# -- End of list -- #\n"
            # Before the output: where that stands, a second run leaves both alone.
            _summary(order, of, text)
            os.replace(hidden[name], paths[name])
    return result


def _summary(order: MergeOrder, of: str, text: str) -> None:
    path = os.path.join(order.target, f"{of}.merge_summary")
    manifest.put(path, os.fsencode(text))


def _write(
    path: str, inputs: Sequence[str], compress: bool, looked: dict[str, Facts], *, learn: bool
) -> tuple[int, str]:
    """The whole output; its bytes and their checksum. ``learn``: see Frames.add_all."""
    with open(path, "xb", buffering=0) as file, Frames(file, compress) as out:
        out.begin()
        out.add_all(inputs, looked, looked if learn else None)
        out.end()
        manifest.settle(file)
        return out.sink.size, out.sink.digest.hexdigest()
