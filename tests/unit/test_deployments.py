"""Compose, systemd and Kubernetes run what `gangamon up` runs: the same roles, queues and pools."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from gangamon import settings
from tests.support import roles
from tests.support.roles import CONFIG, OF_OTHERS, OWNER, Role, Worker, worker
from workers.supervisor import places, programs

#: Programs that are not gangamon's.
FOREIGN = ("redis-server", "sh")


@pytest.fixture(scope="module")
def truth() -> set[Worker]:
    """The workers that `gangamon up` starts, with the defaults of all settings."""
    environ = {"XDG_CONFIG_HOME": "/nowhere", "GANGAMON_OWNER": OWNER}
    conf = settings.load({**environ, "GANGAMON_REDIS_URL": "redis://elsewhere:6379/0"})
    runs = programs.programs(conf, places.plan(conf), "host", None)
    found = {worker(("celery", *program.command[3:])) for program in runs if program.node}
    assert {one.kind for one in found} == {"tick", "poll", "transfer", "merge"}
    return found


def workers_of(found: list[Role]) -> list[Worker]:
    return [worker(role.words) for role in found if "worker" in role.words]


@pytest.mark.parametrize(
    "place", ["compose", "systemd system", "kubernetes"], ids=lambda name: str(name).split()[-1]
)
def test_the_same_workers_as_of_gangamon_up(place: str, truth: set[Worker]) -> None:
    """Each of them once, with the same queues, pool and size; and a beat, Flower and the pages."""
    here = [role for role in roles.everywhere() if role.source == place]
    found = workers_of(here)
    assert len(found) == len(truth)
    assert set(found) == truth
    said = [" ".join(role.words) for role in here]
    for wanted in ("workers.app beat", "workers.app flower", "gangamon web", "gangamon metrics"):
        assert any(wanted in command for command in said), wanted


def test_a_user_runs_all_of_it_or_the_owners_workers(truth: set[Worker]) -> None:
    found = roles.systemd("user")
    assert set(workers_of(found)) == {one for one in truth if one.kind in ("transfer", "merge")}
    assert [role.words[1:] for role in found if "worker" not in role.words] == [
        ("up", "--foreground")
    ]


@pytest.mark.parametrize(
    "role", roles.everywhere(), ids=lambda role: f"{role.source}-{role.name}".replace(" ", "-")
)
def test_its_command_line_is_one_that_the_program_takes(role: Role) -> None:
    """Parsed by Celery's and gangamon's own parsers: an option that they lose is seen here."""
    program = Path(role.words[0]).name
    if program in FOREIGN:
        return
    if role.words[1] in OF_OTHERS and not OF_OTHERS[role.words[1]].exists():
        assert program == "gangamon"
        return
    words = [w.replace("${CREDENTIALS_DIRECTORY}", "/run") for w in role.words]
    for path in (w for w in words if w.startswith("/run/")):
        words[words.index(path)] = os.devnull  # it must be there
    parsed = roles.parse(words)
    if parsed.info_name == "flower":
        (option,) = [w for w in words if w.startswith("--conf=")]
        assert (CONFIG / Path(option).name).is_file()


def test_a_wrong_command_line_is_seen() -> None:
    celery = ("celery", "-A", "workers.app")
    for words in (
        (*celery, "worker", "--no-such-option"),
        (*celery, "worker", "--concurrency", "many"),
        (*celery, "no-such-command"),
        ("gangamon", "up", "--no-such-option"),
        ("gangamon", "no-such-command"),
    ):
        with pytest.raises(click.UsageError):
            roles.parse(words)


# --- systemd -----------------------------------------------------------------------------------

ANALYZE = shutil.which("systemd-analyze")


def installed(folder: Path) -> dict[str, Path]:
    """A copy of the units whose programs exist: SCOPE -> directory."""
    (folder / "bin").mkdir()
    for name in ("celery", "gangamon", "redis-server"):
        program = folder / "bin" / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    shutil.copytree(CONFIG / "systemd", folder / "units")
    for path in (folder / "units").rglob("*.service"):
        text = path.read_text()
        for place in ("/opt/gangamon/bin", "%h/.local/bin", "/usr/bin"):
            text = text.replace(f"={place}/", f"={folder}/bin/")
        path.write_text(text)
    return {scope: folder / "units" / scope for scope in ("system", "user")}


def analyze(scope: str, units: Path, *words: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE
    return subprocess.run(
        [ANALYZE, *(["--user"] if scope == "user" else []), *words],
        cwd=units,
        env={
            "PATH": os.environ["PATH"],
            "SYSTEMD_UNIT_PATH": f"{units}:",
            "XDG_RUNTIME_DIR": str(units),
            "HOME": str(units),
        },
        capture_output=True,
        text=True,
    )


def verify(scope: str, units: Path) -> str:
    names = sorted(path.name.replace("@.", "@ada.") for path in units.glob("*.*") if path.is_file())
    done = analyze(scope, units, "verify", "--man=no", *(str(units / name) for name in names))
    # Of the host's own units, which are not under test, it may have something to say, too.
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    return "\n".join(line for line in lines if "gangamon" in line)


@pytest.mark.skipif(not ANALYZE, reason="there is no systemd-analyze: apt install systemd")
@pytest.mark.parametrize("scope", ["system", "user"])
def test_systemd_takes_every_unit(scope: str, tmp_path: Path) -> None:
    """Without a word; and a unit with a mistake is not passed over."""
    units = installed(tmp_path)[scope]
    assert verify(scope, units) == ""
    some = next(path for path in units.glob("*.service") if "@" not in path.name)
    some.write_text(some.read_text().replace("[Service]\n", "[Service]\nRestartt=always\n"))
    assert "Restartt" in verify(scope, units)


@pytest.mark.skipif(not ANALYZE, reason="there is no systemd-analyze: apt install systemd")
def test_system_units_are_hardened(tmp_path: Path) -> None:
    """By systemd's own review, drop-in included; owners may write more."""
    units = installed(tmp_path)["system"]
    for path in sorted(units.glob("*.service")):
        name = path.name.replace("@.", "@ada.")
        done = analyze(
            "system", units, "security", "--offline=yes", "--json=short", str(units / name)
        )
        found = {entry["json_field"]: entry for entry in json.loads(done.stdout)}
        assert found["NoNewPrivileges"]["set"], name
        assert found["UserOrDynamicUser"]["set"], name
        assert found["CapabilityBoundingSet_CAP_SYS_ADMIN"]["set"], name
        assert found["CapabilityBoundingSet_CAP_SET_UID_GID_PCAP"]["set"], name
        assert found["SystemCallFilter_mount"]["set"], name
        assert found["ProtectSystem"]["set"] or "@ada" in name, name


