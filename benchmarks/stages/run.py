"""``python -m benchmarks stages``: kill -9 in fetch, check, merge and notify, over 1,000 jobs.

Real workers and local jobs, with a merger that grows, a checker and a notifier. A stage kills its
process at a random moment (``deadly``); what ends is started again, as `gangamon up` does. At the
end: each job and master has ended once and right, each merged file is there once and whole, with
nothing half done beside it, and each end was told, at least once, by the same id. Meanwhile nobody
ever sees a merged file that is not whole.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.support import Verdict, parser
from gangamon.client import Client
from gangamon.domain.command import CheckerSpec, NotifierSpec, Register
from tests.support.commands import REPOSITORY
from tests.support.invariants import Watch, check_end
from tests.support.local_jobs import DATA, LocalMaster, close_all
from tests.support.smtp import Mailbox, mailbox
from tests.support.worker import OWNER, WORKERS, Service

JOBS, MASTERS, DEATHS = 1000, 10, 6
QUICK = 200, 4, 2

#: What dies. While it grows, a merge is at work as often as it happens to be.
NAMES = ("fetch", "check", "merge", "notify", "grow")

#: Seconds over which the jobs of a master begin; until all is over, on a slow machine.
SPREAD, WITHIN = 10.0, 600.0


def main(argv: list[str]) -> int:
    options = parser("stages")
    given = options.parse_args(argv)
    verdict = Verdict()
    sizes = QUICK if given.quick else (JOBS, MASTERS, DEATHS)
    with tempfile.TemporaryDirectory(prefix="gm-bench-") as folder:
        stages(Path(folder), *sizes, verdict)
    return verdict.end(given.json)


def stages(folder: Path, jobs: int, masters: int, deaths: int, verdict: Verdict) -> None:
    """``deaths``: of each stage. AssertionError names what was broken."""
    place = folder / "deaths"
    place.mkdir()
    for name in NAMES:
        for number in range(deaths):
            (place / f"{name}-{number}").touch()
    # Spread over the run, and so many that there are as many as planned.
    more = {"GM_DEATHS": str(place), "GM_SHARE": str((15 + 4 * deaths) / jobs)}
    with mailbox() as box:
        service = Service(folder, app="benchmarks.stages.deadly", more=more)
        made = [LocalMaster(service.data, n + 1, jobs // masters) for n in range(masters)]
        began = time.monotonic()
        try:
            service.redis.start()
            service.start(*WORKERS, "beat")
            service.supervise()
            watch = Watch(service.client(), REPOSITORY)
            for master in made:
                master.run(spread=SPREAD, length=0.2)
                _submit(master, watch.client, box.server)
            watch.until(lambda: _over(watch, made), WITHIN, "all masters end")
            took = time.monotonic() - began
            for master in made:
                check_end(watch, service.store(), OWNER, master)
        finally:
            close_all(made)
            service.close()
        twice = _told(box, made)
    left = Counter(path.name.partition("-")[0] for path in place.iterdir())
    for name in NAMES:
        least = 0 if name == "grow" else deaths
        verdict.at_least(f"kill -9 in {name}", deaths - left[name], least, "times")
    verdict.note(f"{jobs:,} jobs of {masters} masters: all well after", took, "s")
    verdict.note("mails that came again, by their Message-ID", twice, "")


def _submit(master: LocalMaster, client: Client, server: str) -> None:
    checker = CheckerSpec("FileChecker", (DATA,), ("no job writes this",))
    mail = NotifierSpec("Notifier", {"address": "me@example.org", "verbose": True, "smtp": server})
    client.submit(Register(Client.new_id(), REPOSITORY, (str(master.folder),)))
    for command in master.commands(REPOSITORY):
        client.submit(replace(command, checkers=(checker,), notifiers=(mail,)))


def _over(watch: Watch, masters: Sequence[LocalMaster]) -> bool:
    """Whether all have ended. What is seen of their merges is whole."""
    for master in masters:
        path = master.workspace / "output" / DATA
        if path.exists():
            text = path.read_text()
            assert text.endswith("\n# Ganga Merge Ended Successfully #\n"), f"{path}: cut"
            assert text.count("\njob ") == master.jobs, f"{path}: not whole"
    return all(watch.finals(master.id) for master in masters)


def _told(box: Mailbox, masters: Sequence[LocalMaster]) -> int:
    """Mails that came more than once."""
    ids: dict[str, set[str]] = {}
    for message in list(box.mail):
        subject = " ".join(str(message["Subject"]).split())
        ids.setdefault(subject, set()).add(str(message["Message-ID"]))
    several = {subject: found for subject, found in ids.items() if len(found) > 1}
    assert not several, f"ends that were told by several ids: {several}"
    wanted = sum(master.jobs + 1 for master in masters)
    assert len(ids) == wanted, f"{len(ids)} ends were told of {wanted}"
    return len(box.mail) - wanted
