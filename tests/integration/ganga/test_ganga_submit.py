"""Jobs that run before Ganga's ``submit`` is through with them."""

from __future__ import annotations

from tests.integration.ganga.scripted import SCRIPTED
from tests.integration.ganga.session import Session


def test_running_while_it_is_submitted_stays_running(alone: Session) -> None:
    """``Job.submit`` sets 'submitted' once more when ``master_submit`` has returned, over what was
    shown meanwhile: of a job that was not split, and of a master whose subjobs run."""
    found = alone.run(
        SCRIPTED
        + """
seen = []
def slow(self, rjobs, *_, **__):
    at_once(self, rjobs)
    top = rjobs[0].master or rjobs[0]
    top.updateStatus("submitted")
    numbers = [job.id for job in rjobs] if rjobs[0].master else [-1]
    until(lambda: len(client.known.get(top.id, ())) == len(numbers), 60, "handed over")
    client.say(top.id, [JobUpdate(n, 1, 0, S.RUNNING) for n in numbers])
    until(lambda: top.status == "running", 60, "it runs")
    seen.append(top.id)
    return 1

runMonitoring()
Localhost.master_submit = slow
k = single("echo")
k.submit()
until(lambda: k.status == "running", 60, "it is shown again")
j = Job(application=Executable(exe="/bin/true"), backend=Local())
j.splitter = ArgSplitter(args=[["0"], ["1"]])
j.submit()
until(lambda: j.status == "running", 60, "the master, too")
facts["seen"], facts["states"] = seen, states(j)
client.say(k.id, [JobUpdate(-1, 1, 0, S.COMPLETED)], MasterFinal(1, S.COMPLETED, {"merge": []}))
until(lambda: k.status == "completed", 60, "it ends as ever")
"""
    ).facts
    assert found == {"seen": [0, 1], "states": ["running", "running"]}
