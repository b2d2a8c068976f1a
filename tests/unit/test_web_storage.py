"""Files over HTTP: cut off, changed, with another checksum, behind redirects and tokens."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gangamon.errors import BackendUnreachable, CredentialMissing, TransientError
from gangamon.fetchers import storage
from gangamon.fetchers.storage import landing, web
from gangamon.protocols import Source
from tests.support.filestore import FileStore, filestore

LARGE = landing.LARGE + 12345


def bring(store: FileStore, target: Path, credential: str = "", path: str = "/data") -> None:
    storage.bring(Source(store.url + path, credential), str(target / "data"))


def token(folder: Path) -> tuple[str, str]:
    """(the path of its file, the token)."""
    ends = base64.urlsafe_b64encode(f'{{"exp": {time.time() + 86400:.0f}}}'.encode()).decode()
    text = f"eyJh.{ends.rstrip('=')}.c2ln"
    (folder / "token").write_text(text)
    return str(folder / "token"), text


@pytest.fixture
def target(tmp_path: Path) -> Path:
    made = tmp_path / "output"
    made.mkdir()
    return made


def test_a_transfer_that_is_cut_goes_on_by_itself(target: Path) -> None:
    with filestore() as store:
        store.files["/data"] = content = os.urandom(LARGE)
        store.cuts = [1 << 20, 5 << 20]
        bring(store, target)
    assert (target / "data").read_bytes() == content
    assert store.ranges()[0] == ""
    assert all(asked.startswith("bytes=") for asked in store.ranges()[1:])
    assert len(store.ranges()) == 3
    assert os.listdir(target) == ["data"]


def test_cut_again_and_again(target: Path) -> None:
    """Without one more byte: put off with its reason, nothing is seen; the next call goes on."""
    with filestore() as store:
        store.files["/data"] = content = os.urandom(LARGE)
        store.cuts = [1 << 20, *[0] * web.TRIES]
        with pytest.raises(TransientError, match=r"cut off: .* were to come"):
            bring(store, target)
        assert all(name.startswith(".gangamon-part-") for name in os.listdir(target))
        bring(store, target)
    first = store.ranges()[-1]
    assert first.startswith("bytes=")
    assert (target / "data").read_bytes() == content
    assert os.listdir(target) == ["data"]


#: Dies in the middle of the file that it brings.
KILLED = """
import os, signal, sys
from gangamon.fetchers import storage
from gangamon.fetchers.storage import landing
from gangamon.protocols import Source

write = landing.Landing.write

def dying(place, chunk):
    write(place, chunk)
    if place.at > 4 << 20:
        os.kill(os.getpid(), signal.SIGKILL)

landing.Landing.write = dying
storage.bring(Source(sys.argv[1]), sys.argv[2])
"""


def test_a_worker_that_is_killed(target: Path) -> None:
    """What it had is not seen, nobody else is held up by its lock, and another goes on with it."""
    with filestore() as store:
        store.files["/data"] = content = os.urandom(LARGE)
        words = [sys.executable, "-c", KILLED, f"{store.url}/data", str(target / "data")]
        assert subprocess.run(words, timeout=120).returncode == -signal.SIGKILL
        (part,) = target.iterdir()
        assert part.name.startswith(".gangamon-part-")
        at = part.stat().st_size
        assert at > 2 << 20
        bring(store, target)
    assert store.ranges()[-1] == f"bytes={at}-"
    assert (target / "data").read_bytes() == content
    assert os.listdir(target) == ["data"]


def test_two_at_once(target: Path) -> None:
    """One of them brings a large file; the other is put off, and finds it whole then."""
    with filestore() as store:
        store.files["/data"] = content = os.urandom(LARGE)
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        facts = landing.Facts(LARGE, tag)
        with (
            pytest.raises(TransientError, match="cut off: 0 bytes"),
            landing.landing(str(target / "data"), facts),
            pytest.raises(TransientError, match="another worker brings this file"),
        ):
            bring(store, target)
        bring(store, target)
    assert (target / "data").read_bytes() == content


def test_a_small_one_that_is_cut_leaves_nothing(target: Path) -> None:
    with filestore() as store:
        store.files["/data"] = bytes(2000)
        store.cuts = [1000, *[0] * web.TRIES]
        with pytest.raises(TransientError):
            bring(store, target)
    assert [n for n in os.listdir(target) if not n.startswith(".gangamon-")] == []


@pytest.mark.parametrize("size", [2000, LARGE])
@pytest.mark.parametrize("form", ["adler32=00000000", "md5={other}", "sha-256=:{other}:"])
def test_another_checksum(target: Path, size: int, form: str) -> None:
    """Said with both sums; nothing stays to be gone on with, and a good answer is taken then."""
    name = form.partition("=")[0].replace("sha-256", "sha256")
    other = base64.b64encode(hashlib.new(name, b"").digest()).decode() if "{" in form else ""
    with filestore() as store:
        store.files["/data"] = content = os.urandom(size)
        store.digest = form.format(other=other)
        with pytest.raises(TransientError, match=r"wrong checksum: .* the storage says"):
            bring(store, target)
        assert os.listdir(target) == []
        store.digest = None
        bring(store, target)
    assert (target / "data").read_bytes() == content


def test_a_file_that_changes_meanwhile(target: Path) -> None:
    """The rest of another version is not put behind the first's beginning."""
    with filestore() as store:
        store.files["/data"] = os.urandom(LARGE)
        store.cuts = [1 << 20]

        class Changing(list[int]):
            def pop(self, at: object = 0) -> int:  # type: ignore[override]
                found = super().pop(0)
                store.files["/data"] = bytes(LARGE)
                return found

        store.cuts = Changing([1 << 20])
        with pytest.raises(TransientError, match="changed while it was brought"):
            bring(store, target)
        bring(store, target)
    assert (target / "data").read_bytes() == bytes(LARGE)
    assert os.listdir(target) == ["data"]


def test_a_file_that_vanishes_meanwhile(target: Path) -> None:
    with filestore() as store:
        store.files["/data"] = os.urandom(LARGE)

        class Vanishing(list[int]):
            def pop(self, at: object = 0) -> int:  # type: ignore[override]
                del store.files["/data"]
                return super().pop(0)

        store.cuts = Vanishing([1 << 20])
        with pytest.raises(TransientError, match="/data: not there"):
            bring(store, target)
    assert [n for n in os.listdir(target) if not n.startswith(".gangamon-")] == []


def test_tokens_go_to_their_own_server_only(target: Path, tmp_path: Path) -> None:
    path, text = token(tmp_path)
    with filestore() as door, filestore() as node:
        door.token = text
        door.moved["/data"] = f"{node.url}/there?secret=1"
        door.files["/data"] = b""
        node.files["/there"] = b"content"
        with pytest.raises(CredentialMissing, match="HTTP 401"):
            bring(door, target)
        bring(door, target, path)
        assert "authorization" not in node.seen[-1][2]
        assert (target / "data").read_bytes() == b"content"
        del node.files["/there"]
        with pytest.raises(TransientError, match="/there: not there") as caught:
            bring(door, target, path)
        assert "secret" not in str(caught.value)
    with pytest.raises(CredentialMissing, match="no credential is sent without TLS"):
        storage.bring(Source("http://example.org/x", path), str(target / "data"))


def test_redirects_for_ever(target: Path) -> None:
    with filestore() as store:
        store.files["/data"] = b""
        store.moved["/data"] = f"{store.url}/data"
        with pytest.raises(BackendUnreachable, match="redirects"):
            bring(store, target)