def test_what_all_units_share_overrides_none_of_them() -> None:
    """A drop-in is read last: a key that a unit sets, too, would lose. Lists grow instead."""
    folder = CONFIG / "systemd" / "system"
    shared = {key for key, _ in roles.unit_options(folder / "gangamon-.service.d" / "common.conf")}
    for path in folder.glob("*.service"):
        own = {key for key, _ in roles.unit_options(path)}
        assert own & shared <= {"Environment", "LoadCredential"}, path.name


# --- Kubernetes --------------------------------------------------------------------------------


def test_kubernetes_takes_every_manifest() -> None:
    """By the schemas of its API, strictly: a key that it does not know is a fault."""
    validate = pytest.importorskip("kubernetes_validate")
    seen = []
    for file, found in roles.manifests():
        validate.validate(found, "1.33", strict=True)
        seen.append((file, found["kind"]))
        wrong = {**found, "metadata": {**found["metadata"], "naem": "x"}}
        with pytest.raises(validate.ValidationError):
            validate.validate(wrong, "1.33", strict=True)
    assert len(seen) >= 12
    listed = yaml.safe_load((CONFIG / "kubernetes" / "kustomization.yaml").read_text())
    assert set(listed["resources"]) == {file for file, _ in seen}


def test_what_manifests_refer_to_is_there() -> None:
    """ConfigMaps, claims, keys of the Secret, volumes, ports, selectors, and images."""
    objects = [found for _, found in roles.manifests()]
    there = {(found["kind"], found["metadata"]["name"]) for found in objects}
    text = (CONFIG / "kubernetes" / "kustomization.yaml").read_text()
    keys = set(re.findall(r"--from-file=([\w-]+)", text))
    images = {image["name"] for image in yaml.safe_load(text)["images"]}
    for found in objects:
        if found["kind"] in ("Deployment", "StatefulSet"):
            labels = found["spec"]["template"]["metadata"]["labels"]
            assert found["spec"]["selector"]["matchLabels"].items() <= labels.items()
            claims = {c["metadata"]["name"] for c in found["spec"].get("volumeClaimTemplates", [])}
            _references(found["spec"]["template"]["spec"], there, keys, claims, images)
    ports = {
        role["metadata"]["labels"]["app.kubernetes.io/component"]: {
            port["name"]
            for container in role["spec"]["template"]["spec"]["containers"]
            for port in container.get("ports", [])
        }
        for role in objects
        if "template" in role["spec" if "spec" in role else "metadata"]
    }
    for service in (found for found in objects if found["kind"] == "Service"):
        to = service["spec"]["selector"]["app.kubernetes.io/component"]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports[to]


