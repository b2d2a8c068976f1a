"""What is done with fetched outputs: mergers and checkers, by Ganga's class name."""

from gangamon.postprocess.manifest import verify
from gangamon.postprocess.registry import checker, checkers, failures, for_kind, kinds

__all__ = ["checker", "checkers", "failures", "for_kind", "kinds", "verify"]
