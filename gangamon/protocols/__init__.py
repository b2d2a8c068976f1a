"""What the layers ask of each other. Implementations live beside each other and never meet.

Every protocol has one conformance suite in ``gangamon.testing``, run by every implementation.
"""

from __future__ import annotations

from gangamon.protocols.backend import (
    FAIL,
    OK,
    WARN,
    Backend,
    Examined,
    Finding,
    Limits,
    PollItem,
)
from gangamon.protocols.output import (
    Checker,
    CheckOrder,
    CodeLimits,
    Event,
    Fetcher,
    FetchOrder,
    Growing,
    Manifest,
    MergeOrder,
    Notifier,
    PostProcessor,
    Source,
    Storage,
)
from gangamon.protocols.push import News, Push
from gangamon.protocols.queue import Clock, TaskQueue
from gangamon.protocols.store import (
    Asked,
    Batch,
    Change,
    Claim,
    Committed,
    DeadLetter,
    Fetchable,
    JobStore,
    Journal,
    Lag,
    LaneRecord,
    Master,
    Outcome,
    Polite,
    Rescued,
)

__all__ = [
    "FAIL",
    "OK",
    "WARN",
    "Asked",
    "Backend",
    "Batch",
    "Change",
    "CheckOrder",
    "Checker",
    "Claim",
    "Clock",
    "CodeLimits",
    "Committed",
    "DeadLetter",
    "Event",
    "Examined",
    "FetchOrder",
    "Fetchable",
    "Fetcher",
    "Finding",
    "Growing",
    "JobStore",
    "Journal",
    "Lag",
    "LaneRecord",
    "Limits",
    "Manifest",
    "Master",
    "MergeOrder",
    "News",
    "Notifier",
    "Outcome",
    "Polite",
    "PollItem",
    "PostProcessor",
    "Push",
    "Rescued",
    "Source",
    "Storage",
    "TaskQueue",
]
