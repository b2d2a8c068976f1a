"""What the script on the other host prints, read; and where Ganga says that a job lies."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon import ssh
from gangamon.adapter.handover import remote_job
from gangamon.backends.remote import look
from gangamon.backends.remote.backend import RemoteBackend
from gangamon.backends.remote.look import Found, Where
from gangamon.domain.lane import Lane
from gangamon.errors import BackendUnreachable, BadInput
from gangamon.ssh import Host
from gangamon.testing.factories import poll_item

ANSWER = (
    "host far\njob 0\n> PID: 3\n> EXITCODE: 0\njob 1\n> WRAPPER: 4\ndead\n> WRAPPER: 4\njob 2\n"
)


def test_an_answer() -> None:
    host, found = look.parse(f"{ANSWER}none\n", 3)
    assert host == "far"
    assert [f.state for f in found.values()] == ["file", "dead", "none"]
    assert found[0].file is not None and found[0].file.exit_code == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host far\n",
        f"{ANSWER}odd\n",
        f"{ANSWER}none\njob 2\nnone\n",
        f"{ANSWER}none\njob 3\nnone\n",
        f"noise\n{ANSWER}none\n",
    ],
)
def test_what_is_no_answer(text: str) -> None:
    with pytest.raises(BackendUnreachable):
        look.parse(text, 3)


@given(st.text() | st.lists(st.sampled_from(ANSWER.splitlines())).map("\n".join))
def test_nothing_is_read_that_is_not_there(text: str) -> None:
    """Any text: an end only where an exit code, or a death, stands in it."""
    try:
        _, found = look.parse(text, 1)
    except BackendUnreachable:
        return
    for one in found.values():
        assert one.file is None or one.file.exit_code is None or "EXITCODE: " in text
        assert one.state != "dead" or "dead" in text
        assert isinstance(one, Found)


def test_paths_that_cannot_be_asked_for() -> None:
    assert Where("/far/a b").fit()
    assert Where("~/far").fit()
    assert not any(Where(d).fit() for d in ("/a\nb", "relative", "/a ", "", "~other/x"))
    assert not Where("/far", "two words").fit()


def test_a_job_that_is_nowhere_makes_no_connection() -> None:
    """No number, or no workspace: the far Ganga has no such job."""
    item = poll_item("42.1", "/none", native_id="")
    found = RemoteBackend().poll(Lane("Remote", "no.such.host.invalid"), [item])
    assert type(found["42.1"]).__name__ == "Absent"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("me@far.example:2222", Host("far.example", "me", "2222")),
        ("far", Host("far")),
        ("me@[::1]:22", Host("::1", "me", "22")),
    ],
)
def test_hosts(text: str, host: Host) -> None:
    assert Host.parse(text) == host


@pytest.mark.parametrize("text", ["-oProxyCommand=x", "me@-x", "a b", "", "far:port", "-l@far"])
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(BadInput):
        Host.parse(text)


def test_sockets_lie_where_nobody_else_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that another could have made, or can enter, is not used."""
    monkeypatch.setattr(ssh.tempfile, "gettempdir", lambda: str(tmp_path))
    place = Path(ssh._sockets())
    assert place.stat().st_mode & 0o777 == 0o700
    assert ssh._sockets() == str(place)
    place.chmod(0o755)
    with pytest.raises(BackendUnreachable, match="mode 0700"):
        ssh._sockets()
    place.rmdir()
    place.symlink_to(tmp_path)
    with pytest.raises(BackendUnreachable, match="mode 0700"):
        ssh._sockets()


def test_where_ganga_says_it_lies(tmp_path: Path) -> None:
    """A key that is not there is one for which Ganga would ask for a password."""
    key = tmp_path / "id"
    far = SimpleNamespace(wrapper_pid=[4, 7], actualCE="node3.example")
    backend = SimpleNamespace(
        username="me",
        host="far:22",
        ganga_dir="/far/gangadir/",
        ssh_key=str(key),
        remote_backend=far,
    )
    assert remote_job.endpoint(backend) == "me@far:22"
    extra = remote_job.extra(backend)
    assert extra == {
        "workspace": "/far/gangadir/workspace/me/LocalXML",
        "host": "node3.example",
        "wrapper_pid": 7,
    }
    key.touch()
    backend.remote_backend = SimpleNamespace(actualCE="node3.example")
    assert remote_job.extra(backend) == {
        "workspace": "/far/gangadir/workspace/me/LocalXML",
        "ssh_key": str(key),
    }
