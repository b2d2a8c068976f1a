"""``python -m workers.supervisor up|down|ps|restart|checks``: the services of one user on one host.

What runs, runs as the user, under one supervisord, which starts again what dies; when supervisord
itself dies, all goes. At most one instance of a state directory runs: ``up.lock`` decides on one
host, the instance file between hosts, and Redis's data are locked besides.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import asdict
from types import FrameType
from typing import Any, NoReturn

import click

from gangamon import instance as instances
from gangamon import settings as configuration
from gangamon.errors import BadInput, GangamonError
from gangamon.instance import Instance
from gangamon.settings import Settings
from workers.supervisor import places as directories
from workers.supervisor import processes, programs
from workers.supervisor.locks import held
from workers.supervisor.running import (
    RUNNING,
    all_run,
    down,
    end_all,
    places_of,
    ps,
    restart,
    shown,
    when,
)
from workers.supervisor.up import up

FAILED, REFUSED, NOTHING = 1, 2, 3


def _fail(error: GangamonError) -> NoReturn:
    for fault in error.faults if isinstance(error, BadInput) else [str(error)]:
        click.echo(f"gangamon: {fault}", err=True)
    sys.exit(REFUSED if isinstance(error, BadInput) else FAILED)


SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def _stop_on_signal(number: int, frame: FrameType | None) -> None:
    """The first one ends everything; those after it do not disturb that."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@click.group()
def main() -> None:
    """The services of gangamon on this host."""


@main.command("up")
@click.option("--foreground", is_flag=True, help="Stay, and end everything when ended.")
@click.option("--no-flower", is_flag=True, help="Without Flower.")
@click.option("--no-web", is_flag=True, help="Without the job page.")
@click.option("--take-over", is_flag=True, help="The host that ran it is gone for good.")
@click.option("--json", "as_json", is_flag=True, help="Say where it runs in JSON.")
def up_command(
    foreground: bool, no_flower: bool, no_web: bool, take_over: bool, as_json: bool
) -> None:
    """Start Redis, beat, the workers, Flower and the job page, and return when they run."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _stop_on_signal)
    try:
        settings = configuration.load()
        found, already = up(settings, flower=not no_flower, web=not no_web, take_over=take_over)
        report = ps(settings) if already else {}
    except GangamonError as error:
        _fail(error)
    except KeyboardInterrupt:
        click.echo("gangamon: ended before everything ran; nothing is left", err=True)
        sys.exit(FAILED)
    if foreground and not already:
        sys.exit(_stay(settings, found, as_json))
    _say(settings, found, already, as_json)
    if already:
        broken = [p for p in report.get("programs", ()) if p["state"] != RUNNING]
        for program in broken:
            click.echo(
                f"gangamon: {program['name']} is {program['state']}; see {program['log']}", err=True
            )
        if "fault" in report:
            click.echo(f"gangamon: {report['fault']}; run gangamon down, then up", err=True)
        sys.exit(FAILED if broken or "fault" in report else 0)


def _say(settings: Settings, found: Instance, already: bool, as_json: bool) -> None:
    password = directories.plan(settings).flower_password
    web_password = settings.web_password_file or directories.plan(settings).web_password
    if as_json:
        report = {"already": already, **asdict(found), "redis_url": shown(found.redis_url)}
        report["flower_password_file"] = str(password) if found.flower_url else ""
        report["web_password_file"] = str(web_password) if found.web_url else ""
        click.echo(json.dumps(report))
        return
    state = "already running" if already else "running"
    click.echo(f"{state} on {found.host} since {when(found.started)}, pid {found.pid}")
    click.echo(f"  redis   {shown(found.redis_url)}")
    if found.flower_url:
        user = programs.FLOWER_USER
        click.echo(f"  flower  {found.flower_url}  (user {user}, password in {password})")
    if found.web_url:
        click.echo(f"  page    {found.web_url}  (password in {web_password})")
    click.echo(f"  logs    {directories.plan(settings).logs}")


def _stay(settings: Settings, found: Instance, as_json: bool) -> int:
    """Until a signal, or the end of supervisord; then everything is ended."""
    asked = False
    try:
        _say(settings, found, False, as_json)
        while processes.carries(found.pid, found.id):
            time.sleep(0.2)
    except KeyboardInterrupt:
        asked = True
    places = places_of(settings, found)
    with held(places):
        if instances.read(settings.instance_file) != found:
            return 0  # a `down` came first, and perhaps another `up`
        end_all(settings, places)
    if not asked:
        click.echo("gangamon: supervisord died; everything was ended", err=True)
    return 0 if asked else FAILED


@main.command("down")
def down_command() -> None:
    """End everything that runs on this host."""
    try:
        found, left = down(configuration.load())
    except GangamonError as error:
        _fail(error)
    if found:
        click.echo(f"ended; it ran since {when(found.started)}")
    if left:
        click.echo(f"ended {left} processes that were left over")
    if not found and not left:
        click.echo("nothing runs")


@main.command("ps")
@click.option("--json", "as_json", is_flag=True, help="In JSON.")
def ps_command(as_json: bool) -> None:
    """What runs, and where."""
    try:
        report = ps(configuration.load())
    except GangamonError as error:
        _fail(error)
    if as_json:
        click.echo(json.dumps(report))
    else:
        _print(report)
    if not report["running"]:
        sys.exit(NOTHING)
    if not report["here"]:
        sys.exit(REFUSED)
    sys.exit(0 if all_run(report) else FAILED)


def _print(report: dict[str, Any]) -> None:
    if not report["running"]:
        stale = report.get("stale")
        since = f" (what ran since {when(stale['started'])} died)" if stale else ""
        click.echo(f"nothing runs{since}")
        return
    click.echo(f"running on {report['host']} since {when(report['started'])}")
    if not report["here"]:
        click.echo("  run gangamon ps there for more")
        return
    click.echo(f"{'program':16}{'state':10}{'pid':>8}{'uptime':>12}{'restarts':>10}")
    for program in report["programs"]:
        uptime = "-" if program["uptime"] is None else _span(program["uptime"])
        click.echo(
            f"{program['name']:16}{program['state']:10}{program['pid'] or '-':>8}{uptime:>12}"
            f"{program['restarts']:>10}"
        )
    memory = f", {report['redis']['memory'] / 2**20:.1f} MiB" if "redis" in report else ""
    click.echo(f"redis   {report['redis_url']}{memory}")
    if report["flower_url"]:
        click.echo(f"flower  {report['flower_url']}")
    if report["web_url"]:
        click.echo(f"page    {report['web_url']}")
    if "fault" in report:
        click.echo(f"gangamon: {report['fault']}", err=True)


def _span(seconds: int) -> str:
    days, rest = divmod(int(seconds), 86400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {clock}" if days else clock


@main.command("restart")
@click.argument("names", nargs=-1, metavar="[PROGRAM]...")
def restart_command(names: tuple[str, ...]) -> None:
    """Start programs again; by default all but Redis."""
    try:
        chosen = restart(configuration.load(), names)
    except GangamonError as error:
        _fail(error)
    click.echo(f"restarted: {', '.join(chosen)}")


@main.command("checks")
def checks_command() -> None:
    """What `gangamon doctor` wants to know of the server side, in JSON."""
    from workers.supervisor import checks

    try:
        click.echo(json.dumps(checks.all_of_them(configuration.load())))
    except GangamonError as error:
        _fail(error)


if __name__ == "__main__":
    main()
