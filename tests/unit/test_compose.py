"""docker-compose.yml is one that docker-compose takes, and keeps to itself what must stay there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMMAND = shutil.which("docker-compose")
REQUIRED = {"GANGAMON_OWNER": "ada", "GANGADIR": "/home/ada/gangadir"}
PROFILES = ("--profile", "monitoring", "--profile", "ha", "--profile", "test")

#: Brought by others: once they are there, they are looked at as all else.
OF_OTHERS = ("./config/prometheus", "./config/grafana")


def config(
    empty: Path, *words: str, files: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    assert COMMAND
    empty.touch()
    named = [word for file in files for word in ("-f", file)]
    return subprocess.run(
        # A developer's own .env must not fill in what is missing here.
        [COMMAND, "--env-file", str(empty), *named, *PROFILES, "config", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": "/home/ada", **variables},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def composition() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def services(composition: dict[str, Any]) -> dict[str, Any]:
    return dict(composition["services"])


@pytest.mark.skipif(not COMMAND, reason="there is no docker-compose")
def test_docker_compose_takes_it(tmp_path: Path) -> None:
    answer = config(tmp_path / "env", **REQUIRED)
    assert answer.returncode == 0, answer.stderr
    assert not answer.stderr
    assert len(yaml.safe_load(answer.stdout)["services"]) == 19


@pytest.mark.skipif(not COMMAND, reason="there is no docker-compose")
def test_with_fail_over_names_need_no_resolver(tmp_path: Path) -> None:
    """Every server has an address that stays, and whoever asks for one of them knows it by name."""
    files = ("docker-compose.yml", "config/compose/ha.yml")
    answer = config(tmp_path / "env", files=files, HA_NETWORK="10.9.8", **REQUIRED)
    assert answer.returncode == 0, answer.stderr
    found = yaml.safe_load(answer.stdout)["services"]
    servers = {name: s for name, s in found.items() if name.startswith(("redis", "sentinel"))}
    addresses = {name: s["networks"]["default"]["ipv4_address"] for name, s in servers.items()}
    assert len(set(addresses.values())) == len(addresses) == 6
    assert all(address.startswith("10.9.8.") for address in addresses.values())
    asking = {name for name, s in found.items() if "redis-url" in str(s.get("secrets"))}
    for name in asking | set(servers):
        assert found[name]["extra_hosts"] == addresses, name


@pytest.mark.skipif(not COMMAND, reason="there is no docker-compose")
@pytest.mark.parametrize("missing", REQUIRED)
def test_it_does_not_start_without_an_owner_or_a_gangadir(missing: str, tmp_path: Path) -> None:
    given = {name: value for name, value in REQUIRED.items() if name != missing}
    answer = config(tmp_path / "env", "-q", **given)
    assert answer.returncode != 0
    assert missing in answer.stderr


def test_only_pages_are_published_and_on_loopback(services: dict[str, Any]) -> None:
    published = {name: s["ports"] for name, s in services.items() if "ports" in s}
    assert set(published) == {"flower", "web", "prometheus", "grafana"}
    for ports in published.values():
        assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_container_is_confined_and_limited(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["user"] not in ("root", "0"), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"] and service["pids_limit"], name
        assert "privileged" not in service and "network_mode" not in service, name


def test_what_gangamon_runs_has_a_health_check(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if "IMAGE:-gangamon" in service["image"]:
            assert service["healthcheck"]["test"], name


def test_secrets_volumes_and_files_are_there(composition: dict[str, Any]) -> None:
    services = composition["services"]
    for name, service in services.items():
        assert set(service.get("secrets", [])) <= set(composition["secrets"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(OF_OTHERS) and not (ROOT / source).exists():
                continue
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
            elif not source.startswith("${"):
                assert source in composition["volumes"], name
    words = [w for s in services.values() if "command" in s for w in s["command"]]
    scripts = [word for word in words if word.endswith("-start")]
    assert {Path(script).name for script in scripts} == {
        path.name for path in (ROOT / "config" / "compose").iterdir() if "-start" in path.name
    }


def clone_of(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """One in which `up` can be called, and the environment for it. What it calls is in `called`."""
    clone = tmp_path / "clone"
    (clone / "config" / "compose").mkdir(parents=True)
    shutil.copy(ROOT / "config" / "compose" / "up", clone / "config" / "compose" / "up")
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"  # compose's second version, of which no other is there
    docker.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/called\n')
    docker.chmod(0o755)
    environ = {
        "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "GANGAMON_OWNER": "ada",
        "GANGADIR": str(tmp_path / "gangadir"),
        "GANGAMON_UID": str(os.getuid() or 1000),
        "GANGAMON_GID": str(os.getgid() or 1000),
    }
    return clone, environ


def test_up_writes_what_is_missing_once(tmp_path: Path) -> None:
    """.env, and secrets for the owner alone; a second call changes none. It starts compose."""
    clone, environ = clone_of(tmp_path)

    def up(**more: str) -> dict[str, bytes]:
        subprocess.run(
            [str(clone / "config/compose/up"), "--no-color"], env={**environ, **more}, check=True
        )
        files = [clone / ".env", *sorted((clone / "secrets").iterdir())]
        assert all(path.stat().st_mode & 0o077 == 0 for path in files[1:])
        assert {path.stat().st_uid for path in files[1:] if "grafana" not in path.name} == {
            int(environ["GANGAMON_UID"])
        }
        return {path.name: path.read_bytes() for path in files}

    first = up()
    assert (tmp_path / "gangadir").is_dir()
    password = first["redis-password"].decode().strip()
    assert len(password) == 48
    assert first["redis-url"].decode() == f"redis://:{password}@redis:6379/0\n"
    assert up(GANGAMON_OWNER="bob", COMPOSE_PROFILES="ha") == first
    called = (tmp_path / "called").read_text().splitlines()
    assert called == ["compose version", "compose up -d --build --no-color"] * 2


@pytest.mark.parametrize("by_hand", [False, True], ids=["environment", "file"])
def test_up_with_fail_over_writes_all_of_it(by_hand: bool, tmp_path: Path) -> None:
    """Wherever the profile is named: clients ask the sentinels, and so do servers that start."""
    clone, environ = clone_of(tmp_path)
    if by_hand:
        names = ("GANGAMON_OWNER", "GANGAMON_UID", "GANGAMON_GID", "GANGADIR")
        lines = [f"{name}={environ.pop(name)}" for name in names]
        (clone / ".env").write_text("\n".join([*lines, "COMPOSE_PROFILES=ha", ""]))
    else:
        environ["COMPOSE_PROFILES"] = "ha"
    for _ in range(2):
        subprocess.run([str(clone / "config/compose/up")], env=environ, check=True)
        text = (clone / ".env").read_text()
        assert text.count("SENTINELS=sentinel-1 sentinel-2 sentinel-3\n") == 1
        assert text.count("REDIS_OPTIONS=--min-replicas-to-write 1") == 1
        assert "COMPOSE_PROFILES=ha\n" in text
        assert text.count("COMPOSE_FILE=docker-compose.yml:config/compose/ha.yml\n") == 1
    assert (clone / "secrets" / "redis-url").read_text().startswith("sentinel://:")


def test_up_for_fail_over_names_the_sentinels(composition: dict[str, Any]) -> None:
    script = (ROOT / "config" / "compose" / "up").read_text()
    (hosts,) = re.findall(r"@([\w:,-]+)/0\?master=(\w+)", script)
    assert [host.partition(":")[0] for host in hosts[0].split(",")] == [
        name for name in composition["services"] if name.startswith("sentinel")
    ]
    started = (ROOT / "config" / "compose" / "sentinel-start").read_text()
    assert f"sentinel monitor {hosts[1]} redis 6379 2" in started
