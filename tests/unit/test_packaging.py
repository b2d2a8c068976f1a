"""pyproject.toml and requirements.lock say the same, and what they name is there."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gangamon

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PYTHONS = [line[-4:] for line in PROJECT["classifiers"] if "Python :: 3." in line]
NAMED = [
    *PROJECT["scripts"].values(),
    *(name for group in PROJECT["entry-points"].values() for name in group.values()),
]


def declared(*extras: str) -> Iterator[Requirement]:
    for line in PROJECT["dependencies"] + [line for extra in extras for line in EXTRAS[extra]]:
        yield Requirement(line)


def locked(python: str) -> dict[str, str]:
    """Name -> version of the lock's lines for a Python on Linux."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {
        canonicalize_name(r.name): str(r.specifier).removeprefix("==")
        for r in requirements
        if applies(r, python)
    }


def applies(requirement: Requirement, python: str) -> bool:
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.99",
        "sys_platform": "linux",
    }
    return requirement.marker is None or requirement.marker.evaluate(environment)


def test_the_version_is_the_packages_own() -> None:
    assert PROJECT["version"] == gangamon.__version__


def test_all_is_every_other_extra() -> None:
    (everything,) = EXTRAS["all"]
    assert Requirement(everything).extras == EXTRAS.keys() - {"all"}


@pytest.mark.parametrize("name", NAMED)
def test_scripts_and_entry_points_resolve(name: str) -> None:
    assert callable(pkgutil.resolve_name(name))


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_pins_each_dependency_within_its_bounds(python: str) -> None:
    pins = locked(python)
    for requirement in declared(*EXTRAS.keys() - {"all"}):
        if applies(requirement, python):
            pin = pins[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(pin), f"{requirement} is locked as {pin}"


def test_the_lock_names_no_index_and_no_path() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "--" not in text
    assert "://" not in text
    assert " @ " not in text


def test_the_domain_may_import_no_dependency() -> None:
    """The import contract needs names, so it must name each package the product may install."""
    wanted = {canonicalize_name(r.name) for r in declared("server", "ganga")}
    modules = {
        module
        for module, distributions in packages_distributions().items()
        if wanted & {canonicalize_name(d) for d in distributions} and module.isidentifier()
    }
    (contract,) = (
        contract
        for contract in PYPROJECT["tool"]["importlinter"]["contracts"]
        if contract.get("source_modules") == ["gangamon.domain"]
    )
    assert modules
    assert modules <= set(contract["forbidden_modules"])


def test_only_http_backends_need_the_extra_grid() -> None:
    """A session, or a worker, of `pip install gangamon[server]` has no HTTP client."""
    program = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("httpx", "zstandard"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from gangamon import backends
from gangamon.errors import BadInput
for name in backends.names():
    try:
        backends.load(name)
    except BadInput:
        print(name)
"""
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert set(done.stdout.split()) == {"ARC", "DiracX"}
