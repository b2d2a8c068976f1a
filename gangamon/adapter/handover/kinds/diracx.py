"""DiracX: a class of the user's own that is called so (docs/plugins.md); Ganga has none."""

from __future__ import annotations

import os
from typing import Any

from gangamon.adapter.handover import grid_files
from gangamon.adapter.handover.kinds.kind import Kind


def endpoint(backend: Any) -> str:
    return os.environ.get("DIRACX_URL", "")


def credential(backend: Any) -> str:
    return grid_files.diracx(os.environ)


KIND = Kind(endpoint=endpoint, credential=credential)
