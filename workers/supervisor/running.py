"""A running instance: what it is made of, its programs started again, its end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gangamon import instance as instances
from gangamon.errors import BadInput, GangamonError
from gangamon.instance import Instance
from gangamon.settings import Settings, hostname
from workers.supervisor import places as directories
from workers.supervisor import processes, programs, redis_server, rpc
from workers.supervisor.locks import held, pause
from workers.supervisor.places import Places

RUNNING = "RUNNING"
#: Seconds: for `down` to wait for supervisord, which waits for the programs; for a restart.
STOP = 60.0
READY = 120.0


class Elsewhere(BadInput):
    """The instance runs on another host."""


def down(settings: Settings) -> tuple[Instance | None, int]:
    """End the instance of this host; it, if one ran, and how many processes were left over."""
    places = directories.plan(settings)
    found = instances.read(settings.instance_file)
    if found and found.host != hostname():
        raise Elsewhere([elsewhere(found)])
    if not places.local.is_dir():
        return None, processes.sweep(places.state)
    with held(places):
        found = instances.read(settings.instance_file)
        if found:
            places = places_of(settings, found)
        # Else the next Ganga session would start it again.
        directories.write(instances.ended_mark(settings), f"{hostname()} {when(time.time())}\n")
        return found, end_all(settings, places, found)


def places_of(settings: Settings, found: Instance) -> Places:
    """Where it runs, which the settings may have left since."""
    state = settings.state_dir.resolve()
    return Places(state, Path(found.local_dir), Path(found.supervisor).parent)


def end_all(settings: Settings, places: Places, known: Instance | None = None) -> int:
    """End supervisord, which ends its programs, workers first; then what is left over: how many
    processes that were, besides those of the ``known`` instance."""
    supervisors = [
        process
        for process in processes.of_state(places.state)
        if "supervisor.supervisord" in _command(process)
    ]
    processes.end(supervisors, STOP)
    left = sum(known is None or process.pid != known.pid for process in supervisors)
    left += processes.sweep(places.state)
    settings.instance_file.unlink(missing_ok=True)
    for path in (places.redis_socket, places.supervisor_socket):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        places.sockets.rmdir()
    return left


def _command(process: processes.psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except processes.Gone:
        return []


def ps(settings: Settings) -> dict[str, Any]:
    """What runs where. ``programs`` only if it is this host, and supervisord answers."""
    found = instances.read(settings.instance_file)
    if found is None:
        return {"running": False}
    here = found.host == hostname()
    report: dict[str, Any] = {"running": True, "here": here, **asdict(found)}
    report["redis_url"] = shown(found.redis_url)
    if not here:
        return report
    if not processes.carries(found.pid, found.id):
        return {"running": False, "stale": asdict(found)}
    report["programs"] = []
    places = places_of(settings, found)
    try:
        states = states_of(found.supervisor)
    except rpc.SupervisorAway as error:
        report["fault"] = f"supervisord (pid {found.pid}) does not answer: {error}"
        return report
    for name, info in states.items():
        alive = info["pid"] > 0
        report["programs"].append(
            {
                "name": name,
                "state": info["statename"],
                "pid": info["pid"] if alive else None,
                "uptime": max(0, info["now"] - info["start"]) if alive else None,
                "restarts": max(0, programs.starts(places, name) - 1),
                "log": info["stdout_logfile"],
            }
        )
    if programs.REDIS in states:
        try:
            facts = redis_server.facts(Path(urlsplit(found.redis_url).path))
        except GangamonError as error:
            report["fault"] = f"redis does not answer: {error}"
        else:
            report["redis"] = redis_server.summary(facts)
    return report


def all_run(report: dict[str, Any]) -> bool:
    return "fault" not in report and all(p["state"] == RUNNING for p in report["programs"])


def restart(settings: Settings, names: Sequence[str]) -> list[str]:
    """Start programs again, by default all but Redis. Their names."""
    found = instances.read(settings.instance_file)
    if found and found.host != hostname():
        raise Elsewhere([elsewhere(found)])
    if not found or not processes.carries(found.pid, found.id):
        raise BadInput(["nothing runs; start it with: gangamon up"])
    states = states_of(found.supervisor)
    unknown = sorted(set(names) - states.keys())
    if unknown:
        raise BadInput([f"{', '.join(unknown)}: unknown; accepted: {', '.join(sorted(states))}"])
    chosen = list(names) or [name for name in states if name != programs.REDIS]
    for name in chosen:
        if states[name]["statename"] in (RUNNING, "STARTING", "BACKOFF"):
            rpc.call(found.supervisor, "stopProcess", f"{states[name]['group']}:{name}", False)
    deadline = time.monotonic() + STOP
    while any(s["pid"] for n, s in states_of(found.supervisor).items() if n in chosen):
        pause(deadline, "not stopped in time")
    for name in chosen:
        rpc.call(found.supervisor, "startProcess", f"{states[name]['group']}:{name}", False)
    deadline = time.monotonic() + READY
    while any(
        s["statename"] != RUNNING for n, s in states_of(found.supervisor).items() if n in chosen
    ):
        pause(deadline, f"not running again within {READY:.0f} s; see: gangamon ps")
    return chosen


def elsewhere(found: Instance, up: bool = False) -> str:
    where = f"running on {found.host} since {when(found.started)}"
    if not up:
        return f"{where}: run this command there"
    return (
        f"{where}: use it there, run `gangamon down` there, or set redis.url to reach it; "
        "if that host is gone for good: gangamon up --take-over"
    )


def when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def states_of(path: str) -> dict[str, dict[str, Any]]:
    return {info["name"]: info for info in rpc.call(path, "getAllProcessInfo")}


def shown(url: str) -> str:
    """A URL without its password."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}").geturl()
