"""DIRAC's job states and what they mean. DiracX has the same (diracx.core.models ``JobStatus``).

From ``JobStatus.py`` and ``JobMinorStatus.py`` of DIRAC 9.1.22 (WorkloadManagementSystem/Client;
DIRACCommon), and Ganga's ``[DIRAC] statusmapping`` (GangaDirac/__init__.py, 8.7.12). Where the two
differ: Ganga's table lacks Submitting, Scouting and Rescheduled, and Ganga then calls the job
failed, as it does with a job that the answer does not name. For us it waits, and the latter is
Absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gangamon.domain.observation import Scalar
from gangamon.domain.status import FINAL, JobStatus

WAITS, RUNS = JobStatus.SUBMITTED, JobStatus.RUNNING
FAILED = JobStatus.FAILED

#: ``Status`` -> its meaning.
STATES = {
    "Submitting": WAITS,
    "Received": WAITS,
    "Checking": WAITS,
    "Scouting": WAITS,
    "Staging": WAITS,
    "Waiting": WAITS,
    "Matched": WAITS,
    "Rescheduled": WAITS,
    "Running": RUNS,
    # no sign of life; it may come back, or DIRAC declares it Failed
    "Stalled": RUNS,
    # the payload is over, its outputs are being uploaded
    "Completing": RUNS,
    # the job is over, requests (failover transfers) are pending: then Done or Failed
    "Completed": RUNS,
    "Done": JobStatus.COMPLETED,
    "Failed": FAILED,
    # as Ganga has them: what the owner kills in Ganga is killed there before DIRAC says so
    "Killed": FAILED,
    "Deleted": FAILED,
}

#: Taken back by somebody: their output sandbox is gone or was never made.
TAKEN_BACK = frozenset({"Killed", "Deleted"})

#: The one ``MinorStatus`` that counts: Ganga takes any job with it for running (DiracCommands.py
#: ``status``), unless it has ended: JobWrapper ends a job so whose outputs cannot be uploaded.
UPLOADING = "Uploading Output Data"

#: Why a job ended so.
WORDS = {
    "Failed": "the job failed",
    "Killed": "killed in DIRAC",
    "Deleted": "deleted in DIRAC",
}

#: ``ApplicationStatus`` of a payload that ended with a code of its own: Workflow/Modules/Script.py.
_CODE = re.compile(r".*Exited With Status (-?\d{1,9})\s*", re.ASCII | re.DOTALL)

#: What stands in a field that nobody has set (JobDB.sql).
_UNSET = frozenset({"", "Unknown", "None"})


def meaning(status: str, minor: str = "") -> JobStatus | None:
    """What ``Status`` means with this ``MinorStatus``; None for one that the table has not."""
    means = STATES.get(status)
    if minor == UPLOADING and means is not None and means not in FINAL:
        return RUNS
    return means


def exit_code(application: str) -> int | None:
    """The payload's exit code where ``ApplicationStatus`` tells it."""
    match = _CODE.fullmatch(application)
    return int(match[1]) if match else None


def why(status: str, minor: str, application: str) -> str:
    """The end of a job in words; '' for one that went well or has not ended."""
    if status not in WORDS:
        return ""
    said = ", ".join(text for text in (minor, application) if text not in _UNSET)
    ended = f"{WORDS[status]} ({status})"
    return f"{ended}: {said}" if said else ended


def attributes(status: str, minor: str, application: str, site: str) -> Mapping[str, Scalar]:
    """What Ganga's ``job.backend`` shows of it (DiracBase.py ``monitor_dirac_running_jobs``).
    ``extraInfo`` is the application's status, also while the job runs: there Ganga, which asked for
    it job by job, no longer does (DiracNewCommands.py ``status``)."""
    return {"status": status, "statusInfo": minor, "extraInfo": application, "actualCE": site}
