"""Where Redis is, in one setting, for the store's client and for Celery's transport::

    unix:///run/gangamon/redis.sock?db=0
    redis://[user[:password]@]host:6379/0
    rediss://host:6380/0?ssl_ca_certs=/etc/ca.pem&ssl_certfile=/etc/me.pem&ssl_keyfile=/etc/me.key
    sentinel://[user[:password]@]host:26379,host:26379,host:26379/0?master=NAME

``sentinels://`` is Sentinel by TLS, to the sentinels and to Redis alike. ``user`` and ``password``
are those of Redis. A password need not stand here: ``password_file=/run/secrets/redis`` names the
file that holds it, read when a process starts; ``sentinel_username``, ``sentinel_password_file``
are the same for the sentinels themselves.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

SCHEMES = ("unix", "redis", "rediss", "sentinel", "sentinels")
TLS = ("rediss", "sentinels")
SENTINEL = ("sentinel", "sentinels")

#: What may stand after the ``?``: of every address, of TLS, of Sentinel.
FILES = ("password_file", "sentinel_password_file", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_ANY = ("db", "password_file")
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SENTINEL = ("master", "sentinel_username", "sentinel_password_file")


@dataclass(frozen=True)
class Address:
    """``hosts``: one, or the sentinels. ``path``: of a unix socket. ``options``: what stood after
    the ``?``."""

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    db: int = 0
    username: str = ""
    given_password: str = ""
    options: dict[str, str] = field(default_factory=dict)

    @property
    def sentinel(self) -> bool:
        return self.scheme in SENTINEL

    @property
    def master(self) -> str:
        """The name under which the sentinels watch it."""
        return self.options.get("master", "")

    def password(self) -> str:
        """As given, or as its file says now. OSError."""
        return self.given_password or _read(self.options.get("password_file", ""))

    def credentials(self) -> dict[str, str]:
        """Arguments of a connection to Redis."""
        found = {"username": self.username, "password": self.password()}
        return {name: value for name, value in found.items() if value}

    def sentinel_credentials(self) -> dict[str, str]:
        """Arguments of a connection to a sentinel."""
        found = {
            "username": self.options.get("sentinel_username", ""),
            "password": _read(self.options.get("sentinel_password_file", "")),
        }
        return {name: value for name, value in found.items() if value}

    def tls(self) -> dict[str, Any]:
        """Arguments of a connection by TLS; the other side is always verified. {}: without."""
        if self.scheme not in TLS:
            return {}
        files = {name: self.options[name] for name in _TLS if name in self.options}
        return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **files}

    # --- in kombu's spelling ------------------------------------------------------------------

    def broker(self) -> str:
        """For Celery: ``redis+socket://``; ``sentinel://a;sentinel://b``, the master's name is in
        ``transport_options``."""
        login = ":".join(quote(text, safe="") for text in self.credentials().values())
        if login and not self.username:
            login = f":{login}"
        at = f"{login}@" if login else ""
        if self.scheme == "unix":
            return f"redis+socket://{at}{self.path}?virtual_host={self.db}"
        scheme = "sentinel" if self.sentinel else self.scheme
        return ";".join(f"{scheme}://{at}{_bracketed(h)}:{p}/{self.db}" for h, p in self.hosts)

    def broker_tls(self) -> dict[str, Any] | None:
        """Celery's ``broker_use_ssl``."""
        return {**self.tls(), "ssl_cert_reqs": ssl.CERT_REQUIRED} if self.tls() else None

    def transport_options(self) -> dict[str, Any]:
        if not self.sentinel:
            return {}
        secured = {"ssl": True, **self.tls()} if self.tls() else {}
        patience = {"socket_timeout": 2.0, "socket_connect_timeout": 2.0}
        return {
            "master_name": self.master,
            "sentinel_kwargs": {**patience, **self.sentinel_credentials(), **secured},
        }


def parse(text: str) -> Address:
    """ValueError says what is wrong and what is accepted."""
    scheme, mark, rest = text.partition("://")
    if not mark or scheme not in SCHEMES:
        raise ValueError(f"accepted: '' (embedded) or {', '.join(s + '://' for s in SCHEMES)}")
    # The list of sentinels is no host of a URL: it is taken out before.
    location, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    _check(scheme, options)
    login, _, place = location.rpartition("@")
    username, _, password = login.partition(":")
    found = {
        "username": unquote(username),
        "given_password": unquote(password),
        "options": options,
    }
    if scheme == "unix":
        if not place.startswith("/"):
            raise ValueError("accepted: unix:// and the absolute path of a socket")
        return Address(scheme, path=place, db=_number(options.get("db", "0"), "db"), **found)  # type: ignore[arg-type]
    names, _, path = place.partition("/")
    default = 26379 if scheme in SENTINEL else 6379
    hosts = tuple(_host(one, default) for one in names.split(","))
    if len(hosts) > 1 and scheme not in SENTINEL:
        raise ValueError(f"several hosts; accepted: one, or sentinel://{names}/0?master=NAME")
    database = _number(path or options.get("db", "0"), "the number of the database")
    return Address(scheme, hosts, db=database, **found)  # type: ignore[arg-type]


def shown(text: str) -> str:
    """The URL as people may see it: without user and password."""
    scheme, mark, rest = text.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _check(scheme: str, options: dict[str, str]) -> None:
    accepted = [*_ANY, *(_TLS if scheme in TLS else ()), *(_SENTINEL if scheme in SENTINEL else ())]
    if unknown := sorted(set(options) - set(accepted)):
        raise ValueError(
            f"{unknown[0]}= is unknown; accepted of {scheme}://: {', '.join(accepted)}"
        )
    if scheme in SENTINEL and not options.get("master"):
        raise ValueError(
            f"no master; accepted: {scheme}://host:26379,.../0?master=NAME, the name "
            "that sentinel.conf gives it (`sentinel monitor NAME ...`)"
        )
    for name in FILES:
        path = options.get(name, "")
        if path and not (os.path.isabs(path) and os.access(path, os.R_OK)):
            raise ValueError(f"{name}={path}; accepted: an absolute path that can be read")


def _host(text: str, default: int) -> tuple[str, int]:
    try:
        found = urlsplit(f"//{text}")
        if not found.hostname:
            raise ValueError
        return found.hostname, found.port or default
    except ValueError as error:
        raise ValueError(f"{text!r} is no host:port; accepted: e.g. redis1:{default}") from error


def _number(text: str, what: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{what} is {text!r}; accepted: 0, 1, ...")
    return int(text)


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").strip() if path else ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
