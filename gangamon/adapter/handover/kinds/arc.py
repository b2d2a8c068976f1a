"""ARC: a class of the user's own that is called so (docs/plugins.md), or of Ganga to 8.6.5."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from gangamon.adapter.handover import grid_files
from gangamon.adapter.handover.kinds.kind import Kind


def endpoint(backend: Any) -> str:
    """The CE as the user gave it, else that of the job's id, where that is a URL."""
    named = getattr(backend, "CE", "") or getattr(backend, "actualCE", "")
    return str(named or urlsplit(str(backend.id or "")).netloc)


def credential(backend: Any) -> str:
    required = getattr(backend, "credential_requirements", None)
    encoded = None if required is None else required.encoded()
    return grid_files.credential(os.environ, os.getuid(), encoded)


KIND = Kind(endpoint=endpoint, credential=credential)
