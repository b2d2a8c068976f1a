"""SmartMerger: each file is merged by the merger of its kind, one kind after the other.

Which merger that is stands in ``[Mergers]`` of Ganga's configuration, so the session says it: it
sends the mergers as parts (gangamon/adapter/handover/smart.py). Where Ganga would stop at a file of
no known kind, it sends ``refusal``, which fails the merge after the parts before it have run, as in
Ganga 8.7.12 (Lib/Mergers/Merger.py:371).
"""

from __future__ import annotations

import time
from dataclasses import replace

from gangamon.errors import DiskFull, LeftToSession, MergeFailed
from gangamon.postprocess import growth, manifest
from gangamon.postprocess.registry import for_kind
from gangamon.protocols import CodeLimits, Growing, Manifest, MergeOrder


class SmartMerger:
    """Ganga's SmartMerger, and any other that is made of several mergers."""

    kind = "SmartMerger"
    limits = CodeLimits()

    def run(self, order: MergeOrder) -> Manifest:
        """See PostProcessor. The first part that fails ends it; what those before it have merged
        stays, as in Ganga."""
        try:
            return self._run(order)
        except (MergeFailed, DiskFull, LeftToSession):
            with manifest.disk(order.target):
                for part in order.spec.parts:
                    growth.discard(order.target, part)
            raise

    def grow(self, order: MergeOrder, seconds: float) -> bool:
        """See Growing: each of its parts that can, were it by a step."""
        until = time.monotonic() + seconds
        more = False
        for part in order.spec.parts:
            merger = for_kind(part.kind, self.limits)
            if isinstance(merger, Growing):
                left = max(0.0, until - time.monotonic())
                more = merger.grow(replace(order, spec=part), left) or more
        return more

    def _run(self, order: MergeOrder) -> Manifest:
        made: dict[str, tuple[str, int, str]] = {}
        for part in order.spec.parts:
            done = for_kind(part.kind, self.limits).run(replace(order, spec=part))
            made.update({file[0]: file for file in done.files})
        if refusal := order.spec.options.get("refusal"):
            raise MergeFailed(str(refusal))
        return Manifest(tuple(sorted(made.values())))
