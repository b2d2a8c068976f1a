"""Attributes that change while a job does not move."""

from __future__ import annotations

from tests.integration.ganga.scripted import COUNTED, SCRIPTED
from tests.integration.ganga.session import Session

NOTED = """
def note(sub, attempt=1, **attributes):
    client.note(j.id, [JobUpdate(sub, attempt, 0, S.RUNNING, attributes)])

def place(sub):
    return j.subjobs(sub).backend.actualCE
"""


def test_what_changes_between_two_transitions_is_shown(alone: Session) -> None:
    """In a job that is in memory at once; in one that is not when it is loaded, for which it is no
    reason. What is told of another attempt, or of a job that has ended, is not shown."""
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
    second = alone.run(f"""{SCRIPTED}{COUNTED}{NOTED}
j = jobs(0)
followed(j)
facts["kept"] = place(0)
before = loads[0]
note(1, actualCE="c")
note(1, exitcode=5)
note(0, actualCE="d")
until(lambda: place(0) == "d", 60, "all were taken")
facts["loaded for it"] = loads[0] - before
facts["later"] = [place(1), j.subjobs(1).backend.exitcode, j.subjobs(1).status]
facts["loaded"] = loads[0] - before
""")
    assert second.facts == {
        "kept": "b",
        "loaded for it": 0,
        "later": ["c", 5, "running"],
        "loaded": 1,
    }
