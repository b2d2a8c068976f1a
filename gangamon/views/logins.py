"""Credentials near their end, or gone after logout; processes that the site kills at logout.

Pure, of gathered facts; sources: krb5 (``klist`` of MIT krb5 1.20), OpenAFS (``tokens``),
logind.conf(5) and loginctl(1) of systemd 252.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from gangamon.protocols import FAIL, OK, WARN, Finding

#: Seconds before its end from which a credential should be renewed.
SOON = 2 * 3600.0


@dataclass(frozen=True)
class Held:
    """A credential that is looked for. ``kind``: proxy, token, Kerberos ticket, AFS token.
    ``place``: where. ``ends``: seconds since the epoch, None: not known. ``missing``: why there is
    none, '' if there is. ``needed``: jobs stand still without it."""

    kind: str
    place: str
    ends: float | None = None
    missing: str = ""
    needed: bool = True


@dataclass(frozen=True)
class Logout:
    """What this host does at logout. ``user``: by name. ``logind``: the texts of logind.conf and of
    its drop-ins, in the order in which they count; None: no systemd. ``lingers``: the user's
    processes may stay. ``session``: the processes of gangamon lie in a login session's scope."""

    user: str
    logind: tuple[str, ...] | None
    lingers: bool = False
    session: bool = True


@dataclass(frozen=True)
class Caches:
    """Where the running service looks for Kerberos tickets: ``name`` is its KRB5CCNAME ('' if it
    has none), ``there`` whether that file is."""

    name: str
    there: bool = True


#: How each kind is renewed.
RENEW: Mapping[str, str] = {
    "proxy": "voms-proxy-init, or arcproxy, or dirac-proxy-init, to the same file",
    "token": "fetch a new token into the same file, as with oidc-agent or htgettoken",
    "Kerberos ticket": "kinit; for long jobs a renewable ticket, or a keytab with k5start",
    "AFS token": "kinit and aklog, in the session that the workers run in; or k5start -t",
}


def credentials(held: Iterable[Held], now: float) -> Iterator[Finding]:
    """``now``: seconds since the epoch, this host's clock."""
    for one in held:
        name, fix = f"credential {one.place}", RENEW[one.kind]
        if one.missing:
            level = FAIL if one.needed else WARN
            yield Finding(name, level, f"no {one.kind}: {one.missing}", fix)
        elif one.ends is None:
            yield Finding(name, OK, f"{one.kind}, which does not say when it ends")
        elif one.ends <= now:
            level = FAIL if one.needed else WARN
            yield Finding(name, level, f"{one.kind} ended {_span(now - one.ends)} ago", fix)
        elif one.ends - now < SOON:
            yield Finding(name, WARN, f"{one.kind} ends in {_span(one.ends - now)}", fix)
        else:
            yield Finding(name, OK, f"{one.kind} for {_span(one.ends - now)}")


def caches(service: Caches | None) -> Iterator[Finding]:
    """Of a service that runs; None: none does, or its environment cannot be read."""
    if service is None or not service.name:
        return
    kind, mark, path = service.name.rpartition(":")
    fix = (
        "start gangamon with KRB5CCNAME=FILE:$HOME/.krb5cc_gangamon and renew there (k5start), "
        "then gangamon down and gangamon up"
    )
    if mark and kind.startswith("KEYRING:session"):
        text = f"{service.name}: this cache ends with the login session that started gangamon"
        yield Finding("kerberos cache", WARN, text, fix)
    elif not service.there:
        text = f"{service.name}: the service's ticket cache is gone, as after a logout"
        yield Finding("kerberos cache", FAIL, text, fix)
    elif re.search(r"/krb5cc_\d+_\w+$", path):
        text = f"{service.name}: sshd and PAM remove such a cache at logout"
        yield Finding("kerberos cache", WARN, text, fix)
    else:
        yield Finding("kerberos cache", OK, service.name)


def logout(host: Logout) -> Iterator[Finding]:
    """Whether what runs here survives it."""
    if host.logind is None:
        yield Finding("logout", OK, "no systemd-logind: nothing is known to end processes")
        return
    options = _options(host.logind)
    kills = options.get("KillUserProcesses", "no").lower() in ("yes", "true", "on", "1")
    excluded = options.get("KillExcludeUsers", "root").split()
    only = options.get("KillOnlyUsers", "").split()
    if not kills or host.user in excluded or (only and host.user not in only):
        yield Finding("logout", OK, "processes stay after logout (KillUserProcesses)")
    elif host.lingers and not host.session:
        yield Finding("logout", OK, "KillUserProcesses is on; yours run outside of the session")
    elif host.lingers:
        fix = "start it outside of the session: systemd-run --user --scope gangamon up, or the unit"
        text = "KillUserProcesses is on: what was started in a session ends with it"
        yield Finding("logout", FAIL, text, fix)
    else:
        fix = f"loginctl enable-linger {host.user}, then systemd-run --user --scope gangamon up"
        text = "this host ends all of a user's processes at logout (KillUserProcesses=yes)"
        yield Finding("logout", FAIL, text, fix)


def _options(texts: tuple[str, ...]) -> dict[str, str]:
    """Of the section [Login]; later ones count."""
    found: dict[str, str] = {}
    for text in texts:
        section = ""
        for line in text.splitlines():
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Login]" and "=" in line and not line.startswith(("#", ";")):
                name, _, value = line.partition("=")
                found[name.strip()] = value.strip()
    return found


def ticket_ends(klist: str) -> float | None:
    """Of the ticket-granting ticket in what MIT's ``klist`` prints with LC_ALL=C, local time::

        Valid starting     Expires            Service principal
        01/01/26 10:00:00  01/01/26 20:00:00  krbtgt/EXAMPLE.ORG@EXAMPLE.ORG

    None: there is none."""
    for line in klist.splitlines():
        parts = line.split()
        if len(parts) >= 5 and parts[4].startswith("krbtgt/"):
            for form in ("%m/%d/%y %H:%M:%S", "%m/%d/%Y %H:%M:%S"):
                try:
                    return datetime.strptime(" ".join(parts[2:4]), form).astimezone().timestamp()
                except ValueError:
                    continue
    return None


def afs_ends(tokens: str, now: float) -> float | None:
    """Of the first token in what OpenAFS's ``tokens`` prints, which leaves the year out::

        User's (AFS ID 1234) tokens for afs@example.org [Expires Jan  2 11:00]

    None: there is none that has not expired (``[>> Expired <<]``)."""
    for match in re.finditer(r"\[Expires (\w{3})\s+(\d+) (\d+):(\d+)\]", tokens):
        year = datetime.fromtimestamp(now).astimezone().year
        for guess in (year, year + 1):
            text = f"{match[1]} {match[2]} {match[3]}:{match[4]} {guess}"
            try:
                ends = datetime.strptime(text, "%b %d %H:%M %Y").astimezone().timestamp()
            except ValueError:
                continue
            if ends > now - 86400.0:
                return ends
    return None


def _span(span: float) -> str:
    hours, minutes = divmod(int(span) // 60, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
