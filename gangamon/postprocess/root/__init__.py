"""ROOT files: merged as by hadd, and checked, with uproot; no ROOT is needed."""

from gangamon.postprocess.root.checker import RootFileChecker
from gangamon.postprocess.root.merger import RootMerger

__all__ = ["RootFileChecker", "RootMerger"]
