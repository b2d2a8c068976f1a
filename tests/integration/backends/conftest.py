"""Real batch systems, started once each for all tests that leave them as they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from gangamon import ssh
from tests.integration.backends import arc, condor, dirac, diracx, sge, slurm, sshd
from tests.integration.backends.arc import Arc
from tests.integration.backends.condor import Condor
from tests.integration.backends.dirac import Dirac
from tests.integration.backends.diracx import DiracX
from tests.integration.backends.far import Far
from tests.integration.backends.sge import GridEngine
from tests.integration.backends.slurm import Slurm
from tests.integration.backends.sshd import Sshd


def _require(packages: list[str]) -> None:
    if packages:
        pytest.skip(f"not installed (Debian): {', '.join(packages)}")


@pytest.fixture(scope="session")
def slurm_plain() -> Iterator[Slurm]:
    """A cluster without accounting."""
    _require(slurm.missing(slurm.NEEDED))
    with slurm.running(Slurm("plain")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_accounted() -> Iterator[Slurm]:
    """A cluster with accounting, which forgets ended jobs as soon as it can: it looks for them
    once a minute."""
    _require(slurm.missing({**slurm.NEEDED, **slurm.ACCOUNTING}))
    with slurm.running(Slurm("accounted", memory=2, accounting=True)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def pool() -> Iterator[Condor]:
    """An HTCondor of one host. All its tests are in one file: it takes a while to install."""
    _require(condor.missing())
    with condor.running(Condor()) as found:
        yield found


@pytest.fixture(scope="session")
def dirac_site() -> Iterator[Dirac]:
    """A DIRAC, installed from PyPI for this run."""
    _require(dirac.missing())
    with dirac.running() as site:
        yield site


@pytest.fixture(scope="session")
def diracx_site() -> Iterator[DiracX]:
    """A DiracX, installed from PyPI for this run. It needs Python 3.11: Debian 12's."""
    if sys.version_info < (3, 11):
        pytest.skip("Python below 3.11")
    with diracx.running() as site:
        yield site


@pytest.fixture(scope="session")
def arc_ce() -> Iterator[Arc]:
    """A CE, which only root can run: its jobs are another user's."""
    _require(arc.missing())
    if os.getuid() != 0:
        pytest.skip("not root")
    with arc.running() as ce:
        yield ce


@pytest.fixture(scope="session")
def grid_engine() -> Iterator[GridEngine]:
    _require(sge.missing())
    with sge.running(GridEngine()) as engine:
        yield engine


@pytest.fixture(scope="module")
def ssh_server() -> Iterator[Sshd]:
    _require(sshd.missing())
    with sshd.running() as found:
        yield found


@pytest.fixture
def remote(ssh_server: Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """Asked by this process, over a connection that is not there yet."""
    monkeypatch.setenv("PATH", str(ssh_server.bin), prepend=":")
    monkeypatch.setattr(ssh, "_sockets", lambda: str(ssh_server.temporary))
    yield ssh_server
    ssh_server.connection().close()


@pytest.fixture
def far(tmp_path: Path) -> Far:
    return Far(tmp_path)


class Cluster(Protocol):
    """``environ``: with it a batch system's commands ask this one."""

    @property
    def environ(self) -> Mapping[str, str]: ...


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Cluster], None]:
    """Makes the commands of this process ask that cluster."""

    def chosen(cluster: Cluster) -> None:
        for name, value in cluster.environ.items():
            if os.environ.get(name) != value:
                monkeypatch.setenv(name, value)

    return chosen
