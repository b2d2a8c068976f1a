"""``gangamon ganga-config``: what Ganga must read to load the adapter, printed or written."""

from __future__ import annotations

import os
import re
import shutil
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

import gangamon
from gangamon.errors import BadInput

SECTION = "Configuration"
OPTION = "RUNTIME_PATH"

#: The version named in the header of a new file, where Ganga is not installed beside us.
GANGA = "8.7.12"

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


COMMANDS = (ganga_config,)
