"""Attributes that change while a job does not move."""

from __future__ import annotations

from tests.integration.ganga.scripted import COUNTED, SCRIPTED
from tests.integration.ganga.session import Session

NOTED = """
def note(sub, attempt=1, **attributes):
    client.note(j.id, [JobUpdate(sub, attempt, 0, S.RUNNING, attributes)])

def place(sub):
    return subjob(sub).backend.actualCE

def subjob(sub):
    return stripProxy(stripProxy(stripProxy(j).subjobs)[sub])
"""


def test_what_changes_between_two_transitions_is_shown(alone: Session) -> None:
    """What is told of another attempt, or of a job that has ended, is not shown."""
    first = alone.run(f"""{SCRIPTED}{NOTED}
j = submitted(4)
followed(j)
say(j, S.RUNNING, range(4))
until(lambda: states(j) == ["running"] * 4, 60, "they run")
note(0, actualCE="a")
until(lambda: place(0) == "a", 60, "it is shown")
say(j, S.COMPLETED, [3])
until(lambda: states(j)[3] == "completed", 60, "one ends")
note(1, attempt=2, actualCE="b")
note(3, actualCE="b")
note(0, actualCE="b", no_such_thing=1)
until(lambda: place(0) == "b", 60, "the last is shown")
facts["places"] = [place(sub) or "" for sub in range(4)]
facts["states"] = states(j)
""")
    assert first.facts == {
        "places": ["b", "", "", ""],
        "states": ["running"] * 3 + ["completed"],
    }


def test_what_is_told_of_a_subjob_that_is_not_in_memory(alone: Session) -> None:
    """It does not load it, and is there when somebody does; older than what an end brings."""
    alone.run(f"{SCRIPTED}{NOTED}j = submitted(3)\nsay(j, S.RUNNING, range(3))")
    found = alone.run(f"""{SCRIPTED}{COUNTED}{NOTED}
j = jobs(0)
raw = stripProxy(j)
raw._loadObject()
for sub, attributes in ((1, dict(actualCE="c")), (1, dict(exitcode=5)), (2, dict(actualCE="c"))):
    backlog.note(raw, JobUpdate(sub, 1, 0, S.RUNNING, attributes))
backlog.put(raw, JobUpdate(2, 1, 0, S.RUNNING, dict(actualCE="e")))
backlog.note(raw, JobUpdate(2, 1, 0, S.RUNNING, dict(exitcode=7)))
facts["loaded for it"] = loads[0]
for sub in (1, 2):
    facts[str(sub)] = [place(sub), subjob(sub).backend.exitcode]
facts["loaded"] = loads[0]
""")
    assert found.facts == {
        "loaded for it": 0,
        "1": ["c", 5],
        "2": ["e", 7],
        "loaded": 2,
    }
