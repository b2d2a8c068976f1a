"""What another job has left in the output directory of one that is submitted for the first time.

``jobs.clean()`` starts Ganga's numbers anew and leaves the directories of the jobs where they are
(GangaRepositoryXML.py:1197, 8.7.12). The next job of a number has them: the other's status file
would be its own, and the other's manifest. (``resubmit`` empties them: Job.py:2150.)
"""

from __future__ import annotations

import os
from typing import Any

from GangaCore.GPIDev.Base.Proxy import getName
from GangaCore.Utility.logging import getLogger

from gangamon.outdir.tree import OURS

logger = getLogger("gangamon")

#: What Local's wrapper keeps (LocalHostExec.py.template, 8.7.12).
STATUS_FILE = "__jobstatus__"


def clear(job: Any) -> None:
    """As Ganga is about to call the job submitted. What cannot be removed is logged."""
    if job.status != "submitting" or int(job.info.submit_counter) > 1:
        return
    folder = job.getOutputWorkspace(create=False).getPath()
    status_file = _no_process(job)
    try:
        for name in os.listdir(folder):
            if name.startswith(OURS) or (status_file and name == STATUS_FILE):
                os.unlink(os.path.join(folder, name))
    except FileNotFoundError:
        return  # there is nothing, or somebody else has removed it
    except OSError as error:
        logger.warning("gangamon: left by another job of that number: %s", error)


def _no_process(job: Any) -> bool:
    """Whether no process of it has been started yet, which could have written a status file: Local
    starts that of all subjobs, or of a job that was not split, last (Localhost.py:109, 8.7.12);
    others may have begun."""
    if getName(job.backend) != "Local":
        return False
    return job.master is not None or bool(job.backend.wrapper_pid == -1)
