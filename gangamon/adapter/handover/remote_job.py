"""Where a job of Ganga's Remote lies on the other host.

Ganga there is started with ``ganga_dir`` as its gangadir, and has made a job of its own
(``remote_job_id``), whose workspace is ``gangadir/workspace/USER/LocalXML/ID``
(Core/FilesystemWorkspace.py, 8.7.12), with the defaults of ``[Configuration]user`` and
``repositorytype``. What the far backend knew when it had submitted is copied into
``remote_backend``.
"""

from __future__ import annotations

import os
from typing import Any

from gangamon.domain.observation import Scalar


def endpoint(backend: Any) -> str:
    """``USER@HOST:PORT``, as the object has it."""
    user, host = str(backend.username or ""), str(backend.host or "")
    return f"{user}@{host}" if user and host else host


def extra(backend: Any) -> dict[str, Scalar]:
    """For ``RemoteBackend`` and ``RemoteFetcher``. Of a far Local the process that started the
    wrapper, and its host; of several attempts there the last."""
    top = str(backend.ganga_dir or "").rstrip("/")
    found: dict[str, Scalar] = {}
    if top:
        found["workspace"] = f"{top}/workspace/{backend.username}/LocalXML"
    if backend.ssh_key:
        key = os.path.expanduser(os.path.expandvars(str(backend.ssh_key)))
        if os.path.isabs(key) and os.path.exists(key):  # else Ganga asks for a password
            found["ssh_key"] = key
    far = backend.remote_backend
    pid = getattr(far, "wrapper_pid", None)
    if pid is not None:
        last = pid if isinstance(pid, int) else (list(pid) or [0])[-1]
        found["host"] = str(getattr(far, "actualCE", "") or "")
        found["wrapper_pid"] = max(0, int(last))
    return found
