"""Redis and Sentinel as a group has them that trusts its network little: under the ACL file of
`gangamon redis-acl`, a login for the sentinels too, and TLS between all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.integration.backends.certificates import Authority
from tests.support.guarded import users
from tests.support.sentinel import NAME, Sentries

#: Debian's redis-tools has the server under this name; called redis-server it is one. It is built
#: with TLS, which the embedded one is not.
WITH_TLS = "redis-check-rdb"

#: Of the sentinels themselves.
WATCHWORD = "watchword"


class Guards(Sentries):
    """``tls``: all speak TLS, and want a certificate of each other and of clients."""

    def __init__(self, folder: Path, tls: bool) -> None:
        super().__init__(folder)
        self._tls = tls
        self.secrets = folder / "secrets"
        self._acl = folder / "users.acl"
        self._acl.write_text(users(self.secrets))
        (self.secrets / WATCHWORD).write_text(WATCHWORD)
        if tls:
            authority = Authority(folder)
            both = "extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=IP:127.0.0.1"
            authority.certify("host", "CN=redis", both)
            server = folder / "redis-server"
            server.symlink_to(str(shutil.which(WITH_TLS)))
            self._binary = str(server)

    def as_(self, user: str) -> str:
        """The setting of a process that is this user."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        files = {
            "password_file": self.secrets / user,
            "sentinel_password_file": self.secrets / WATCHWORD,
            **self._files("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"),
        }
        more = "&".join(f"{name}={path}" for name, path in files.items())
        scheme = "sentinels" if self._tls else "sentinel"
        return f"{scheme}://{user}@{hosts}/0?master={NAME}&{more}"

    def refused(self) -> list[tuple[str, str, str]]:
        """What the servers that run have refused to anybody."""
        logs = [self._client(port).acl_log() for port in self.servers if port in self._processes]
        return [(e["username"], e["reason"], e["object"]) for log in logs for e in log]

    def _files(self, *names: str) -> dict[str, Path]:
        """The authority's, a certificate and its key, by these names; without TLS none."""
        place = self.folder
        paths = (place / "ca/ca.pem", place / "host/cert.pem", place / "host/key.pem")
        return dict(zip(names, paths, strict=True)) if self._tls else {}

    def _listens(self, port: int) -> list[str]:
        if not self._tls:
            return super()._listens(port)
        files = self._files("tls-ca-cert-file", "tls-cert-file", "tls-key-file")
        lines = [f"{name} {path}" for name, path in files.items()]
        return ["port 0", f"tls-port {port}", "tls-replication yes", *lines]

    def _of_server(self) -> list[str]:
        password = (self.secrets / "gangamon-replica").read_text()
        return [f"aclfile {self._acl}", "masteruser gangamon-replica", f"masterauth {password}"]

    def _of_sentinel(self) -> list[str]:
        password = (self.secrets / "gangamon-sentinel").read_text()
        return [
            f"sentinel auth-user {NAME} gangamon-sentinel",
            f"sentinel auth-pass {NAME} {password}",
            f"requirepass {WATCHWORD}",
            f"sentinel sentinel-pass {WATCHWORD}",
        ]

    def _login(self, port: int) -> dict[str, Any]:
        admin = {"username": "admin", "password": "root"}
        login: dict[str, Any] = {"password": WATCHWORD} if port in self.sentinels else admin
        files = self._files("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
        return {**login, **({"ssl": True} if self._tls else {}), **files}