def _references(
    pod: dict[str, object], there: set[tuple[str, str]], keys: set[str], claims: set[str],
    images: set[str],
) -> None:  # fmt: skip
    volumes = set(claims)
    for volume in pod["volumes"]:  # type: ignore[attr-defined]
        volumes.add(volume["name"])
        if claim := volume.get("persistentVolumeClaim"):
            assert ("PersistentVolumeClaim", claim["claimName"]) in there
        if secret := volume.get("secret"):
            assert secret["secretName"] == "gangamon"
            assert {item["key"] for item in secret["items"]} <= keys
    for container in pod["containers"]:  # type: ignore[attr-defined]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert container["image"] in images
        for source in container.get("envFrom", []):
            assert ("ConfigMap", source["configMapRef"]["name"]) in there


def test_pods_are_confined_as_containers_of_compose_are() -> None:
    found = dict(roles.pods())
    assert len(found) == 9
    for name, pod in found.items():
        whole = pod["securityContext"]
        assert whole["runAsNonRoot"] and whole["runAsUser"] > 0, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name


def test_the_settings_of_pods_and_containers_are_settings(tmp_path: Path) -> None:
    """Each GANGAMON_* of a ConfigMap, a container or a unit is one that the settings know."""
    names: set[str] = set()
    for path in (CONFIG.parent / "docker-compose.yml", *CONFIG.glob("kubernetes/*.yaml")):
        names |= set(re.findall(r"\b(GANGAMON_\w+)\b(?=: |, value)", path.read_text()))
    for path in CONFIG.glob("systemd/**/*.[sc]*[ef]"):
        names |= set(re.findall(r"\b(GANGAMON_\w+)=", path.read_text()))
    assert {"GANGAMON_REDIS_URL_FILE", "GANGAMON_STATE_DIR", "GANGAMON_ROOTS"} <= names
    url = tmp_path / "url"
    url.write_text("redis://:secret@redis:6379/0\n")
    values = {name: str(tmp_path) for name in names} | {"GANGAMON_OWNER": OWNER}
    values |= {"GANGAMON_REDIS_URL_FILE": str(url)}
    if "GANGAMON_CONFIG" in names:
        (tmp_path / "gangamon.toml").touch()
        values["GANGAMON_CONFIG"] = str(tmp_path / "gangamon.toml")
    assert settings.load(values).redis_url == "redis://:secret@redis:6379/0"
