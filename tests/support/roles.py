"""What docker-compose.yml, config/systemd and config/kubernetes start, as the programs read it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml
from celery.bin.base import CLIContext
from celery.bin.celery import celery

from gangamon.cli import main as gangamon

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
OWNER = "ada"

#: Commands of `gangamon` that another part of the project brings. Once their file is there, they
#: are parsed as all others.
OF_OTHERS = {name: ROOT / "gangamon" / "cli" / f"{name}.py" for name in ("web", "metrics")}


@dataclass(frozen=True)
class Worker:
    """A Celery worker by its command line. ``kind``: the name of its node, without the owner's."""

    kind: str
    queues: frozenset[str]
    pool: str
    size: int
    gossip: bool
    mingle: bool


@dataclass(frozen=True)
class Role:
    """A container or unit: ``source`` says where it stands, ``words`` is its command line."""

    source: str
    name: str
    words: tuple[str, ...]


def worker(words: Sequence[str]) -> Worker:
    """click.UsageError if Celery takes no such command line."""
    parsed = parse(words)
    assert parsed.info_name == "worker", words
    given = parsed.params
    node = str(given["hostname"]).partition("@")[0]
    pool = given["pool"]
    return Worker(
        node.removesuffix(f"-{OWNER}"),
        frozenset(given["queues"]),
        # Celery's parser makes the class of it.
        pool if isinstance(pool, str) else pool.__module__.rpartition(".")[2],
        int(given["concurrency"]),
        not given["without_gossip"],
        not given["without_mingle"],
    )


def parse(words: Sequence[str]) -> click.Context:
    """The command line as `celery` or `gangamon` reads it; what it names exists. UsageError."""
    program, *rest = words
    if Path(program).name == "gangamon":
        top: click.Group = gangamon
        context = click.Context(top, info_name="gangamon")
    else:
        assert Path(program).name == "celery", words
        app, *rest = _application(rest)
        from celery.app.utils import find_app

        top = celery
        context = click.Context(top, info_name="celery")
        context.obj = CLIContext(app=find_app(app), no_color=True, workdir=None, quiet=False)
    name, *options = rest
    command = top.get_command(context, name)
    if command is None:
        raise click.UsageError(f"{program} has no command {name}")
    return command.make_context(name, list(options), parent=context)


def _application(rest: list[str]) -> list[str]:
    if rest[:1] != ["-A"]:
        raise click.UsageError(f"no application: {rest}")
    return rest[1:]


# --- where they stand --------------------------------------------------------------------------


def compose() -> list[Role]:
    """Of docker-compose.yml, all profiles, gangamon's own; of the owner ``OWNER``."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return [
        Role("compose", name, tuple(shlex.split(_owned(service["command"]))))
        for name, service in services.items()
        if isinstance(service.get("command"), str) and not name.endswith("-2")
    ]


def _owned(text: str) -> str:
    return text.replace("${GANGAMON_OWNER}", OWNER)


def unit_options(path: Path) -> list[tuple[str, str]]:
    """(KEY, VALUE) of a unit file, in order; comments and sections left out."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    split = [line.split("=", 1) for line in lines if "=" in line and line[0] not in "#;"]
    return [(key, value) for key, value in split]


def systemd(scope: str) -> list[Role]:
    """Of config/systemd/SCOPE (system, user), with systemd's specifiers replaced."""
    found = []
    for path in sorted((CONFIG / "systemd" / scope).glob("*.service")):
        (command,) = [value for key, value in unit_options(path) if key == "ExecStart"]
        for mark, meaning in (("%i", OWNER), ("%u", OWNER), ("%H", "host"), ("%h", "/home/ada")):
            command = command.replace(mark, meaning)
        found.append(Role(f"systemd {scope}", path.name, tuple(shlex.split(command))))
    return found


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """(file, object) of config/kubernetes."""
    for path in sorted((CONFIG / "kubernetes").glob("*.yaml")):
        for found in yaml.safe_load_all(path.read_text()):
            if found is not None and path.name != "kustomization.yaml":
                yield path.name, found


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, pod's spec) of each workload in config/kubernetes."""
    for _, found in manifests():
        if "template" in found.get("spec", {}):
            yield found["metadata"]["name"], found["spec"]["template"]["spec"]


def kubernetes() -> list[Role]:
    return [
        Role("kubernetes", name, tuple(w.replace("alice", OWNER) for w in container["command"]))
        for name, pod in pods()
        for container in pod["containers"]
    ]


def everywhere() -> list[Role]:
    return [*compose(), *systemd("system"), *systemd("user"), *kubernetes()]
