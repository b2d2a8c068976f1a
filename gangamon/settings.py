"""One frozen Settings: defaults < config file (TOML) < GANGAMON_* environment.

Every key is a row of ``_KEYS``; its environment name is GANGAMON_ and the key in upper case with
``_`` for ``.``: ``redis.url`` is GANGAMON_REDIS_URL. With ``_FILE`` behind it the variable names a
file that holds the value, as secrets are mounted into containers: GANGAMON_REDIS_URL_FILE. What
such a file holds is in no message. All faults are reported at once.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gangamon import redis_url
from gangamon.errors import BadSettings

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

#: Keys a ``[backends.NAME]`` table may hold, all positive numbers (seconds, jobs, queries).
# fmt: off
BACKEND_KEYS = (
    "floor", "cap", "jobs", "timeout", "slots", "endpoint_slots", "rate", "burst",
    "absences", "grace", "lost_after",
)
# fmt: on


@dataclass(frozen=True)
class Settings:
    """See ``config/gangamon.toml`` for every key with its meaning and default."""

    state_dir: Path
    local_dir: Path | None
    owner: str
    roots: tuple[str, ...]
    redis_url: str
    redis_prefix: str
    redis_server: str
    tick_seconds: float
    lease_seconds: float
    poll_threads: int
    transfer_threads: int
    storage_slots: int
    merge_processes: int
    fetch_attempts: int
    merge_while_running: bool
    retention_days: float
    code_seconds: float
    code_megabytes: int
    flower_enabled: bool
    flower_address: str
    flower_port: int
    web_enabled: bool
    web_address: str
    web_port: int
    web_password_file: Path | None
    web_flower_url: str
    web_url_prefix: str
    traces_endpoint: str
    notify_command: str
    notify_webhook: str
    log_level: str
    log_format: str
    backends: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    source: str = ""

    @property
    def journal_dir(self) -> Path:
        return self.state_dir / "journal"

    @property
    def instance_file(self) -> Path:
        """Says which host runs this state directory's services, and how to reach them."""
        return self.state_dir / "instance.json"


@dataclass(frozen=True)
class _Key:
    attribute: str
    default: Callable[[], Any]
    read: Callable[[Any], Any]
    accepted: str


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _name(value: Any) -> str:
    text = _text(value)
    if not text or any(c in text for c in ":{}*? \t\n/"):
        raise ValueError
    return text


def _path(value: Any) -> Path:
    path = Path(_text(value)).expanduser()
    if not path.is_absolute():
        raise ValueError
    return path


def _optional_path(value: Any) -> Path | None:
    return _path(value) if value != "" else None


def _paths(value: Any) -> tuple[str, ...]:
    items = value.split(":") if isinstance(value, str) else value
    if not isinstance(items, list) or not items:
        raise ValueError
    return tuple(str(_path(item)) for item in items)


def _count(value: Any) -> int:
    number = int(value) if isinstance(value, str) else value
    if type(number) is not int or not 1 <= number <= 1024:
        raise ValueError
    return number


def _megabytes(value: Any) -> int:
    number = int(value) if isinstance(value, str) else value
    if type(number) is not int or not (number == 0 or 64 <= number <= 1 << 24):
        raise ValueError
    return number


def _port(value: Any) -> int:
    number = int(value) if isinstance(value, str) else value
    if type(number) is not int or not 0 <= number <= 65535:
        raise ValueError
    return number


