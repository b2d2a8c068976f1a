"""ARC CEs, by A-REX's REST interface (1.0, ARC 6.12 and later). What is asked: docs/backends.md.

Ganga's ARC class (GangaCore/Lib/LCG/ARC.py, to 8.6.5: later Ganga has none) keeps the URL that
arcsub prints in ``backend.id``, and the CE as the user gave it in ``CE`` and ``actualCE``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gangamon.backends.arc import answers, doctor, states
from gangamon.backends.arc.answers import Info, Status
from gangamon.domain.cadence import Cadence
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Scalar, Seen, Unreachable
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import TransientError
from gangamon.grid import arc
from gangamon.grid.arc import JobId
from gangamon.grid.http import Requests
from gangamon.protocols import Finding, Limits, PollItem

SOURCE = "ARC REST"

#: Jobs in one request: their ids have some 70 bytes, and A-REX reads 1 MB (rest.cpp); it reads a
#: file for each, 1 ms. Documents have 2 KB each.
STATUSES, INFOS = 1000, 500

#: Ends without a document for which the cause is asked for, each in a request of its own, in one
#: query.
CAUSES = 20

Asked = Sequence[tuple[PollItem, JobId]]


class ArcBackend:
    """One request for the states of a thousand jobs, one for the documents of those that ended.
    The lane's endpoint is the URL of the CE's A-REX, its credential the path of an X.509 proxy or
    of a token."""

    name = "ARC"

    def __init__(self) -> None:
        # A-REX's states are as old as the last round of its information provider, a minute or
        # more: to ask more often tells nothing new.
        self.limits = Limits(
            jobs=2000,
            timeout=120.0,
            slots=1,
            endpoint_slots=2,
            rate=0.5,
            burst=10,
            cadence=Cadence(floor=30.0, cap=300.0),
        )

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. Absent: A-REX answers 404 for the job, or has wiped it."""
        found: dict[str, Observation] = {}
        errors: list[TransientError] = []
        services = _by_service(lane, items, found, Absent(SOURCE))
        for (service, owner), asked in services.items():
            try:
                found.update(self._ask(service, owner, lane.credential, asked))
            except TransientError as error:
                errors.append(error)
                found.update({item.key: Unreachable(str(error)) for item, _ in asked})
        if errors and len(errors) == len(services):
            raise errors[0]
        return found

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        """See Backend. A user can ask A-REX nothing more: it forgets a job that was cleaned, and
        keeps its accounting to itself."""
        return {item.key: Absent(SOURCE, second=True) for item in items}

    def doctor(self, lane: Lane) -> Iterable[Finding]:
        """See Examined."""
        return doctor.findings(lane, self.limits.timeout)

    def _ask(self, service: str, owner: str, path: str, asked: Asked) -> dict[str, Observation]:
        ids = sorted({id_.name for _, id_ in asked})
        with arc.requests(self.limits.timeout, path, owner) as requests:
            service = arc.jobs(service)
            found: dict[str, Status] = {}
            for chunk in _chunks(ids, STATUSES):
                found.update(answers.statuses(_post(requests, service, "status", chunk), chunk))
            over = [n for n in ids if n in found and states.STATES.get(found[n].state) in FINAL]
            documents: dict[str, Info] = {}
            for chunk in _chunks(over, INFOS):
                documents.update(answers.infos(_post(requests, service, "info", chunk), chunk))
            causes = _causes(requests, service, found, documents)
        return {
            item.key: _observation(
                found.get(id_.name), documents.get(id_.name, Info()), causes.get(id_.name), id_
            )
            for item, id_ in asked
        }


def _by_service(
    lane: Lane, items: Sequence[PollItem], found: dict[str, Observation], nothing: Observation
) -> Mapping[tuple[str, str], list[tuple[PollItem, JobId]]]:
    """The jobs of each CE and owner: the credential must be the owner's."""
    services: dict[tuple[str, str], list[tuple[PollItem, JobId]]] = defaultdict(list)
    for item in items:
        id_ = JobId.parse(item.native_id, lane.endpoint)
        if id_ is None:
            found[item.key] = nothing  # ARC has given it no id
        else:
            services[id_.service, item.home.partition(":")[0]].append((item, id_))
    return services


def _post(requests: Requests, url: str, action: str, ids: Sequence[str]) -> Any:
    body = {"job": [{"id": name} for name in ids]}
    return requests.ask("POST", url, params={"action": action}, json=body).value


def _chunks(ids: Sequence[str], size: int) -> list[Sequence[str]]:
    return [ids[n : n + size] for n in range(0, len(ids), size)]


def _causes(
    requests: Requests,
    url: str,
    found: Mapping[str, Status],
    documents: Mapping[str, Info],
) -> dict[str, str]:
    """Why jobs FAILED that have no whole document yet: A-REX calls so for a while also those that
    were cancelled. '' where it knows no cause."""
    bare = [
        name
        for name, status in found.items()
        if status.state == "FAILED" and not documents.get(name, Info()).whole
    ]
    causes = {}
    for name in bare[:CAUSES]:
        status, _, body = requests.read("GET", f"{url}/{name}/diagnose/failed", allowed=(404,))
        text = body.decode("utf-8", "replace") if status == 200 else ""
        causes[name] = " ".join(text[:1000].split())
    return causes


def _observation(status: Status | None, info: Info, cause: str | None, id_: JobId) -> Observation:
    if status is None:
        return Unreachable("ARC left the job out of its answer")
    if status.code == answers.NOT_FOUND or status.state == states.WIPED:
        return Absent(SOURCE)
    if status.code != answers.OK or not status.state:
        return Unreachable(f"ARC: {status.code} {status.reason}".strip())
    state, meaning = status.state, states.STATES.get(status.state)
    if meaning not in FINAL:
        return Seen(
            state,
            meaning,
            SOURCE,
            site=id_.host,
            attributes={"status": state, "actualCE": id_.host},
        )
    if state == "FAILED" and not info.whole:
        if cause is None:  # too many at once: what it was is told by a later query
            return Seen(state, JobStatus.RUNNING, SOURCE, site=id_.host)
        if states.CANCELLED in cause:
            state, meaning = "KILLED", JobStatus.KILLED
        info = Info(error=cause)
    elif info.whole and info.state != state:
        # Two moments: the document is of another one. The next query will have both alike.
        return Seen(state, JobStatus.RUNNING, SOURCE, site=id_.host)
    return _end(state, meaning, info, id_)


def _end(state: str, meaning: JobStatus | None, info: Info, id_: JobId) -> Seen:
    """As Ganga: FINISHED with another exit code than 0 has failed (ARC.py, 8.6.5)."""
    if state == "FINISHED" and info.code:
        meaning = JobStatus.FAILED
    reason = states.why(state, info.code, info.error)
    attributes: dict[str, Scalar] = {"status": state, "actualCE": id_.host}
    if info.code is not None:
        attributes["exitcode_arc"] = info.code
    if info.node:
        attributes["workernode"] = info.node
    if reason:
        attributes["reason"] = reason
    started = info.started if (info.ended or 1e11) >= (info.started or 0.0) else None
    return Seen(
        state,
        meaning,
        SOURCE,
        site=id_.host,
        started_at=started,
        ended_at=info.ended,
        exit_code=info.code,
        reason=reason + _used(info) if reason else "",
        attributes=attributes,
    )


def _used(info: Info) -> str:
    parts = []
    if info.cpu is not None:
        parts.append(f"{info.cpu} s of CPU")
    if info.memory:
        parts.append(f"{info.memory / 1024:.0f} MiB")
    return f"; used {', '.join(parts)}" if parts else ""
