"""``gangamon ganga-config``: what Ganga must read to load the adapter; ``gangamon mode``: whether
that has a repository's jobs."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

import gangamon
from gangamon import settings
from gangamon.cli.commanding import WAIT
from gangamon.domain.command import Withdraw
from gangamon.domain.status import JobStatus
from gangamon.errors import BadInput, StoreUnavailable
from gangamon.services import mode

SECTION = "Configuration"
OPTION = "RUNTIME_PATH"

#: The version named in the header of a new file, where Ganga is not installed beside us.
GANGA = "8.7.12"

_GANGADIR = re.compile(r"[ \t]*gangadir[ \t]*[=:][ \t]*(?P<value>.*?)[ \t]*")
_HEADER = re.compile(r"\[(?P<name>[^\]]*)\]")
_LIVE = re.compile(rf"(?P<key>{OPTION}[ \t]*[=:][ \t]*)(?P<value>.*?)(?P<rest>\s*)", re.DOTALL)
_COMMENTED = re.compile(rf"[#;]+[ \t]*{OPTION}[ \t]*[=:]")


def package() -> str:
    """The installed package's directory: Ganga wants it absolute. BadInput if Ganga would split
    it."""
    path = os.path.dirname(os.path.abspath(gangamon.__file__))
    if ":" in path:
        raise BadInput([f"{path}: Ganga splits {OPTION} at ':'; install gangamon elsewhere"])
    return path


def edited(text: str, path: str) -> str:
    """``text`` of a .gangarc with ``path`` in its RUNTIME_PATH; nothing else differs."""
    lines = text.splitlines(keepends=True)
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    within, header, commented = False, None, None
    for index, line in enumerate(lines):
        if found := _HEADER.match(line):
            within = found["name"].strip() == SECTION
            header = index if within and header is None else header
        elif within and (live := _LIVE.fullmatch(line)):
            present = live["value"].split(":")
            if path not in present:
                value = ":".join([*(p for p in present if p), path])
                lines[index] = f"{live['key']}{value}{live['rest']}"
            return "".join(lines)
        elif within and commented is None and _COMMENTED.match(line):
            commented = index
    added = f"{OPTION} = {path}{end}"
    if header is None:
        lines += [*_gap(lines, end), f"[{SECTION}]{end}", added]
    else:
        before = header if commented is None else commented
        if not lines[before].endswith(("\n", "\r")):
            lines[before] += end
        lines.insert(before + 1, added)
    return "".join(lines)


def _gap(lines: list[str], end: str) -> list[str]:
    if not lines:
        return []
    return [end] if lines[-1].endswith("\n") else [end, end]


def new_file() -> str:
    """The header by which Ganga knows a file of its own version, so that it asks nothing."""
    try:
        found = version("ganga")
    except PackageNotFoundError:
        found = GANGA
    return f"# Ganga configuration file ($Name: {found} $)\n"


def write(gangarc: Path, path: str) -> Path | None:
    """Edit or create the file. The backup, if one was made; None and the same file if it is
    right already. BadInput if it cannot be read or written."""
    gangarc = Path(os.path.realpath(gangarc))
    try:
        if not gangarc.exists():
            _replace(gangarc, edited(new_file(), path), 0o644)
            return None
        before = _read(gangarc)
        after = edited(before, path)
        if after == before:
            return None
        backup = _backup(gangarc)
        _replace(gangarc, after, gangarc.stat().st_mode & 0o777)
    except OSError as error:
        raise BadInput([f"{gangarc}: {error.strerror}"]) from error
    return backup


def _read(path: Path) -> str:
    """Byte for byte: whatever the encoding, and without touching line ends."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def _replace(path: Path, text: str, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(temporary, mode)
    os.replace(temporary, path)


def _backup(path: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    number = 0
    while True:
        suffix = f".{number}" if number else ""
        backup = path.with_name(f"{path.name}.before-gangamon-{stamp}{suffix}")
        if not backup.exists():
            shutil.copy2(path, backup)
            return backup
        number += 1


@click.command("ganga-config")
@click.option("--write", "do_write", is_flag=True, help="Edit the file, after a backup.")
@click.option(
    "--gangarc",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("~/.gangarc"),
    show_default=True,
    help="Ganga's configuration file.",
)
def ganga_config(do_write: bool, gangarc: Path) -> None:
    """Print the lines of .gangarc by which Ganga loads gangamon, or write them."""
    path, gangarc = package(), gangarc.expanduser()
    if not do_write:
        current = _read(gangarc) if gangarc.is_file() else ""
        after = edited(current, path)
        lines = [line for line in after.splitlines() if _LIVE.fullmatch(line) and path in line]
        click.echo(f"[{SECTION}]\n{lines[-1]}")
        return
    existed = gangarc.exists()
    backup = write(gangarc, path)
    if backup is not None:
        click.echo(f"{gangarc}: {OPTION} names gangamon now; as it was before: {backup}")
    elif existed:
        click.echo(f"{gangarc}: nothing to do, {OPTION} names gangamon already")
    else:
        click.echo(f"{gangarc}: created")


def gangadir_of(gangarc: Path) -> Path:
    """The gangadir that .gangarc names, else Ganga's default."""
    section, found = "", "~/gangadir"
    for line in _read(gangarc).splitlines() if gangarc.is_file() else ():
        if header := _HEADER.match(line):
            section = header["name"].strip()
        elif section == SECTION and (given := _GANGADIR.fullmatch(line)):
            found = given["value"]
    return Path(os.path.expandvars(found)).expanduser()


@click.command("mode")
@click.argument("wanted", type=click.Choice(mode.MODES), required=False)
@click.option(
    "--gangadir", type=click.Path(file_okay=False, path_type=Path), help="The repository."
)
def mode_command(wanted: str | None, gangadir: Path | None) -> None:
    """Who watches a repository's jobs: gangamon, or Ganga's own monitoring.

    Without WANTED it is only told. Sessions that have gangamon follow within some seconds.
    """
    place = (gangadir or gangadir_of(Path("~/.gangarc").expanduser())).absolute() / mode.FOLDER
    if not place.is_dir():
        raise BadInput([f"--gangadir: got {place.parent}; accepted: one that gangamon was used in"])
    if wanted:
        mode.write(place, wanted, "gangamon mode")
    found = mode.read(place)
    since = (
        f" since {time.strftime('%Y-%m-%d %H:%M', time.localtime(found.at))}" if found.at else ""
    )
    click.echo(f"{place.parent}: {found.mode}{since}{f' ({found.by})' if found.by else ''}")
    if wanted == mode.GANGA:
        click.echo(_take_back(place))


def _take_back(place: Path) -> str:
    """Withdraw what has not ended, so that nothing is asked for it either; what became of it. What
    has ended stays for the next session to show."""
    # Imports redis, a third of a second that --help must not wait for.
    from gangamon.client import Client

    try:
        repository = str(json.loads((place / "repository.json").read_text("utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return "no session has handed a job over"
    client = Client(settings.load(), place / "spool")
    try:
        masters = [m.id for m in client.masters(repository) if m.phase == "open"]
        why = "gangamon mode ganga"
        sent = [
            client.submit(Withdraw(client.new_id(), repository, number, (), JobStatus.KILLED, why))
            for number in masters
        ]
        done = client.wait(sent[-1], repository, WAIT) is not None if sent else True
    except StoreUnavailable:
        return "the service does not answer: it will do nothing for these jobs when it is back"
    told = "taken back from" if done else "a command lies in the spool to take them back from"
    return f"{len(sent)} unfinished jobs: {told} the service"


COMMANDS = (ganga_config, mode_command)
