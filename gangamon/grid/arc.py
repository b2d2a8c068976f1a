"""ARC's REST interface: which A-REX a job is in, by its id, and the requests to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from gangamon.grid import credential
from gangamon.grid.http import Requests

#: The version of the interface that is spoken; later A-REX speaks it as well.
VERSION = "1.0"

#: Where A-REX lies unless ``[arex/ws] wsurl`` says where (arc.conf.reference, 6.17).
PORT, MOUNT = 443, "/arex"

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)
_REST = re.compile(r"(/.*)?/rest/\d+\.\d+/jobs/([^/]+)/?", re.ASCII)
_PLAIN = re.compile(r"(/.*)?/([^/]+)/?", re.ASCII)


@dataclass(frozen=True)
class JobId:
    """``name``: the job in its CE. ``service``: URL of the CE's A-REX, ``https://host:443/arex``."""

    name: str
    service: str

    @property
    def jobs(self) -> str:
        """The URL of the CE's jobs."""
        return jobs(self.service)

    @property
    def host(self) -> str:
        return urlsplit(self.service).hostname or ""

    @classmethod
    def parse(cls, text: str, endpoint: str = "") -> JobId | None:
        """Of ``https://host:443/arex/rest/1.0/jobs/ID`` (REST), ``https://host:443/arex/ID``
        (EMI-ES, and what arcsub prints), ``gsiftp://host:2811/jobs/ID`` (gridftp, which A-REX 6
        served from the same jobs; then at the default place of its REST interface), or an ID alone
        at a lane's endpoint. None: no id of ARC's."""
        if _NAME.fullmatch(text):
            where = service(endpoint)
            return cls(text, where) if where else None
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            return None
        match = _REST.fullmatch(parts.path) or _PLAIN.fullmatch(parts.path)
        if not host or match is None or _NAME.fullmatch(match[2]) is None:
            return None
        if parts.scheme == "https":
            return cls(match[2], _url(host, port or PORT, match[1] or ""))
        if parts.scheme == "gsiftp":
            return cls(match[2], _url(host, PORT, MOUNT))
        return None


def service(endpoint: str) -> str:
    """The URL of a CE's A-REX from its URL or host; '' if that is neither."""
    try:
        parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host or parts.scheme not in ("", "https"):
        return ""
    mount = parts.path.partition("/rest")[0].rstrip("/")
    return _url(host, port or PORT, mount or MOUNT)


def _url(host: str, port: int, mount: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"https://{name.lower()}:{port}{mount.rstrip('/')}"


def jobs(service: str) -> str:
    return f"{service}/rest/{VERSION}/jobs"


def requests(timeout: float, path: str, owner: str = "") -> Requests:
    """Requests of a user with the proxy or token in a file, together in so many seconds. Raises
    CredentialMissing."""
    known = credential.read(path, owner)
    tls = known.present(credential.trusted())
    return Requests(timeout, tls, {"Accept": "application/json", **known.headers})
