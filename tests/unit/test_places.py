"""Where an instance keeps its files: local disks, short sockets, directories of its owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gangamon import settings as configuration
from gangamon.errors import BadSettings
from gangamon.settings import Settings, hostname
from workers.supervisor import places, up

MOUNTS = """\
20 1 8:1 / / rw - ext4 /dev/sda1 rw
21 20 0:30 / /home rw - nfs4 server:/home rw
22 21 8:2 / /home/scratch rw - xfs /dev/sdb1 rw
23 20 0:31 / /fuse rw - fuse.sshfs host: rw
24 20 0:32 / /layer rw - fuse.fuse-overlayfs x rw
25 20 0:33 / /with\\040space rw - lustre x rw
26 20 0:34 / /auto rw - autofs systemd-1 rw
27 26 0:35 / /auto rw - xfs /dev/sdc1 rw
"""


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS, encoding="utf-8")
    monkeypatch.setattr(places, "MOUNTS", table)


def settings(**keys: object) -> Settings:
    return configuration.load(
        {f"GANGAMON_{name.upper()}": str(value) for name, value in keys.items()}
    )


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/var/tmp", "ext4", False),
        ("/home/ada", "nfs4", True),
        ("/homework", "ext4", False),
        ("/home/scratch/ada", "xfs", False),
        ("/fuse/x", "fuse.sshfs", True),
        ("/layer/x", "fuse.fuse-overlayfs", False),
        ("/with space/x", "lustre", True),
        ("/auto/x", "xfs", False),
    ],
)
def test_the_longest_and_latest_mount_decides(path: str, kind: str, network: bool) -> None:
    """A path belongs to the mount with the longest prefix of whole names, the last of equals."""
    assert places.filesystem(Path(path)) == kind
    assert bool(places.network_type(Path(path))) is network


def test_this_hosts_own_table_is_understood() -> None:
    """The root directory has some file system type."""
    if not places.MOUNTS.exists():
        pytest.skip("no mountinfo on this system")
    assert places.filesystem(Path("/"))


@pytest.mark.usefixtures("mounts")
def test_a_network_local_dir_is_refused() -> None:
    """The message names the key, the value, the type and what is accepted."""
    with pytest.raises(BadSettings, match=r"local_dir: got /home/x.*nfs4.*disk of this host"):
        places.plan(settings(state_dir="/srv/x", local_dir="/home/x"))


@pytest.mark.usefixtures("mounts")
def test_a_state_dir_on_a_local_disk_holds_the_local_one() -> None:
    """Nothing is spread over the machine where it need not be."""
    assert places.plan(settings(state_dir="/srv/x")).local == Path("/srv/x/local")


@pytest.mark.usefixtures("mounts")
def test_a_shared_state_dir_gets_a_local_one_of_its_own() -> None:
    """Each state directory has its own, so that two of one user do not meet."""
    one = places.plan(settings(state_dir="/home/a/one")).local
    two = places.plan(settings(state_dir="/home/a/two")).local
    assert one.parent == two.parent == Path(f"/var/tmp/gangamon-{os.getuid()}")
    assert one != two


@pytest.mark.usefixtures("mounts")
def test_no_local_disk_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /var/tmp is shared too, the user must name a directory."""
    monkeypatch.setattr(places, "SCRATCH", Path("/home/tmp"))
    with pytest.raises(BadSettings, match="local_dir: not set"):
        places.plan(settings(state_dir="/home/a"))


@pytest.mark.parametrize("length", [10, 60, 80, 100, 200])
def test_socket_paths_fit_whatever_the_state_dir(tmp_path: Path, length: int) -> None:
    """sun_path is short, and supervisord adds its pid to the name at first."""
    plan = places.plan(settings(state_dir=tmp_path / ("x" * length)))
    longest = os.fsencode(f"{plan.supervisor_socket}.{2**22}")
    assert len(longest) <= 107
    assert len(os.fsencode(plan.redis_socket)) <= 107


def test_directories_are_the_owners_alone(tmp_path: Path) -> None:
    """Made with mode 0700, and narrowed where another part made them wider."""
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    plan = places.plan(settings(state_dir=state))
    places.create(plan)
    places.create(plan)
    for path in (state, plan.local, plan.sockets, plan.data, plan.logs, plan.starts):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    if plan.sockets.parent == places.SHORT:
        plan.sockets.rmdir()


def test_a_link_in_the_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    """In /tmp another user could have put it there."""
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "sockets"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadSettings, match="not a directory"):
        places.create(places.Places(tmp_path / "state", tmp_path / "local", link))


def test_a_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not used, and the message says whose it is."""
    (tmp_path / "state").mkdir()
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(BadSettings, match=rf"state_dir: .* another user \(uid {owner}\)"):
        places.create(places.Places(tmp_path / "state", tmp_path / "local", tmp_path / "run"))


def test_the_home_directory_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mode is the user's business."""
    monkeypatch.setenv("HOME", str(tmp_path))
    before = tmp_path.stat().st_mode
    with pytest.raises(BadSettings, match="home directory"):
        places.create(places.Places(tmp_path, tmp_path / "local", tmp_path / "run"))
    assert tmp_path.stat().st_mode == before


def test_what_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A file in the way of a directory gives one line, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSettings, match=r"state_dir: .*cannot be made"):
        places.create(
            places.Places(tmp_path / "file" / "state", tmp_path / "local", tmp_path / "run")
        )


@pytest.mark.parametrize(("last", "kept"), [(hostname(), True), ("another.host", False)])
def test_data_older_than_another_hosts_are_set_aside(tmp_path: Path, last: str, kept: bool) -> None:
    """After another host ran, this host's Redis data are stale: they are kept, but not loaded."""
    plan = places.plan(settings(state_dir=tmp_path / "state"))
    places.create(plan)
    (plan.data / "appendonly.aof").write_text("old")
    plan.last_host.write_text(last)
    up._set_stale_data_aside(plan)
    assert bool(list(plan.data.iterdir())) is kept
    aside = plan.data.with_name(f"{plan.data.name}.stale") / "appendonly.aof"
    assert aside.exists() is not kept
    assert plan.last_host.read_text().strip() == hostname()
    if plan.sockets.parent == places.SHORT:
        plan.sockets.rmdir()
