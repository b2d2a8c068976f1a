"""Mergers that other Ganga packages bring, in a Ganga of their own."""

from gangamon.postprocess.foreign.merger import GangaMerger

__all__ = ["GangaMerger"]
