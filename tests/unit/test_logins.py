"""Credentials and logout: what the doctor says of gathered facts, and how it gathers them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pytest

from gangamon import settings
from gangamon.cli import facts
from gangamon.domain.lane import Lane
from gangamon.instance import Instance
from gangamon.protocols import FAIL, OK, WARN, Finding
from gangamon.settings import Settings, hostname
from gangamon.views import logins
from gangamon.views.logins import Caches, Held, Logout

NOW = datetime(2026, 1, 1, 12, 0, 0).astimezone().timestamp()

KLIST = """Ticket cache: FILE:/tmp/krb5cc_1000
Default principal: alice@EXAMPLE.ORG

Valid starting     Expires            Service principal
01/01/26 10:00:00  01/01/26 20:00:00  krbtgt/EXAMPLE.ORG@EXAMPLE.ORG
\trenew until 01/08/26 10:00:00
01/01/26 10:00:05  01/01/26 20:00:00  host/h.example.org@EXAMPLE.ORG
"""

TOKENS = """
Tokens held by the Cache Manager:

User's (AFS ID 1234) tokens for afs@example.org [Expires Jan  2 11:00]
   --End of list--
"""


def levels(found: Iterable[Finding]) -> list[tuple[str, str]]:
    told = list(found)
    assert all(finding.fix for finding in told if finding.level != OK)
    return [(finding.level, finding.text) for finding in told]


@pytest.mark.parametrize(
    ("held", "level", "text"),
    [
        (Held("proxy", "/p", NOW + 86400), OK, "proxy for 24 h 00 min"),
        (Held("proxy", "/p", NOW + 5 * 86400), OK, "proxy for 5 days"),
        (Held("proxy", "/p", NOW + 3600), WARN, "proxy ends in 1 h 00 min"),
        (Held("proxy", "/p", NOW - 600), FAIL, "proxy ended 10 min ago"),
        (Held("proxy", "/p", NOW - 600, needed=False), WARN, "proxy ended 10 min ago"),
        (Held("token", "/t"), OK, "token, which does not say when it ends"),
        (Held("AFS token", "AFS", missing="none"), FAIL, "no AFS token: none"),
        (Held("Kerberos ticket", "x", missing="none", needed=False), WARN,
         "no Kerberos ticket: none"),
    ],
)  # fmt: skip
def test_a_credential(held: Held, level: str, text: str) -> None:
    """Its end, or that it is not there: a failure where jobs stand still without it."""
    assert levels(logins.credentials([held], NOW)) == [(level, text)]


def test_the_end_of_a_ticket() -> None:
    """That of the ticket-granting one, with two figures of the year or four."""
    ends = datetime(2026, 1, 1, 20, 0, 0).astimezone().timestamp()
    assert logins.ticket_ends(KLIST) == ends
    assert logins.ticket_ends(KLIST.replace("/26 ", "/2026 ")) == ends
    assert logins.ticket_ends(KLIST.replace("krbtgt", "host")) is None
    assert logins.ticket_ends("klist: No credentials cache found") is None


def test_the_end_of_an_afs_token() -> None:
    """The year is the next one where the month says so; none is told of one that has expired."""
    assert logins.afs_ends(TOKENS, NOW) == datetime(2026, 1, 2, 11).astimezone().timestamp()
    december = datetime(2025, 12, 31, 12).astimezone().timestamp()
    assert logins.afs_ends(TOKENS, december) == datetime(2026, 1, 2, 11).astimezone().timestamp()
    assert logins.afs_ends(TOKENS.replace("Expires Jan  2 11:00", ">> Expired <<"), NOW) is None


@pytest.mark.parametrize(
    ("caches", "found"),
    [
        (None, []),
        (Caches(""), []),
        (Caches("FILE:/home/a/cc"), [OK]),
        (Caches("/home/a/cc", there=False), [FAIL]),
        (Caches("FILE:/tmp/krb5cc_1000_AbC123"), [WARN]),
        (Caches("FILE:/tmp/krb5cc_1000"), [OK]),
        (Caches("KEYRING:session:1000"), [WARN]),
        (Caches("KCM:1000"), [OK]),
    ],
)
def test_a_ticket_cache_that_ends_with_the_session(caches: Caches | None, found: list[str]) -> None:
    """What the service looks for is gone after logout, or will be."""
    assert [level for level, _ in levels(logins.caches(caches))] == found


KILLS = "[Login]\nKillUserProcesses=yes\n"


@pytest.mark.parametrize(
    ("logind", "lingers", "session", "level"),
    [
        (None, False, True, OK),
        (("[Login]\n#KillUserProcesses=yes\n",), False, True, OK),
        ((KILLS,), False, True, FAIL),
        ((KILLS,), True, True, FAIL),
        ((KILLS,), True, False, OK),
        ((KILLS, "[Login]\nKillUserProcesses=no\n"), False, True, OK),
        (("[Manager]\nKillUserProcesses=yes\n",), False, True, OK),
        ((KILLS + "KillExcludeUsers=root alice\n",), False, True, OK),
        ((KILLS + "KillOnlyUsers=bob\n",), False, True, OK),
        ((KILLS + "KillOnlyUsers=alice\n",), False, True, FAIL),
    ],
)
def test_processes_that_the_site_kills(
    logind: tuple[str, ...] | None, lingers: bool, session: bool, level: str
) -> None:
    """By logind.conf and its drop-ins, the last of which counts."""
    ((found, _),) = levels(logins.logout(Logout("alice", logind, lingers, session)))
    assert found == level


# --- gathered -------------------------------------------------------------------------------


@pytest.fixture
def conf(tmp_path: Path) -> Settings:
    state = tmp_path / "state"
    state.mkdir()
    return settings.load({"GANGAMON_STATE_DIR": str(state), "GANGAMON_CONFIG": os.devnull})


def test_a_real_proxy_of_a_lane(tmp_path: Path) -> None:
    """Read where the lane names it; one that is not there is missing."""
    proxy = tmp_path / "proxy.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=alice", "-keyout", tmp_path / "key", "-out", proxy],
        capture_output=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    gone = str(tmp_path / "gone.pem")
    lanes = [str(Lane("ARC", "ce", credential)) for credential in (str(proxy), gone, "-")]
    found = {h.place: h for h in facts.credentials(lanes, {}, 4_000_000_000, tmp_path) if h.needed}
    assert found.keys() == {str(proxy), gone}
    assert found[gone].missing == "No such file or directory"
    now = datetime.now().astimezone().timestamp()
    assert 86400 < (found[str(proxy)].ends or 0.0) - now <= 2 * 86400 + 60


def test_the_proxy_of_this_shell(tmp_path: Path) -> None:
    """It is not needed by any lane, and named by the environment."""
    path = str(tmp_path / "none")
    found = list(facts.credentials([], {"X509_USER_PROXY": path}, 4_000_000_000, tmp_path))
    assert Held("proxy", path, missing="No such file or directory", needed=False) in found


def running(conf: Settings, pid: int) -> None:
    here = Instance("id", hostname(), pid, "unix:///x", "", str(conf.state_dir), 1.0)
    here.save(conf.instance_file)


def test_the_cache_of_the_running_service(conf: Settings, tmp_path: Path) -> None:
    """As its own environment names it; none is said of a service that does not run here."""
    assert facts.caches(conf, tmp_path / "proc") is None
    (tmp_path / "proc/77").mkdir(parents=True)
    cache = tmp_path / "krb5cc"
    (tmp_path / "proc/77/environ").write_text(f"A=b\0KRB5CCNAME=FILE:{cache}\0")
    running(conf, 77)
    assert facts.caches(conf, tmp_path / "proc") == Caches(f"FILE:{cache}", there=False)
    cache.touch()
    assert facts.caches(conf, tmp_path / "proc") == Caches(f"FILE:{cache}", there=True)


def test_what_logind_is_told(conf: Settings, tmp_path: Path) -> None:
    """Drop-ins come after the file, by name, of one name that in /etc; the scope is that of the
    instance."""
    user = facts.logout(conf, tmp_path).user
    assert facts.logout(conf, tmp_path) == Logout(user, None)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    for name, text in {
        "etc/systemd/logind.conf": "main",
        "usr/lib/systemd/logind.conf.d/z.conf": "vendor",
        "usr/lib/systemd/logind.conf.d/m.conf": "replaced",
        "etc/systemd/logind.conf.d/m.conf": "admin",
        "var/lib/systemd/linger/" + user: "",
        "proc/77/cgroup": "0::/user.slice/user-1000.slice/session-4.scope\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    running(conf, 77)
    assert facts.logout(conf, tmp_path) == Logout(user, ("main", "admin", "vendor"), True, True)
    (tmp_path / "proc/77/cgroup").write_text("0::/user.slice/user@1000.service/app.slice\n")
    assert not facts.logout(conf, tmp_path).session
