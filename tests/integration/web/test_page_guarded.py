"""Who may see the page, and what it does to what others have named: over HTTP, on a real Redis."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest

from gangamon.domain.observation import Seen
from gangamon.domain.status import JobStatus
from gangamon.errors import BadInput
from gangamon.web import auth
from gangamon.web.auth import Gate, Refused, check_address, read_password
from tests.support.commands import REPOSITORY
from tests.support.page import LANE, Answer, Page, World, ask_at
from tests.support.waiting import until

PASSWORD = "correct horse battery"
NAME = "</script><script>alert(1)</script>\x1b[31m\u202e"
JOB = f"/jobs/{REPOSITORY}/7"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    made.master(7, 3, NAME)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def locked(world: World) -> Iterator[Page]:
    """A page with a password."""
    made = Page(world, PASSWORD)
    yield made
    made.close()


@pytest.fixture(scope="module")
def free(world: World) -> Iterator[Page]:
    """A page without one, on loopback."""
    made = Page(world)
    yield made
    made.close()


def ask(page: Page, path: str, method: str = "GET", body: str = "", **headers: str) -> Answer:
    return ask_at(page.url, path, method, body, **headers)


def log_in(page: Page, password: str = PASSWORD, **headers: str) -> Answer:
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    body = urlencode({"password": password, "to": JOB})
    return ask(page, "/login", "POST", body, **form, **headers)


def session(page: Page) -> tuple[str, str]:
    """The cookie and the token of a viewer who has logged in."""
    cookie = log_in(page).headers["Set-Cookie"].partition(";")[0]
    return cookie, token_of(ask(page, "/", Cookie=cookie))


def token_of(answer: Answer) -> str:
    found = re.search(r'<meta name="token" content="([^"]+)">', answer.body)
    assert found, answer.body
    return found[1]


def pause(page: Page, **headers: str) -> Answer:
    body = json.dumps({"lane": str(LANE), "reason": "a test"})
    return ask(
        page, "/api/v1/lanes/pause", "POST", body, Content_Type="application/json", **headers
    )


def paused(world: World) -> bool:
    return bool(world.store.lane(str(LANE)).paused)


API = [
    "overview", "jobs", f"jobs/{REPOSITORY}/7", f"jobs/{REPOSITORY}/7/subjobs",
    f"jobs/{REPOSITORY}/7/subjobs/1", f"jobs/{REPOSITORY}/7/causes", f"jobs/{REPOSITORY}/7/sites",
    "sites", "lanes", "queues", "dead", "trends", "events", "openapi.json",
]  # fmt: skip


@pytest.mark.parametrize("path", API)
def test_the_api_wants_a_login(locked: Page, path: str) -> None:
    """Every address of it; nothing of the store is said."""
    answer = ask(locked, f"/api/v1/{path}")
    assert (answer.status, answer.json()) == (401, {"error": "log in first"})


def test_every_address_of_the_api_is_tested(locked: Page) -> None:
    """The list above is that of the OpenAPI document, with those that change something."""
    document = ask(locked, "/api/v1/openapi.json", Authorization=f"Bearer {PASSWORD}").json()
    named = {"repository": REPOSITORY, "number": "7", "sub": "1"}
    reads = {p[8:].format(**named) for p, verbs in document["paths"].items() if "get" in verbs}
    assert reads == set(API) - {"openapi.json"}
    writes = {p[8:].format(**named) for p, verbs in document["paths"].items() if "post" in verbs}
    assert writes == {f"jobs/{REPOSITORY}/7/refresh", "lanes/pause", "lanes/resume", "dead/retry"}
    for path in writes:
        assert ask(locked, f"/api/v1/{path}", "POST", "{}").status == 401
    described = [
        verb["description"] for verbs in document["paths"].values() for verb in verbs.values()
    ]
    assert all(described)


def test_metrics_want_a_login(locked: Page) -> None:
    """The password in a header, as Prometheus sends it; who has none is led to no form."""
    for wrong in ({}, {"Authorization": "Bearer nothing"}):
        answer = ask(locked, "/metrics", **wrong)
        assert (answer.status, answer.json()) == (401, {"error": "log in first"})
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    answer = ask(locked, "/metrics", Authorization=f"Bearer {PASSWORD}")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert "\ngangamon_up 1.0\n" in answer.body


@pytest.mark.parametrize("path", ["/", JOB, "/lanes", "/queues", "/sites", "/trends"])
def test_a_page_leads_to_the_login(locked: Page, path: str) -> None:
    """And back again; nothing of the store is said."""
    answer = ask(locked, path)
    assert (answer.status, answer.body) == (303, "")
    assert answer.headers["Location"] == "/login?" + urlencode({"to": path})


def test_what_needs_no_login_says_nothing(locked: Page) -> None:
    """Health for whoever keeps the process alive, the form, and files that are the same for all."""
    assert ask(locked, "/healthz").body == "ok\n"
    for path in ("/login", "/static/page.css", "/static/service.js"):
        answer = ask(locked, path)
        assert answer.status == 200
        assert "alice" not in answer.body
    assert ask(locked, "/static/../app.py").status == 404
    assert ask(locked, "/docs").status == 404


def test_logging_in_and_out(locked: Page) -> None:
    """The cookie is not for scripts, nor for other sites; after the end it is worth nothing."""
    answer = log_in(locked)
    assert (answer.status, answer.headers["Location"]) == (303, JOB)
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    assert "Secure" not in cookie
    name = cookie.partition(";")[0]
    assert ask(locked, JOB, Cookie=name).status == 200
    assert ask(locked, "/api/v1/jobs", Cookie=name).json()["total"] == 1
    assert ask(locked, "/logout", "POST", Cookie=name).status == 303
    assert ask(locked, "/api/v1/jobs", Cookie=name).status == 401


def test_a_wrong_password(locked: Page) -> None:
    """It is said in the form, and no session begins."""
    answer = log_in(locked, "correct horse")
    assert answer.status == 401
    assert "That is not the password." in answer.body
    assert "Set-Cookie" not in answer.headers
    assert ask(locked, "/api/v1/jobs", Authorization="Bearer no").status == 401


@pytest.mark.parametrize("to", ["//evil.example.org", "https://evil.example.org", "/\\evil", "x"])
def test_a_login_leads_to_no_other_site(locked: Page, to: str) -> None:
    """Whatever the link said."""
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    answer = ask(locked, "/login", "POST", urlencode({"password": PASSWORD, "to": to}), **form)
    assert (answer.status, answer.headers["Location"]) == (303, "/")


FORGED: dict[str, tuple[Mapping[str, str], int]] = {
    "no token": ({}, 403),
    "wrong token": ({"X_CSRF_Token": "x" * 43}, 403),
    "another origin": ({"X_CSRF_Token": "its own", "Origin": "https://evil.example.org"}, 403),
    "null origin": ({"X_CSRF_Token": "its own", "Origin": "null"}, 403),
    "another port": ({"X_CSRF_Token": "its own", "Origin": "http://127.0.0.1:1"}, 403),
    "cross-site": ({"X_CSRF_Token": "its own", "Sec_Fetch_Site": "cross-site"}, 403),
    "same-site": ({"X_CSRF_Token": "its own", "Sec_Fetch_Site": "same-site"}, 403),
}


@pytest.mark.parametrize("how", sorted(FORGED))
@pytest.mark.parametrize("kind", ["locked", "free"])
def test_a_forged_change_is_refused(
    request: pytest.FixtureRequest, world: World, kind: str, how: str
) -> None:
    """With the cookie of a viewer, and on a page that needs none; the lane is asked as before."""
    page: Page = request.getfixturevalue(kind)
    cookie, token = session(page) if kind == "locked" else ("", token_of(ask(page, "/")))
    given, status = FORGED[how]
    headers = {name: token if value == "its own" else value for name, value in given.items()}
    answer = pause(page, Cookie=cookie, **headers)
    assert answer.status == status, answer.body
    assert not paused(world)


def test_a_change_that_the_page_asks_for(locked: Page, world: World) -> None:
    """It goes as a command to the service, which does it."""
    cookie, token = session(locked)
    own = {"Cookie": cookie, "X_CSRF_Token": token, "Origin": locked.url}
    answer = pause(locked, **own)
    assert answer.json() == {"done": True, "text": f"paused: {LANE}"}
    assert paused(world)
    body = json.dumps({"lane": str(LANE)})
    resumed = ask(
        locked, "/api/v1/lanes/resume", "POST", body, Content_Type="application/json", **own
    )
    assert resumed.status == 200
    assert not paused(world)


def test_a_program_uses_the_password(locked: Page, world: World) -> None:
    """In a header that no browser sends by itself; without a cookie it needs no token."""
    key = {"Authorization": f"Bearer {PASSWORD}"}
    assert ask(locked, "/api/v1/overview", **key).json()["owner"] == "alice"
    answer = ask(locked, f"/api/v1{JOB}/refresh", "POST", "{}", **key)
    assert answer.json()["done"] is True


@pytest.mark.parametrize(
    "host", ["evil.example.org", "evil.example.org:80", "127.0.0.1.evil.org", ""]
)
def test_another_name_for_loopback_is_refused(free: Page, host: str) -> None:
    """A page of another site whose name was made to point here is not answered."""
    answer = ask(free, "/api/v1/jobs", Host=host)
    assert answer.status == 400
    assert "test" not in answer.body


def test_loopback_by_its_names(free: Page) -> None:
    """With any port: it may be reached through a tunnel."""
    for host in ("127.0.0.1:8080", "localhost", "LOCALHOST:9", "[::1]:5"):
        assert ask(free, "/api/v1/jobs", Host=host).status == 200


def test_what_a_browser_is_told(free: Page) -> None:
    """No script but our files, no frame, no guess at types, nothing kept."""
    for path in ("/", "/api/v1/jobs", "/nowhere", "/static/dom.js"):
        headers = ask(free, path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(free, "/").headers["Cache-Control"] == "no-store"


def test_a_hostile_name_is_data(free: Page, world: World) -> None:
    """In the page it ends no element; in the API it is as it was given, in json."""
    world.finish(
        7, {0: Seen("<tt>", JobStatus.FAILED, "s", site="<i>", reason="<script>x</script>\x1b[2J")}
    )
    for path in ("/", JOB):
        body = ask(free, path).body
        assert "<script>alert" not in body and "<script>x" not in body and "<tt>" not in body
        assert "\x1b" not in body and "\u202e" not in body
    assert ask(free, "/api/v1/jobs").json()["rows"][0]["name"] == NAME


BAD = [
    f"/api/v1/jobs/{REPOSITORY}/7/subjobs?status=gone",
    f"/api/v1/jobs/{REPOSITORY}/7/subjobs?size=100000",
    f"/api/v1/jobs/{REPOSITORY}/7/subjobs?first=-1",
    f"/api/v1/jobs/{REPOSITORY}/x",
    "/api/v1/jobs/..%2f..%2fetc/7",
    "/api/v1/jobs?repository=*",
]


@pytest.mark.parametrize("path", BAD)
def test_bad_questions(free: Page, path: str) -> None:
    """One line that says what is wrong; none reaches the store."""
    answer = ask(free, path)
    assert answer.status in (404, 422)
    assert answer.json()["error"]


def test_what_is_not_there(free: Page) -> None:
    """A job, a subjob, a lane, a letter."""
    assert ask(free, f"/api/v1/jobs/{REPOSITORY}/8").status == 404
    assert ask(free, f"/jobs/{REPOSITORY}/8").status == 404
    assert ask(free, f"/api/v1/jobs/{REPOSITORY}/7/subjobs/99").status == 404
    token = token_of(ask(free, "/"))
    for path, body in (
        ("lanes/pause", {"lane": "Slurm|other|-"}),
        ("dead/retry", {"names": ["x"]}),
    ):
        answer = ask(
            free, f"/api/v1/{path}", "POST", json.dumps(body), X_CSRF_Token=token,
            Content_Type="application/json",
        )  # fmt: skip
        assert (answer.status, "accepted" in answer.json()["error"]) == (422, True)


def test_a_store_that_is_away(tmp_path: Path) -> None:
    """The page says so, and is there again when the store is."""
    other = World(tmp_path)
    other.master(7, 1)
    page = Page(other)
    try:
        assert ask(page, "/healthz").status == 200
        until(lambda: ask(page, "/api/v1/jobs").json()["total"] == 1, 120, "the job is shown")
        other.close_service()
        other.redis.kill()
        assert ask(page, "/healthz").status == 503
        assert ask(page, "/api/v1/lanes").status == 503
        assert "cannot be asked" in ask(page, JOB).body
        other.redis.start()
        until(lambda: ask(page, JOB).status == 200, 120, "the page is there again")
    finally:
        page.close()
        other.close()


# --- without a server ---------------------------------------------------------------------------


def test_others_need_a_password() -> None:
    """An address that is not loopback's is refused without one; the line says what is accepted."""
    for address in ("0.0.0.0", "::", "", "192.0.2.7"):
        with pytest.raises(BadInput, match=r"web.address: got .* accepted: 127.0.0.1"):
            check_address(address, "")
        check_address(address, PASSWORD)
    check_address("127.0.0.1", "")


