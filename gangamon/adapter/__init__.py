"""The Ganga runtime package's inside: jobs into commands, update streams into job statuses.

Nothing here imports Ganga before ``install`` is called, so that the package can be imported,
checked and tested without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def install(make_client: Callable[..., Any] | None = None) -> bool:
    """Put the adapter in the place of Ganga's own monitoring; whether that was done.

    Called by Ganga while it starts. Never raises: if gangamon cannot be installed, one warning
    says why, and Ganga's own monitoring stays. ``make_client(settings, spool)``: for tests.
    """
    from gangamon.adapter.installation import install as install_in_ganga

    return install_in_ganga(make_client)
