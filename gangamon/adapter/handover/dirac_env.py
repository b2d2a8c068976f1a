"""Where Ganga finds DIRAC's environment, and which proxy it uses there, by reference."""

from __future__ import annotations

import os

#: How an endpoint begins that is a JSON file (gangamon/grid/dirac/environment.py).
JSON = "json:"


def endpoint(own: str | None, json: str | None, source: str | None, file: str | None) -> str:
    """The lane's endpoint; '' if Ganga has none. ``own``: what the credential requirement names,
    ``json``, ``source``, ``file``: ``[DIRAC]`` DiracEnvJSON, DiracEnvSource and DiracEnvFile, of
    which Ganga takes the first (DiracUtilities.py ``getDiracEnv``, 8.7.12)."""
    if own:
        return _whole(own)
    if json:
        return JSON + _whole(json)
    return _whole(source or file or "")


def proxy(base: str | None, user: int, encoded: str) -> str:
    """The path of the proxy: ``base`` is X509_USER_PROXY, ``user`` the numerical id, ``encoded``
    the requirement's (DiracProxy.py ``default_location``, 8.7.12)."""
    path = base or f"/tmp/x509up_u{user}"
    return f"{path}:{encoded}" if encoded and encoded not in path else path


def _whole(words: str) -> str:
    """As the shell would read it that Ganga has it sourced by, with an absolute path."""
    text = os.path.expandvars(os.path.expanduser(words.strip()))
    return os.path.abspath(text) if text else ""
