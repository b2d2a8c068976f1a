"""What goes wrong in practice, and the fix: of facts that somebody has gathered, without asking.

Each function is pure: facts in, findings out. FAIL: something does not work, or will lose time or
jobs; WARN: somebody should look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gangamon.protocols import FAIL, OK, WARN, Census, Finding, LaneCensus, ProcessRecord
from gangamon.views.text import count, plain, seconds

#: Seconds by which clocks may differ before lags and credentials' ends are told wrong; before TLS
#: and Kerberos (5 min by default, krb5.conf(5) clockskew) refuse.
SKEW, FAR = 2.0, 120.0

#: Seconds for which a lane's query or a stage may be due before it counts as stuck.
STUCK = 120.0


def clocks(here: float, processes: Sequence[ProcessRecord]) -> Iterator[Finding]:
    """``here``: this host's clock less Redis's, seconds; and those of the processes' hosts."""
    hosts = {"this host": here}
    for process in processes:
        host = process.node.partition("@")[2].partition(":")[0]
        hosts[host] = max(hosts.get(host, 0.0), process.skew, key=abs)
    fix = "synchronise both: timedatectl set-ntp true, or ask who administers the host"
    wrong = {host: skew for host, skew in hosts.items() if abs(skew) > SKEW}
    for host, skew in wrong.items():
        text = f"{host} is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} Redis's clock"
        yield Finding("clock", FAIL if abs(skew) > FAR else WARN, text, fix)
    if not wrong:
        yield Finding("clock", OK, f"{count(len(hosts), 'host')} within {SKEW:.0f} s of Redis")


def processes(
    found: Sequence[ProcessRecord], version: str, tick_age: float | None
) -> Iterator[Finding]:
    """Beats and workers that said lately that they run. ``version``: gangamon's, here. While it
    ticks, one that is not heard of has only not spoken yet, or is of a version that does not."""
    silent = WARN if tick_age is not None and tick_age <= STUCK else FAIL
    if not found:
        fix = "gangamon up, or look at the services' logs"
        yield Finding("processes", silent, "no beat and no worker has been heard of", fix)
        return
    kinds = sorted({process.kind for process in found})
    yield Finding("processes", OK, f"{len(found)} run: {', '.join(kinds)}")
    missing = [
        kind for kind in ("beat", "tick") if kind not in {k.partition("-")[0] for k in kinds}
    ]
    for kind in missing:
        text = f"no {kind} has been heard of: without one nothing is taken in, nothing is sent"
        yield Finding("processes", silent, text, "start it, see docs/operate.md")
    versions = _by({p.node: p.version for p in found} | {"this command": version})
    if len(versions) > 1:
        told = "; ".join(f"{v}: {', '.join(nodes)}" for v, nodes in versions.items())
        yield Finding("process versions", WARN, told, "restart those of the older version")
    else:
        yield Finding("process versions", OK, f"all of gangamon {version}")
    yield from _settings(found)


def _settings(found: Sequence[ProcessRecord]) -> Iterator[Finding]:
    names = sorted({name for process in found for name in process.settings})
    agreed = True
    for name in names:
        values = _by({p.node: f"{p.settings[name]:g}" for p in found if name in p.settings})
        if len(values) > 1:
            agreed = False
            told = "; ".join(f"{value}: {', '.join(nodes)}" for value, nodes in values.items())
            fix = "give all the same configuration and restart them"
            level = FAIL if name == "visibility_timeout" else WARN
            yield Finding("process settings", level, f"{name} differs: {told}", fix)
    if agreed:
        yield Finding("process settings", OK, "the same in all processes")
    for process in found:
        lease, visible = (process.settings.get(n) for n in ("lease_seconds", "visibility_timeout"))
        if lease is not None and visible is not None and visible <= lease:
            text = (
                f"{process.node}: visibility_timeout {visible:g} s is not above "
                f"lease_seconds {lease:g} s: messages come twice before they are late"
            )
            fix = "lower workers.lease_seconds: a dead host's work is taken up after it"
            yield Finding("visibility time-out", FAIL, text, fix)


def _by(values: Mapping[str, str]) -> dict[str, list[str]]:
    """Value -> the nodes that have it."""
    found: dict[str, list[str]] = {}
    for node, value in values.items():
        found.setdefault(value, []).append(node)
    return found


def work(census: Census) -> Iterator[Finding]:
    """Lanes and stages that are stuck, and what was set aside."""
    ill = [finding for name, lane in census.lanes.items() for finding in _lane(name, lane, census)]
    yield from ill
    if not ill and census.lanes:
        yield Finding("lanes", OK, f"{count(len(census.lanes), 'lane')} asked in time")
    for (stage, owner), queue in census.stages.items():
        if queue.overdue > STUCK:
            pool = "transfer" if stage == "fetch" else "merge"
            text = (
                f"{stage} of {plain(owner)}: {queue.waiting} wait, the oldest for "
                f"{seconds(queue.overdue)}"
            )
            fix = f"does {owner}'s {pool} worker run? its log says what it does"
            yield Finding("stages", FAIL if not queue.claims else WARN, text, fix)
    if census.dead:
        text = f"{count(census.dead, 'dead letter')}"
        yield Finding("dead letters", WARN, text, "gangamon dead list, gangamon dead retry")
    for owner, waiting in census.inboxes.items():
        if waiting and (census.tick_age is None or census.tick_age > STUCK):
            text = f"{plain(owner)}: {count(waiting, 'command')} not taken in"
            yield Finding("inbox", FAIL, text, "nothing ticks: see above")


def _lane(name: str, lane: LaneCensus, census: Census) -> Iterator[Finding]:
    record, waiting = lane.record, lane.queue.waiting
    if not waiting and not lane.queue.claims:
        return
    if record.paused and record.probe_at is not None:
        text = f"{name} is not asked: {plain(record.paused)}"
        yield Finding("lanes", FAIL, text, "renew it where the workers run; the lane goes on alone")
    elif record.paused:
        text = f"{name} is paused: {plain(record.paused)}"
        yield Finding("lanes", WARN, text, f"gangamon resume '{name}'")
    elif record.open_until is not None:
        text = (
            f"{name} does not answer ({count(record.failures, 'failure')}): {plain(record.error)}"
        )
        yield Finding("lanes", FAIL, text, f"gangamon doctor backend {name.partition('|')[0]}")
    elif lane.queue.overdue > max(STUCK, 3 * (record.interval or 0.0)):
        queue = f"poll.{name.partition('|')[0]}"
        messages = census.messages.get(queue, 0)
        text = f"{name}: a query has been due for {seconds(lane.queue.overdue)}"
        if messages:
            fix = f"{count(messages, 'message')} wait in {queue}: no worker serves it, or all hang"
        else:
            fix = "is its plugin installed where the tick runs? see worker-tick's log"
        yield Finding("lanes", FAIL, text, fix)
