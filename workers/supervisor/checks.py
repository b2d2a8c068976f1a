"""What `gangamon doctor` asks of the server side: one line for each check, with the fix."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gangamon.errors import BadInput, GangamonError
from gangamon.settings import Settings
from workers.supervisor import places, redis_server, running

OK, WARN, FAIL = "OK", "WARN", "FAIL"
#: Bytes of the embedded Redis from which on one should look: some ten million jobs.
LARGE = 4 * 2**30


def check(name: str, level: str, text: str, fix: str = "") -> dict[str, str]:
    return {"name": name, "level": level, "text": text, "fix": fix}


def all_of_them(settings: Settings) -> list[dict[str, str]]:
    found = [*_server(settings), *_local(settings)]
    try:
        report = running.ps(settings)
    except GangamonError as error:
        return [*found, check("instance", FAIL, str(error))]
    return [*found, *_instance(report), *_redis(settings, report)]


def _server(settings: Settings) -> Iterator[dict[str, str]]:
    if settings.redis_url:
        yield check("redis server", OK, f"configured: {running.shown(settings.redis_url)}")
        return
    try:
        yield check("redis server", OK, str(redis_server.find(settings)))
    except BadInput as error:
        text, _, fix = error.faults[0].partition("; ")
        yield check("redis server", FAIL, text, fix)


def _local(settings: Settings) -> Iterator[dict[str, str]]:
    try:
        found = places.plan(settings)
    except BadInput as error:
        text, _, fix = error.faults[0].partition("; ")
        yield check("local dir", FAIL, text, fix)
        return
    kind = places.filesystem(found.local)
    where = f"{found.local} ({kind or 'file system not known'})"
    if kind in ("tmpfs", "ramfs"):
        yield check(
            "local dir",
            WARN,
            f"{where}: in memory, lost when the host starts again",
            "set local_dir to a directory on a disk of this host",
        )
    elif not os.access(_existing(found.local), os.W_OK):
        yield check("local dir", FAIL, f"{where} cannot be written", "set local_dir to another one")
    else:
        yield check("local dir", OK, where)


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


def _instance(report: dict[str, Any]) -> Iterator[dict[str, str]]:
    if not report["running"]:
        text = "died" if "stale" in report else "does not run"
        yield check("instance", WARN, text, "gangamon up")
        return
    if not report["here"]:
        yield check("instance", OK, f"runs on {report['host']}; run gangamon doctor there for more")
        return
    if "fault" in report:
        yield check("instance", FAIL, str(report["fault"]), "gangamon down, then gangamon up")
    else:
        yield check("instance", OK, f"runs here, pid {report['pid']}")
    for program in report["programs"]:
        name = f"program {program['name']}"
        if program["state"] != running.RUNNING:
            yield check(name, FAIL, program["state"], f"see {program['log']}")
        elif program["restarts"]:
            text = f"{program['state']}, started again {program['restarts']} times"
            yield check(name, WARN, text, f"see {program['log']}")
        else:
            yield check(name, OK, program["state"])


def _redis(settings: Settings, report: dict[str, Any]) -> Iterator[dict[str, str]]:
    facts = report.get("redis")
    fix = "gangamon down, then gangamon up"
    if settings.redis_url:
        fix = "set it in the configuration of that server"
        try:
            facts = redis_server.summary(redis_server.facts_elsewhere(settings.redis_url))
        except GangamonError as error:
            yield check("redis", WARN, f"cannot be asked: {error}", "ask who runs it")
            return
    if not facts:
        return
    yield check("redis version", OK, str(facts["version"]))
    if facts["aof"] != "yes":
        yield check("redis persistence", FAIL, "appendonly is off", fix)
    elif facts["aof_last_write"] not in ("", "ok"):
        text = f"the last write of the append-only file: {facts['aof_last_write']}"
        yield check("redis persistence", FAIL, text, "is its disk full?")
    else:
        yield check("redis persistence", OK, "append-only file")
    if facts["policy"] == "noeviction":
        yield check("redis eviction", OK, "noeviction")
    else:
        text = f"maxmemory-policy is {facts['policy']}: jobs may be dropped"
        yield check("redis eviction", FAIL, text, fix)
    megabytes = f"{facts['memory'] / 2**20:.1f} MiB"
    if facts["memory"] > LARGE:
        yield check("redis memory", WARN, megabytes, "are old jobs pruned?")
    else:
        yield check("redis memory", OK, megabytes)
