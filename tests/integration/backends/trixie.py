"""A folder to chroot into, with packages of Debian trixie, for what Debian 12 has not.

Its packages are found, fetched and verified by this host's own apt, from its own mirror, as for a
system on which nothing is installed, and unpacked; none of their scripts is run. That takes some
ten seconds, where debootstrap takes a minute.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RELEASE = "trixie"

#: What a shell script finds everywhere. base-files has the links of the root, so it comes first.
BASE = ("base-files", "bash", "coreutils", "dash", "grep", "hostname", "sed")

#: Programs that this takes -> their packages.
NEEDED = {"apt-get": "apt", "dpkg-deb": "dpkg"}


def install(root: Path, packages: Sequence[str], users: Mapping[str, int]) -> None:
    """Make ``root``, which is not there yet, with the packages and what they depend on.
    ``users``: more of them, with their ids."""
    place = root.with_name(f"{root.name}-apt")
    apt = _apt(place)
    _run(*apt, "update")
    _run(*apt, "--yes", "--download-only", "install", *BASE, *packages)
    found = sorted((place / "cache" / "archives").glob("*.deb"))
    root.mkdir()
    for path in (p for p in found if p.name.startswith("base-files_")):
        _unpack(path, root)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda path: _unpack(path, root), found))
    shutil.rmtree(place)
    ids = {"root": 0, "nobody": 65534, **users}
    homes = (f"{name}:x:{id_}:{id_}::/:/bin/sh\n" for name, id_ in ids.items())
    (root / "etc/passwd").write_text("".join(homes))
    (root / "etc/group").write_text("".join(f"{name}:x:{id_}:\n" for name, id_ in ids.items()))
    shutil.copy("/etc/hosts", root / "etc/hosts")


def _apt(place: Path) -> list[str]:
    """An apt-get with state of its own, below ``place``: it knows of no package of this host."""
    for name in ("lists/partial", "cache/archives/partial", "none"):
        (place / name).mkdir(parents=True)
    (place / "status").touch()
    (place / "sources").write_text(f"deb {_mirror()} {RELEASE} main\n")
    options = {
        "Dir::Etc::SourceList": place / "sources",
        "Dir::Etc::SourceParts": place / "none",
        "Dir::State": place,
        "Dir::State::Status": place / "status",
        "Dir::Cache": place / "cache",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # who may write there
    }
    return ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]


def _mirror() -> str:
    """Where this host has its own packages from."""
    etc = Path("/etc/apt")
    for path in (etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))):
        text = path.read_text() if path.is_file() else ""
        pattern = r"^(?:deb (?:\[[^]]*\] *)?|URIs: *)(\S+/debian/?)(?: |$)"
        if found := re.search(pattern, text, re.MULTILINE):
            return found[1]
    raise AssertionError("no Debian mirror in /etc/apt")


def _unpack(package: Path, root: Path) -> None:
    _run("dpkg-deb", "--extract", str(package), str(root))


def _run(*words: str) -> None:
    environ = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        words, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
