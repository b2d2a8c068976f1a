"""What the API gives and takes, for its OpenAPI document. Times in seconds since the epoch where
nothing else is said, spans in seconds."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Fetched(BaseModel):
    """Outputs that are here, of all attempts."""

    jobs: int
    files: int
    bytes: int
    seconds: float = Field(description="from the first job's to the last one's")
    left: float | None = Field(description="seconds until all are here, at that pace")


class Merging(BaseModel):
    """A merge that is under way; all 0 where none is."""

    bytes: int = Field(description="merged, and not shown yet")
    files: int = Field(description="that go in; 0: not known yet")
    whole: int = Field(description="bytes that go in; 0: not known yet")
    first: int = Field(description="bytes that were merged when this was looked at first")
    seconds: float = Field(description="since then")
    left: float | None = Field(description="seconds until all is merged, at that pace")


class Row(BaseModel):
    """A master job. ``subjobs``: how many by status."""

    job: int
    repository: str
    name: str
    lane: str
    attempt: int
    status: str
    ended: bool
    phase: str = Field(description="open, merge, check, notify, done")
    observed: bool
    total: int
    subjobs: dict[str, int]
    done: int
    fetched: Fetched
    merging: Merging


class Overview(BaseModel):
    owner: str
    sums: dict[str, int] = Field(description="subjobs of all jobs by status")
    jobs: int
    open: int
    tick_age: float | None = Field(description="seconds since the service's last tick")
    dead: int
    flower: str
    away: str = Field(description="why the store cannot be asked; '' while it can")


class Jobs(BaseModel):
    total: int
    rows: list[Row]


class Job(BaseModel):
    row: Row
    results: dict[str, Any] = Field(description="of the stages merge, check, notify")
    lane_state: str
    why: list[str]


class Subjob(BaseModel):
    sub: int
    job: str = Field(description="42.7, or 42 for a job that was not split")
    status: str
    attempt: int
    restart: int
    native_id: str
    native_status: str
    unmapped: bool
    stale: bool
    site: str
    exit_code: int | None
    reason: str
    since: float | None = Field(description="when it got its status")
    started_at: float | None
    ended_at: float | None


class SubjobPage(BaseModel):
    total: int
    first: int
    rows: list[Subjob]


class Story(BaseModel):
    """As `gangamon why --json`, and the same in words."""

    model_config = ConfigDict(extra="allow")
    job: str
    status: str
    native_id: str
    evidence: dict[str, Any] | None
    history: list[dict[str, Any]]
    checks: list[dict[str, Any]]
    left_out: list[str] = Field(description="outputs that were not brought, and why")
    why: list[str]


class Cause(BaseModel):
    key: str
    cause: str
    exit_code: int | None
    count: int
    statuses: dict[str, int]
    sites: dict[str, int]
    first: float | None
    last: float | None
    examples: list[str]


class Site(BaseModel):
    site: str
    statuses: dict[str, int]
    total: int


class Sites(BaseModel):
    """``counted``: of how many masters, the open and the newest first, of ``masters``."""

    rows: list[Site]
    counted: int
    masters: int


class Lane(BaseModel):
    """As `gangamon lanes --json`, with what was asked: ``asked`` as `gangamon report politeness`,
    ``calls`` a list of (minute since the epoch, queries, seconds they took)."""

    model_config = ConfigDict(extra="allow")
    lane: str
    state: str
    mine: bool
    asked: dict[str, Any]
    calls: list[tuple[int, int, float]]


class Queue(BaseModel):
    queue: str
    waiting: int
    claims: int


class Lease(BaseModel):
    queue: str
    worker: str
    task: str
    members: int
    jobs: int
    expires_in: float


class Queues(BaseModel):
    queues: list[Queue]
    leases: list[Lease]


class Letter(BaseModel):
    """``sub``: None where it is a stage of the master itself."""

    name: str
    repository: str
    master: int
    sub: int | None
    stage: str
    reason: str
    at: float
    job: str


class Dead(BaseModel):
    total: int
    causes: list[dict[str, Any]]
    letters: list[Letter]


class Point(BaseModel):
    at: float
    states: dict[str, int]
    moved: dict[str, int] = Field(description="transitions by new status since the last point")
    lags: dict[str, list[float | None]] = Field(description="lane -> p50, p95, largest")


class LaneName(BaseModel):
    lane: str = Field(max_length=1000)
    reason: str = Field("on the job page", max_length=200)


class Letters(BaseModel):
    """``names``: of the letters; ``everything``: all there are."""

    names: list[str] = Field(default_factory=list, max_length=1000)
    everything: bool = False


class Done(BaseModel):
    """``done`` False: kept, and sent again by itself until the service takes it in."""

    done: bool
    text: str
