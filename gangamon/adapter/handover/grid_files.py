"""Where a user's proxy or token lies, by reference."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gangamon.adapter.handover import dirac_env


def credential(environ: Mapping[str, str], user: int, encoded: str | None) -> str:
    """The path of what ARC is to be asked with. ``user``: the numerical id. ``encoded``: that of
    the backend's credential requirement, which is a proxy's; None: it has none.

    Without a requirement the first that is named or there: X509_USER_PROXY, BEARER_TOKEN_FILE, and
    the places of the proxy (``/tmp/x509up_uUID``) and of the token (WLCG Bearer Token Discovery
    1.0). Where nothing is there the proxy's is named: the lane waits for it.
    """
    proxy = environ.get("X509_USER_PROXY")
    if encoded is not None:
        return os.path.abspath(dirac_env.proxy(proxy, user, encoded))
    named = proxy or environ.get("BEARER_TOKEN_FILE")
    if named:
        return os.path.abspath(os.path.expanduser(named))
    usual = f"/tmp/x509up_u{user}"
    token = f"bt_u{user}"
    folders = (environ.get("XDG_RUNTIME_DIR") or "/tmp", "/tmp")
    places = (usual, *(os.path.join(folder, token) for folder in folders))
    return next((path for path in places if os.path.isfile(path)), usual)


def diracx(environ: Mapping[str, str]) -> str:
    """Where DiracX's client keeps the user's tokens (diracx-core 0.7.0, preferences.py)."""
    named = environ.get("DIRACX_CREDENTIALS_PATH") or "~/.cache/diracx/credentials.json"
    return os.path.abspath(os.path.expanduser(named))