def _seconds(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError
    number = float(value)
    if not 0.05 <= number <= 86400:
        raise ValueError
    return number


def _days(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError
    number = float(value)
    if not 0 <= number <= 36500:
        raise ValueError
    return number


def _flag(value: Any) -> bool:
    if isinstance(value, str):
        value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
            value.lower()
        ]
    if not isinstance(value, bool):
        raise ValueError
    return value


def _url(value: Any) -> str:
    text = _text(value)
    if text:
        redis_url.parse(text)
    return text


def _webhook(value: Any) -> str:
    text = _text(value)
    if text and not text.startswith(("http://", "https://")):
        raise ValueError
    return text


def _prefix(value: Any) -> str:
    text = _text(value)
    if text and not re.fullmatch(r"(/[\w~-][\w.~-]*)+", text):
        raise ValueError
    return text


def _level(value: Any) -> str:
    text = _text(value).upper()
    if text not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError
    return text


def _log_format(value: Any) -> str:
    text = _text(value).lower()
    if text not in ("text", "json"):
        raise ValueError
    return text


def _state_home() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "gangamon"


def _default_roots() -> tuple[str, ...]:
    return (str(Path.home()), tempfile.gettempdir())


_PATH = "an absolute path (~ allowed)"
_KEYS: dict[str, _Key] = {
    "state_dir": _Key("state_dir", _state_home, _path, _PATH),
    "local_dir": _Key("local_dir", lambda: None, _optional_path, f"{_PATH} on a local disk"),
    "owner": _Key("owner", getpass.getuser, _name, "a name without spaces, ':', '*', '?', '/'"),
    "roots": _Key("roots", _default_roots, _paths, f"a list of paths, each {_PATH}"),
    "log_level": _Key("log_level", lambda: "INFO", _level, "DEBUG, INFO, WARNING or ERROR"),
    "log_format": _Key("log_format", lambda: "text", _log_format, "text or json"),
    "redis.url": _Key("redis_url", str, _url, "'' (embedded) or an address of Redis"),
    "redis.prefix": _Key("redis_prefix", lambda: "gm", _name, "a name without ':' or spaces"),
    "redis.server": _Key("redis_server", str, _text, "path of a redis-server or valkey-server"),
    "workers.tick_seconds": _Key("tick_seconds", lambda: 1.0, _seconds, "seconds, 0.05 to 86400"),
    "workers.lease_seconds": _Key(
        "lease_seconds", lambda: 20.0, _seconds, "seconds, 0.05 to 86400"
    ),
    "workers.poll_threads": _Key("poll_threads", lambda: 8, _count, "1 to 1024"),
    "workers.transfer_threads": _Key("transfer_threads", lambda: 16, _count, "1 to 1024"),
    "workers.storage_slots": _Key("storage_slots", lambda: 32, _count, "1 to 1024"),
    "workers.merge_processes": _Key("merge_processes", lambda: 1, _count, "1 to 1024"),
    "workers.fetch_attempts": _Key("fetch_attempts", lambda: 5, _count, "1 to 1024"),
    "workers.merge_while_running": _Key(
        "merge_while_running", lambda: True, _flag, "true or false"
    ),
    "workers.retention_days": _Key(
        "retention_days", lambda: 30.0, _days, "days, 0 (never) to 36500"
    ),
    "workers.code_seconds": _Key(
        "code_seconds", lambda: 3600.0, _seconds, "seconds, 0.05 to 86400"
    ),
    "workers.code_megabytes": _Key(
        "code_megabytes", lambda: 8192, _megabytes, "0 (no limit) or 64 to 16777216"
    ),
    "flower.enabled": _Key("flower_enabled", lambda: True, _flag, "true or false"),
    "flower.address": _Key("flower_address", lambda: "127.0.0.1", _text, "an address to bind"),
    "flower.port": _Key("flower_port", lambda: 0, _port, "0 (any free port) to 65535"),
    "web.enabled": _Key("web_enabled", lambda: True, _flag, "true or false"),
    "web.address": _Key("web_address", lambda: "127.0.0.1", _text, "an address to bind"),
    "web.port": _Key("web_port", lambda: 0, _port, "0 (any free port) to 65535"),
    "web.password_file": _Key("web_password_file", lambda: None, _optional_path, _PATH),
    "web.flower_url": _Key("web_flower_url", str, _webhook, "'' or an address http(s)://..."),
    "web.url_prefix": _Key("web_url_prefix", str, _prefix, "'' or a path /NAME, no / at its end"),
    "traces.endpoint": _Key("traces_endpoint", str, _webhook, "'' or an address http(s)://..."),
    "notify.command": _Key("notify_command", str, _text, "a command, or ''"),
    "notify.webhook": _Key("notify_webhook", str, _webhook, "'' or an address http(s)://..."),
}


def config_path(environ: Mapping[str, str]) -> Path | None:
    """The config file: GANGAMON_CONFIG, else gangamon.toml in the XDG config home, if there."""
    if named := environ.get("GANGAMON_CONFIG"):
        return Path(named).expanduser()
    base = environ.get("XDG_CONFIG_HOME") or "~/.config"
    path = Path(base).expanduser() / "gangamon" / "gangamon.toml"
    return path if path.exists() else None


def load(environ: Mapping[str, str] | None = None, path: Path | None = None) -> Settings:
    """Settings from the file and the environment. BadSettings names every fault at once."""
    environ = os.environ if environ is None else environ
    faults: list[str] = []
    path = path or config_path(environ)
    given, backends = _from_file(path, faults) if path else ({}, {})
    given.update(_from_environment(environ, faults))
    values: dict[str, Any] = {}
    for name, key in _KEYS.items():
        if name not in given:
            values[key.attribute] = key.default()
            continue
        origin, raw = given[name]
        try:
            values[key.attribute] = key.read(raw)
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(raw, _Secret):
                faults.append(f"{origin}: got what the file holds; accepted: {key.accepted}")
            elif key.read is _url and isinstance(raw, str):  # it says more; and no password
                faults.append(f"{origin}: got {redis_url.shown(raw)!r}; {error}")
            else:
                faults.append(f"{origin}: got {raw!r}; accepted: {key.accepted}")
    if faults:
        raise BadSettings(faults)
    return Settings(**values, backends=backends, source=str(path or ""))


def _from_file(
    path: Path, faults: list[str]
) -> tuple[dict[str, tuple[str, Any]], dict[str, dict[str, float]]]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings([f"{path}: cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings([f"{path}: not TOML: {error}"]) from error
    found: dict[str, tuple[str, Any]] = {}
    backends: dict[str, dict[str, float]] = {}
    for name, value in table.items():
        if name == "backends" and isinstance(value, dict):
            backends = {b: _backend(path, b, t, faults) for b, t in value.items()}
        elif isinstance(value, dict):
            for inner, deep in value.items():
                found[f"{name}.{inner}"] = (f"{path}: {name}.{inner}", deep)
        else:
            found[name] = (f"{path}: {name}", value)
    for name in [n for n in found if n not in _KEYS]:
        origin, _ = found.pop(name)
        faults.append(f"{origin}: unknown key; accepted: {', '.join(_KEYS)}, backends.NAME.*")
    return found, backends


def _backend(path: Path, name: str, table: Any, faults: list[str]) -> dict[str, float]:
    where = f"{path}: backends.{name}"
    if not isinstance(table, dict):
        faults.append(f"{where}: got {table!r}; accepted: a table")
        return {}
    for key, value in table.items():
        if key not in BACKEND_KEYS:
            faults.append(f"{where}.{key}: unknown key; accepted: {', '.join(BACKEND_KEYS)}")
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            faults.append(f"{where}.{key}: got {value!r}; accepted: a number above 0")
    return dict(table)


def _from_environment(environ: Mapping[str, str], faults: list[str]) -> dict[str, tuple[str, Any]]:
    names = {"GANGAMON_" + key.upper().replace(".", "_"): key for key in _KEYS}
    others = {"GANGAMON_CONFIG", "GANGAMON_INSTANCE", "GANGAMON_UID", "GANGAMON_GID"}
    found: dict[str, tuple[str, Any]] = {}
    for variable, value in environ.items():
        if not variable.startswith("GANGAMON_") or variable in others:
            continue
        plain = variable.removesuffix("_FILE")
        if variable in names:
            found[names[variable]] = (variable, value)
        elif plain not in names:
            faults.append(f"{variable}: unknown; accepted: {', '.join(sorted(names))}, NAME_FILE")
        elif plain in environ:
            faults.append(f"{variable}: {plain} is set, too; accepted: one of them")
        else:
            try:
                text = Path(value).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "not text"
                faults.append(
                    f"{variable}: got {value!r}: {why}; accepted: a file that can be read"
                )
            else:
                found[names[plain]] = (variable, _Secret(text.rstrip("\r\n")))
    return found


class _Secret(str):
    """A value that no message shows."""


def hostname() -> str:
    """This host as lanes and the instance file name it."""
    return socket.gethostname()