def test_the_command_refuses_to_listen_to_others(tmp_path: Path) -> None:
    """Exit code 2, one line."""
    done = subprocess.run(
        [sys.executable, "-m", "gangamon", "web", "--host", "0.0.0.0"],
        env={"GANGAMON_STATE_DIR": str(tmp_path), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("gangamon: web.address: got '0.0.0.0' without a password")


def test_a_password_file(tmp_path: Path) -> None:
    """Nobody else may read it, and it is long enough."""
    file = tmp_path / "password"
    with pytest.raises(BadInput, match="cannot be read"):
        read_password(file)
    file.write_text(f"{PASSWORD}\nnot this line\n")
    file.chmod(0o644)
    with pytest.raises(BadInput, match="has mode 0644; accepted: 0600"):
        read_password(file)
    file.chmod(0o640)
    assert read_password(file) == PASSWORD
    file.write_text("short\n")
    with pytest.raises(BadInput, match="too short"):
        read_password(file)


def test_who_guesses_is_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After five wrong passwords in a minute even the right one is refused; others are not."""
    clock = [1000.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: clock[0])
    gate = Gate(PASSWORD)
    for _ in range(auth.TRIES):
        assert gate.enter("guess", "192.0.2.1") is None
    with pytest.raises(Refused) as refused:
        gate.enter(PASSWORD, "192.0.2.1")
    assert (refused.value.status, refused.value.wait) == (429, 61)
    with pytest.raises(Refused):
        gate.session(None, f"Bearer {PASSWORD}", "192.0.2.1")
    assert gate.enter(PASSWORD, "192.0.2.2")
    clock[0] += auth.WINDOW
    assert gate.enter(PASSWORD, "192.0.2.1")


def test_guesses_from_many_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """All together are held up, too; sessions that have begun go on."""
    monkeypatch.setattr(auth.time, "monotonic", lambda: 1000.0)
    gate = Gate(PASSWORD)
    cookie = gate.enter(PASSWORD, "192.0.2.9")
    for n in range(auth.TRIES_OF_ALL):
        assert gate.enter("guess", f"198.51.100.{n}") is None
    with pytest.raises(Refused):
        gate.enter(PASSWORD, "192.0.2.2")
    assert gate.session(cookie, None, "192.0.2.9")


def test_a_session_ends_when_it_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """After half a day without a request."""
    clock = [0.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: clock[0])
    gate = Gate(PASSWORD)
    cookie = gate.enter(PASSWORD, "")
    clock[0] += auth.IDLE
    assert gate.session(cookie, None, "")
    clock[0] += auth.IDLE + 1
    assert gate.session(cookie, None, "") is None
