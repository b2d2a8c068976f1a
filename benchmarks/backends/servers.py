"""The batch systems that are measured: private ones, as the tests start them; their jobs wait."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gangamon.settings import hostname
from tests.integration.backends import condor, sge, slurm

#: Submissions at the same time: clients wait for the server more than for the processor.
SUBMITTERS = 8


@dataclass(frozen=True)
class Server:
    """A running one. ``environ``: with it the commands are its clients. ``version``: a command that
    prints it. ``programs``: what gangamon runs of it. ``fill``: so many more jobs that never start;
    their ids."""

    endpoint: str
    environ: Mapping[str, str]
    version: Sequence[str]
    programs: Sequence[str]
    fill: Callable[[int], Sequence[str]]


@contextmanager
def _slurm() -> Iterator[Server]:
    if absent := slurm.missing(slurm.NEEDED):
        raise LookupError(", ".join(absent))
    with slurm.running(slurm.Slurm("bench", most=30_000)) as cluster:

        def fill(count: int) -> list[str]:
            with ThreadPoolExecutor(SUBMITTERS) as pool:
                return list(
                    pool.map(lambda _: cluster.submit("exit 0", "-p", "held"), range(count))
                )

        yield Server(
            cluster.name,
            cluster.environ,
            ("squeue", "--version"),
            ("squeue", "sacct", "scontrol"),
            fill,
        )


@contextmanager
def _condor() -> Iterator[Server]:
    if absent := condor.missing():
        raise LookupError(", ".join(absent))
    with condor.running(condor.Condor(slots=1)) as pool:

        def fill(count: int) -> list[str]:
            cluster = pool.idle(count)
            return [f"{cluster}.{proc}" for proc in range(count)]

        yield Server(
            hostname(),
            pool.commands,
            ("condor_version",),
            ("condor_q", "condor_history"),
            fill,
        )


@contextmanager
def _sge() -> Iterator[Server]:
    if absent := sge.missing():
        raise LookupError(", ".join(absent))
    with sge.running(sge.GridEngine()) as engine:
        version = ("qstat", "-help")
        yield Server("gm", engine.environ, version, ("qstat", "qacct"), engine.fill)


#: Ganga's backend class -> a running server. LookupError: what is not installed.
SERVERS: Mapping[str, Callable[[], Any]] = {"Condor": _condor, "SGE": _sge, "Slurm": _slurm}


def which(server: Server, program: str) -> str:
    path = shutil.which(program, path=server.environ["PATH"])
    if path is None:
        raise LookupError(program)
    return path
