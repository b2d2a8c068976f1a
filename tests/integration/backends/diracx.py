"""A real DiracX on this host: private, on loopback, gone at the end.

Its routers on sqlite, and moto's S3 for the sandboxes; tokens as a login's. Not run: identity
providers, OpenSearch (diracx_site/app.py), the tasks, and pilots: what happens to a job is told
by an administrator's requests.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import zstandard

from tests.integration.backends.daemons import WITHIN, Daemons, free_ports, python_of
from tests.support.waiting import until

SITE = Path(__file__).with_name("diracx_site")

#: Jobs of one submission (100 are refused), and of one change of status.
SUBMITTED, CHANGED = 20, 500


class DiracX(Daemons):
    """``url``: as in DIRACX_URL. ``tokens``: the file of the user ``tester``'s."""

    def __init__(self, python: Path) -> None:
        super().__init__("gm-diracx-")
        self.python = python
        self.port, self.store = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.tokens = self.folder / "credentials.json"
        self.environ.update(HOME=str(self.folder), PYTHONPATH=str(SITE))

    # --- its life ---------------------------------------------------------------------------

    def start(self) -> None:
        store = f"http://127.0.0.1:{self.store}"
        words = (str(self.python), str(SITE / "prepare.py"), str(self.folder), self.url, store)
        self.start_store()
        self.environ |= json.loads(self.run(*words).splitlines()[-1])
        self.start_service()
        self.write_tokens(self.login())
        self._admin = self.login("gm_admin")["access_token"]

    def start_store(self) -> None:
        words = ("-c", "import sys; from moto.server import main; main(sys.argv[1:])")
        listens = ("-H", "127.0.0.1", "-p", str(self.store))
        self.daemon(str(self.python), *words, *listens, name="store")
        self.until_listens(self.store)

    def start_service(self) -> None:
        words = ("-m", "uvicorn", "--factory", "app:create_app", "--log-level", "warning")
        listens = ("--host", "127.0.0.1", "--port", str(self.port))
        self.daemon(str(self.python), *words, *listens, name="service")

        def answers() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"{self.url}/.well-known/openid-configuration").status_code == 200
            return False

        until(answers, WITHIN, "DiracX answers", self.story)

    # --- its users --------------------------------------------------------------------------

    def login(self, group: str = "gm_user", user: str = "tester", **given: Any) -> dict[str, Any]:
        """Fresh tokens, as the service answers them."""
        answer = httpx.get(
            f"{self.url}/api/auth/legacy-exchange",
            headers={"Authorization": f"Bearer {self.environ['API_KEY']}"},
            params={"preferred_username": user, "scope": f"vo:gm group:{group}", **given},
            timeout=WITHIN,
        )
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert isinstance(found, dict)
        return found

    def write_tokens(self, answer: Mapping[str, Any], path: Path | None = None) -> None:
        """As DiracX's client keeps them."""
        body = {name: answer[name] for name in ("access_token", "refresh_token") if name in answer}
        body["expires_on"] = int(time.time() + answer["expires_in"] - 15)
        place = path or self.tokens
        place.touch(mode=0o600)
        place.write_text(json.dumps(body))

    def ask(self, method: str, path: str, admin: bool = False, **given: Any) -> Any:
        """As the user, or an administrator; not by what is under test here."""
        token = self._admin if admin else json.loads(self.tokens.read_text())["access_token"]
        answer = httpx.request(
            method,
            f"{self.url}/api{path}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=WITHIN,
            **given,
        )
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def jobs(self, count: int) -> list[int]:
        """New jobs, which wait."""
        ids: list[int] = []
        while len(ids) < count:
            few = ['Executable = "/bin/true"; JobName = "test";'] * min(SUBMITTED, count - len(ids))
            ids += [int(job["JobID"]) for job in self.ask("POST", "/jobs/jdl", json=few)]
        return ids

    def status(self, ids: list[int], status: str, minor: str = "", application: str = "") -> None:
        """As told by a pilot."""
        told = {"Status": status, "MinorStatus": minor or "Unknown", "Source": "test"}
        if application:
            told["ApplicationStatus"] = application
        for n in range(0, len(ids), CHANGED):
            now = datetime.now(timezone.utc).isoformat()
            body = {str(job): {now: told} for job in ids[n : n + CHANGED]}
            answer = self.ask("PATCH", "/jobs/status", admin=True, json=body)
            assert not answer["failed"], answer

    def sandbox(self, job: int, files: Mapping[str, str], damaged: bool = False) -> None:
        """Give it an output sandbox; ``damaged``: another one than its checksum says."""
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as tar:
            for name, text in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
        data = zstandard.ZstdCompressor().compress(plain.getvalue())
        digest = hashlib.sha256(data).hexdigest()
        given = {"checksum_algorithm": "sha256", "checksum": digest, "size": len(data)}
        place = self.ask("POST", "/jobs/sandbox", json={**given, "format": "tar.zst"})
        if place.get("url"):  # else it has that one already
            form = {"data": place["fields"], "files": {"file": data[:: -1 if damaged else 1]}}
            sent = httpx.post(place["url"], timeout=WITHIN, **form)
            assert sent.is_success, sent.text
        self.ask("PATCH", f"/jobs/{job}/sandbox/output", json=place["pfn"])

    def rename_status(self, job: int, status: str) -> None:
        """Straight into the database, whatever DiracX thinks of it."""
        self.database("jobdb", "update Jobs set Status=? where JobID=?", status, job)

    def database(self, name: str, statement: str, *given: object) -> None:
        path = self.folder / "db" / f"{name}.db"
        with contextlib.closing(sqlite3.connect(path, timeout=WITHIN)) as found, found:
            found.execute(statement, given)


@contextlib.contextmanager
def running() -> Iterator[DiracX]:
    """A DiracX, installed and run for this."""
    with tempfile.TemporaryDirectory(prefix="gm-diracxenv-") as folder:
        site = DiracX(python_of(Path(folder), SITE / "requirements.txt"))
        try:
            site.start()
            yield site
        finally:
            site.close()
