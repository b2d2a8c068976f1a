"""What the comparison has found: into the session's file, and to the prompt where it matters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from GangaCore.Utility.logging import getLogger

from gangamon.adapter.service.link import Link
from gangamon.adapter.shadow import jobs
from gangamon.adapter.watch.reader import Gone, Reader
from gangamon.domain.command import UNSPLIT
from gangamon.domain.shadow import Finding, Kind
from gangamon.domain.status import JobStatus
from gangamon.errors import DiskFull, StoreUnavailable
from gangamon.services import shadow
from gangamon.settings import hostname

logger = getLogger("gangamon")

#: Kinds that are worth a line at the prompt.
_TOLD = (Kind.CONTRADICTION.value, Kind.BEHIND.value, shadow.UNCLEAR)


class Findings:
    """Of one session."""

    def __init__(self, reader: Reader, link: Link, place: Path) -> None:
        self._reader, self._link = reader, link
        self._record = shadow.Record(place, hostname())
        self._told: set[str] = set()

    @property
    def path(self) -> Path:
        return self._record.path

    def summary(self) -> shadow.Summary:
        """Raises OSError."""
        return shadow.summary([self.path] if self.path.exists() else [])

    def tell(self, found: Iterable[Finding]) -> None:
        """Keep them, and say what must be seen: the same of many subjobs in one line."""
        lines = [line for finding in found for line in self._lines(finding)]
        try:
            self._record.write(lines)
        except DiskFull as error:
            if "disk" not in self._told:
                self._told.add("disk")
                logger.error("gangamon shadow: %s", error)
        for same in shadow.grouped(line for line in lines if line["kind"] in _TOLD).values():
            body = same[0]
            if body["kind"] == Kind.BEHIND:
                about = f"{body['job'].partition('.')[0]} {body['behind']}"
                if about in self._told:
                    continue  # of each master job once: there may be thousands
                self._told.add(about)
            more = f" (and {len(same) - 1} of its subjobs like it)" if len(same) > 1 else ""
            logger.warning("gangamon shadow: %s%s", shadow.tell(body), more)

    def _lines(self, finding: Finding) -> list[dict[str, Any]]:
        """What is kept of it: a line, or none."""
        kind = finding.kind.value
        if finding.kind in (Kind.AGREED, Kind.TAKEN_BACK):
            return [shadow.line(finding, kind)]
        number, sub = master(finding), int(finding.fqid.partition(".")[2] or UNSPLIT)
        try:
            raw = jobs.load(self._reader, number)
            if int(jobs.job(raw, sub).info.submit_counter) != finding.attempt:
                return []  # submitted again meanwhile: what Ganga says is of another attempt
            failed = finding.ganga.status is JobStatus.FAILED
            completed = finding.gangamon.status is JobStatus.COMPLETED
            if finding.kind is Kind.CONTRADICTION and failed and completed:
                kind = shadow.UNCLEAR if jobs.may_fail(raw, sub) else kind
        except Gone:
            return []
        return [shadow.line(finding, kind, self._evidence(number, sub))]

    def _evidence(self, number: int, sub: int) -> Mapping[str, Any]:
        try:
            found = self._link.job(number, sub)
        except StoreUnavailable:
            return {}
        if found is None:
            return {}
        if found.evidence is None:
            return {"native_status": found.native_status}
        return asdict(found.evidence)


def master(finding: Finding) -> int:
    """The id of its master job, or of the job itself."""
    return int(finding.fqid.partition(".")[0])
