"""LSF's job states and termination reasons, and what they mean.

From "Job states" (LSF terms and concepts) and bjobs(1), and from "Termination reasons displayed by
bacct, bhist, and bjobs", of IBM Spectrum LSF 10.1.
"""

from __future__ import annotations

from gangamon.domain.status import JobStatus

WAITS, RUNS = JobStatus.SUBMITTED, JobStatus.RUNNING

#: State -> its meaning. Of EXIT the termination reason may say more.
STATES = {
    "PEND": WAITS,
    "PSUSP": WAITS,
    "PROV": WAITS,  # its host is being powered up
    "WAIT": WAITS,  # a member of a chunk
    "FWD_PEND": WAITS,  # forwarded to another cluster
    "RUN": RUNS,
    "USUSP": RUNS,
    "SSUSP": RUNS,
    "UNKWN": RUNS,  # its host does not answer
    "ZOMBI": RUNS,  # killed or requeued while its host did not answer: the end is yet to come
    "DONE": JobStatus.COMPLETED,
    "EXIT": JobStatus.FAILED,
}

#: Termination reasons of a job that somebody ended.
KILLED = frozenset(
    {"TERM_OWNER", "TERM_ADMIN", "TERM_FORCE_OWNER", "TERM_FORCE_ADMIN", "TERM_BUCKET_KILL"}
)


def end(reason: str) -> JobStatus:
    """Of a job in EXIT. ``reason``: ``TERM_OWNER: job killed by owner``, or ''."""
    return JobStatus.KILLED if reason.partition(":")[0] in KILLED else JobStatus.FAILED


def why(code: int | None, reason: str) -> str:
    """The end of a job in words."""
    keyword, _, words = reason.partition(":")
    text = f"{words.strip() or 'ended'} ({keyword})" if reason else "the job failed"
    if code is None:
        return text
    return f"{text}, exit code {code}" + (f": signal {code - 128}?" if code > 128 else "")
