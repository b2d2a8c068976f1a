"""What DIRAC's states mean, against Ganga's own table and DIRAC's own list."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

from gangamon.backends.dirac import states
from gangamon.domain.status import FINAL, JobStatus

#: JOB_STATES of DIRAC 9.1.22 (DIRACCommon/WorkloadManagementSystem/Client/JobStatus.py).
DIRACS = (
    *("Submitting", "Received", "Checking", "Scouting", "Staging", "Waiting", "Matched"),
    *("Rescheduled", "Running", "Stalled", "Completing", "Done", "Completed", "Failed"),
    *("Deleted", "Killed"),
)


def gangas() -> dict[str, str]:
    """``[DIRAC] statusmapping`` as the installed Ganga has it. Read, not imported: GangaDirac's
    import wants a running Ganga."""
    spec = importlib.util.find_spec("ganga")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse((Path(spec.origin).parent / "GangaDirac/__init__.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and name.value == "statusmapping":
                found = ast.literal_eval(node.args[1])
                assert isinstance(found, dict)
                return found
    raise AssertionError("Ganga has no statusmapping any more")


def test_every_state_of_dirac_has_a_meaning_and_no_other() -> None:
    assert set(states.STATES) == set(DIRACS)


def test_a_state_means_what_ganga_says() -> None:
    table = gangas()
    assert table
    assert {state: str(states.meaning(state)) for state in table} == table


@pytest.mark.parametrize("state", sorted(set(DIRACS) - set(gangas())))
def test_what_ganga_calls_failed_for_want_of_an_entry_waits(state: str) -> None:
    assert states.meaning(state) is JobStatus.SUBMITTED


@pytest.mark.parametrize("state", ["", "done", "DONE", "Done ", "Unknown", "Finished"])
def test_an_unknown_state_means_nothing(state: str) -> None:
    assert states.meaning(state) is None
    assert states.meaning(state, states.UPLOADING) is None


@pytest.mark.parametrize("state", DIRACS)
def test_uploading_counts_unless_the_job_has_ended(state: str) -> None:
    alone = states.STATES[state]
    expected = alone if alone in FINAL else JobStatus.RUNNING
    assert states.meaning(state, states.UPLOADING) is expected
    assert states.meaning(state, "Application") is alone


@pytest.mark.parametrize(
    ("application", "code"),
    [
        ("'script' Exited With Status 3", 3),
        ("'x' Exited With Status -9 ", -9),
        ("Exited With Status 3 and more", None),
        ("Exited With Status 99999999999", None),
        ("Job Finished Successfully", None),
        ("", None),
    ],
)
def test_exit_code(application: str, code: int | None) -> None:
    assert states.exit_code(application) == code


@pytest.mark.parametrize(
    ("status", "minor", "application", "words"),
    [
        (
            "Failed",
            "Application Finished With Errors",
            "'a' Exited With Status 3",
            "the job failed (Failed): Application Finished With Errors, 'a' Exited With Status 3",
        ),
        (
            "Killed",
            "Marked for termination",
            "Unknown",
            "killed in DIRAC (Killed): Marked for termination",
        ),
        ("Failed", "", "Unknown", "the job failed (Failed)"),
        ("Deleted", "Unknown", "None", "deleted in DIRAC (Deleted)"),
        ("Done", "Execution Complete", "Job Finished Successfully", ""),
        ("Running", "Application", "x", ""),
        ("Nonsense", "Application", "x", ""),
    ],
)
def test_the_end_in_words(status: str, minor: str, application: str, words: str) -> None:
    assert states.why(status, minor, application) == words


def test_the_attributes_are_gangas() -> None:
    assert states.attributes("Running", "Application", "step 1", "LCG.CERN.ch") == {
        "status": "Running",
        "statusInfo": "Application",
        "extraInfo": "step 1",
        "actualCE": "LCG.CERN.ch",
    }
