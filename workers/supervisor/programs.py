"""The programs of `gangamon up`, and supervisord's configuration that runs them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gangamon.settings import Settings
from workers.supervisor import redis_server
from workers.supervisor.places import Places

REDIS = "redis"
FLOWER = "flower"
TICK = "worker-tick"
FLOWER_USER = "gangamon"
#: supervisord stops one group after the other: Redis last, all else at the same time.
SERVICES = "services"


@dataclass(frozen=True)
class Program:
    """``steady``: seconds after which a start counts as good. ``node``: the name of its Celery
    worker, which must answer a ping before `up` says that it runs."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    node: str = ""
    lock: Path | None = None
    steady: int = 4
    patience: int = 30

    @property
    def group(self) -> str:
        return REDIS if self.name == REDIS else SERVICES


@dataclass(frozen=True)
class Flower:
    address: str
    port: int
    password: str

    @property
    def url(self) -> str:
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(
            self.address, self.address
        )
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def programs(settings: Settings, places: Places, host: str, flower: Flower | None) -> list[Program]:
    """What runs: Redis, unless it is configured elsewhere; beat, the workers, Flower."""
    from workers import routing

    # Users who share a Redis share Celery's name space of workers too.
    mine = f"-{settings.owner}" if settings.redis_url else ""
    celery = [sys.executable, "-m", "celery", "-A", "workers.app"]

    def worker(name: str, queues: Sequence[str], pool: str, size: int) -> Program:
        node = f"{name}{mine}@{host}"
        return Program(
            f"worker-{name}",
            [
                *(*celery, "worker", "-n", node, "-Q", ",".join(queues), "--pool", pool),
                *("-c", str(size), "--without-gossip", "--without-mingle"),
                *("-l", settings.log_level),
            ],
            node=node,
        )

    beat = [*celery, "beat", "-l", settings.log_level, "--pidfile="]
    beat += ["-s", str(places.local / "beat-schedule"), "--scheduler", "celery.beat:Scheduler"]
    found = [
        Program("beat", beat),
        worker("tick", [routing.TICK], "threads", 2),
        worker("poll", routing.poll_queues(), "threads", settings.poll_threads),
        worker(
            "transfer",
            [routing.transfer_queue(settings.owner)],
            "threads",
            settings.transfer_threads,
        ),
        worker("merge", [routing.merge_queue(settings.owner)], "prefork", settings.merge_processes),
    ]
    if not settings.redis_url:
        found.insert(0, redis(settings, places))
    if flower:
        found.append(
            Program(
                FLOWER,
                [
                    *(*celery, "flower", f"--address={flower.address}", f"--port={flower.port}"),
                    *("--max_tasks=20000", "--read_only=True", "--purge_offline_workers=300"),
                ],
                {"FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{flower.password}"},
            )
        )
    return found


def redis(settings: Settings, places: Places) -> Program:
    server = redis_server.find(settings)
    return Program(
        REDIS,
        [str(server.path), str(places.redis_config)],
        redis_server.environment(),
        lock=places.data_lock,
        steady=1,
        patience=10,
    )


def environment(
    settings: Settings, places: Places, instance: str, environ: Mapping[str, str]
) -> dict[str, str]:
    """What every process gets: the caller's environment, with this instance's settings."""
    # Flower stops at a FLOWER_* variable that it does not know.
    found = {name: value for name, value in environ.items() if not name.startswith("FLOWER_")}
    found["GANGAMON_INSTANCE"] = instance
    found["GANGAMON_STATE_DIR"] = str(places.state)
    found["GANGAMON_OWNER"] = settings.owner
    found["GANGAMON_REDIS_URL"] = settings.redis_url or f"unix://{places.redis_socket}"
    if settings.source:
        found["GANGAMON_CONFIG"] = os.path.abspath(settings.source)
    # The processes run in another directory than the caller's.
    if path := environ.get("PYTHONPATH"):
        found["PYTHONPATH"] = os.pathsep.join(os.path.abspath(p) for p in path.split(os.pathsep))
    # A process title would be written over the environment, by which we know our processes.
    found["SPT_NOENV"] = "1"
    return found


def configuration(places: Places, instance: str, runs: Sequence[Program]) -> str:
    """supervisord.conf. Redis starts by itself, the others when `up` says so."""
    lines = [
        "[unix_http_server]",
        f"file={_value(places.supervisor_socket)}",
        "chmod=0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "[supervisord]",
        f"identifier=gangamon-{instance}",
        f"directory={_value(places.local)}",
        f"logfile={_value(places.logs / 'supervisord.log')}",
        "logfile_maxbytes=10MB",
        "logfile_backups=3",
        f"pidfile={_value(places.local / 'supervisord.pid')}",
        f"childlogdir={_value(places.logs)}",
        # The outputs that workers bring are as readable as what the user writes.
        f"umask={_umask():03o}",
        "minfds=512",
        "nodaemon=true",
        "silent=true",
    ]
    for program in runs:
        launch = [sys.executable, "-m", "workers.supervisor.launch"]
        launch += ["--starts", str(places.starts / program.name)]
        launch += ["--lock", str(program.lock)] if program.lock else []
        # A worker would end its tasks first, without Redis: their claims are taken back anyway.
        launch += ["--kill"] if program.node else []
        given = ",".join(f'{name}="{_value(v)}"' for name, v in program.environment.items())
        lines += [
            f"[program:{program.name}]",
            f"command={_value(shlex.join([*launch, '--', *program.command]))}",
            f"directory={_value(places.local)}",
            *([f"environment={given}"] if given else []),
            f"autostart={'true' if program.name == REDIS else 'false'}",
            "autorestart=true",
            f"startsecs={program.steady}",
            "startretries=1000000",
            "stopsignal=TERM",
            f"stopwaitsecs={program.patience}",
            # The group is told by its own first process; what is left of it is killed.
            "stopasgroup=false",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={_value(log(places, program.name))}",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=3",
        ]
    for group, priority in ((REDIS, 1), (SERVICES, 2)):
        names = [program.name for program in runs if program.group == group]
        if names:
            lines += [f"[group:{group}]", f"programs={','.join(names)}", f"priority={priority}"]
    return "\n".join([*lines, ""])


def log(places: Places, name: str) -> Path:
    return places.logs / f"{name}.log"


def starts(places: Places, name: str) -> int:
    """How often a program was started since `up`."""
    try:
        return (places.starts / name).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _value(value: Path | str) -> str:
    """supervisord expands ``%(name)s``, and takes `` ;`` for the begin of a comment."""
    text = str(value)
    if "\n" in text or " ;" in text or "\r" in text:
        raise ValueError(f"not for supervisord.conf: {text!r}")
    return text.replace("%", "%%")
