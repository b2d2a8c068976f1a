"""What PBS's qstat prints. No server can be had: the records are others', the source beside each,
shortened to what is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.backends.pbs import answers as pbs_answers
from gangamon.backends.pbs import seen, states
from gangamon.backends.pbs.answers import JobId
from gangamon.domain.observation import Seen
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.testing.factories import poll_item

#: The first job: the example of "qstat -f -F json" in Altair's design document PP-483 (PBS
#: Professional 14.1). The second: PBS Professional 19.2.8, from the test data of the PBS collector
#: of ExaMon (University of Bologna).
JSON = """{
 "timestamp":1479277336,
 "pbs_version":"14.1",
 "pbs_server":"vbox",
 "Jobs":{
  "1.vbox":{
   "Job_Name":"STDIN",
   "Job_Owner":"root@vbox",
   "job_state":"Q",
   "queue":"workq",
   "server":"vbox",
   "Checkpoint":"u",
   "ctime":"Fri Nov 11 17:57:05 2016"
  },
  "4732778.login02":{
   "Job_Name":"example_job_48h.pbs",
   "Job_Owner":"user123@login01.cluster.example.com",
   "resources_used":{
    "cpupercent":1966,
    "cput":"420:16:02",
    "mem":"1622428kb",
    "ncpus":48,
    "walltime":"24:05:32"
   },
   "job_state":"F",
   "queue":"compute",
   "server":"login02",
   "ctime":"Tue Mar 12 10:27:52 2024",
   "exec_host":"node1299\\/0*48",
   "mtime":"Wed Mar 13 13:10:13 2024",
   "Rerunable":"False",
   "stime":"Tue Mar 12 13:04:41 2024",
   "substate":92,
   "comment":"Job run at Tue Mar 12 at 13:04 on (node1299:ncpus=48:tasks=0) and finished",
   "run_count":1,
   "Exit_status":0,
   "Account_Name":null
  }
 }
}
"""

#: Torque, from TorqueStatusMonitorTest of Bpipe.
XML = """<Data><Job><Job_Id>1000</Job_Id><Job_Name>snpid_analysis</Job_Name>\
<Job_Owner>joe.blogs@server</Job_Owner><resources_used><cput>00:00:05</cput><mem>544560kb</mem>\
<walltime>00:00:07</walltime></resources_used><job_state>C</job_state><queue>shortrun</queue>\
<server>mgt</server><ctime>1577049180</ctime><exec_host>comp014/21</exec_host>\
<mtime>1577049199</mtime><exit_status>1</exit_status><start_time>1577049191</start_time>\
<start_count>1</start_count><comp_time>1577049199</comp_time></Job></Data>
"""

#: The first job: PBS Professional 19.1.1, openpbs issue 2541, whose JSON of this job is not
#: readable. The second: Torque, from the test data of MAVIS (BC Cancer); its environment has lines
#: of its own.
TEXT = """\
Job Id: 4.scheduler
    Job_Name = STDIN
    Job_Owner = adminuser@execute-1.internal.cloudapp.net
    resources_used.cput = 00:00:00
    resources_used.mem = 9692kb
    job_state = R
    queue = workq
    ctime = Fri Jul  1 14:42:57 2022
    exec_host = execute-2/0
    stime = Fri Jul  1 14:42:57 2022
    run_count = 1

Job Id: 48[].torque01.bcgsc.ca
    Job_Owner = creisle@torque01.bcgsc.ca
    job_state = C
    queue = all
    ctime = Tue May 29 18:27:33 2018
    Variable_List = PBS_O_QUEUE=all,LESSOPEN=||/usr/bin/lesspipe.sh %s,
\tBASH_FUNC_module()=() {  eval `/usr/bin/modulecmd bash $*`
}
    comment = Job 48[].torque01.bcgsc.ca deleted because its dependency of arr
\tay 43[].torque01.bcgsc.ca can never be satisfied
    exit_status = 271
"""

#: openpbs issue 2541: the JSON of a job with an exported function of bash.
BROKEN = JSON.replace('"Checkpoint":"u"', '"BASH_FUNC_module()":"() {  eval "x"\\n}"')


def observed(rows: dict[str, pbs_answers.Row], name: str, torque: bool = False) -> Seen:
    return seen.from_row(rows[name], poll_item("1", "/"), torque)


def test_json() -> None:
    rows = pbs_answers.from_json(JSON)
    waits, over = observed(rows, "1"), observed(rows, "4732778")
    assert (waits.status, waits.native_status, waits.site) == (JobStatus.SUBMITTED, "Q", "")
    assert rows["1"].created == 1478887025
    assert (over.status, over.exit_code, over.site) == (JobStatus.COMPLETED, 0, "node1299")
    assert (over.started_at, over.ended_at) == (1710248681, 1710335413)
    assert (rows["4732778"].cpu, rows["4732778"].memory) == (1512962, 1622428 * 1024)
    assert (rows["4732778"].owner, over.restarts) == ("user123", 0)
    assert over.attributes == {
        "status": "F", "actualqueue": "compute", "actualCE": "node1299", "exitcode": 0,
    }  # fmt: skip


def test_xml() -> None:
    rows = pbs_answers.from_xml(XML)
    over = observed(rows, "1000", torque=True)
    assert (over.status, over.exit_code, over.site) == (JobStatus.FAILED, 1, "comp014")
    assert (over.started_at, over.ended_at) == (1577049191, 1577049199)
    assert over.reason == "the job ended with exit code 1; used 5 s of CPU, at most 532 MiB"


def test_text() -> None:
    """What stands in an environment is no attribute."""
    rows = pbs_answers.from_text(TEXT)
    runs, never = observed(rows, "4"), observed(rows, "48[]", torque=True)
    assert (runs.status, runs.site, runs.started_at) == (
        JobStatus.RUNNING, "execute-2", 1656686577,
    )  # fmt: skip
    assert (never.status, never.exit_code) == (JobStatus.KILLED, None)
    assert never.reason == (
        "deleted (qdel) before it began; Job 48[].torque01.bcgsc.ca deleted because its "
        "dependency of array 43[].torque01.bcgsc.ca can never be satisfied"
    )


def test_text_that_pretends() -> None:
    """An attribute counts as it first stands there; a job that is there twice is not believed."""
    liar = "\tX=\n    job_state = F\n    run_count = 9\n"
    text = TEXT.replace("    run_count = 1\n", f"    run_count = 1\n    Variable_List = a\n{liar}")
    assert observed(pbs_answers.from_text(text), "4") == observed(pbs_answers.from_text(TEXT), "4")
    with pytest.raises(BackendUnreachable, match="twice"):
        pbs_answers.from_text(TEXT.replace("}\n", "}\nJob Id: 4.scheduler\n    job_state = F\n"))


@pytest.mark.parametrize("text", ["", BROKEN, JSON[:-9], "[]", "{}", '{"Jobs": {}}', XML, "null"])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(BackendUnreachable, match="unreadable"):
        pbs_answers.from_json(text)


@pytest.mark.parametrize("text", ["", XML[:-9], "<x/>", JSON, XML.replace(">C<", "><")])
def test_what_is_no_xml(text: str) -> None:
    """Torque printed nothing where it knew no job (torque issue 357)."""
    with pytest.raises(BackendUnreachable, match="unreadable"):
        pbs_answers.from_xml(text)


def test_what_is_not_known() -> None:
    """PBS Professional's as the PBS parser of qtoolkit quotes them; Torque's has "Error"."""
    text = (
        "qstat: Unknown Job Id 10000.c2cf5fbe1102\n"
        "qstat: Unknown Job Id Error 73.c0\n"
        "qstat: 1008.c2 Job has finished, use -x or -H to obtain historical job information\n"
    )
    assert pbs_answers.unknown(text) == ({"10000", "73", "1008"}, False)
    for other in ("qstat: cannot connect to server pbs (errno=15010)", "qstat: End of File"):
        assert pbs_answers.unknown(other) == (set(), True)
        assert pbs_answers.unknown(text + other)[1]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("12", "12"),
        ("12.server.example.org", "12"),
        ("12[3].server", "12[3]"),
        ("12[].server", "12[]"),
        ("12.server@other", "12"),
        *((text, None) for text in ("", "-1", "-x", "12 13", "a", "12.", "12;x", "@server", "١٢")),
    ],
)
def test_ids(text: str, name: str | None) -> None:
    """Nothing else than an id gets to a command line."""
    found = JobId.parse(text)
    assert (found.name if found else None) == name
    assert found is None or found.asked == text


def row(state: str, **fields: str) -> Seen:
    lines = "".join(f"    {k} = {v}\n" for k, v in fields.items())
    return observed(
        pbs_answers.from_text(
            f"Job Id: 1.s\n    job_state = {state}\n    stime = Fri Jul  1 14:42:57 2022\n{lines}"
        ),
        "1",
    )


@pytest.mark.parametrize("status", [*range(0, 520, 7), 255, 256, 265, 271, *range(-25, 0)])
def test_exit_statuses(status: int) -> None:
    """Each that is not 0 is a failure with its words; below 256 it is an exit code."""
    found = row("F", Exit_status=str(status))
    assert found.status is (JobStatus.FAILED if status else JobStatus.COMPLETED)
    assert found.exit_code == (status if 0 <= status < 256 else None)
    assert bool(found.reason) == bool(status)


def test_ends() -> None:
    deleted = row("F", Exit_status="271", substate="91")
    limit = row("F", Exit_status="271", substate="93")
    assert deleted.status is JobStatus.KILLED
    assert deleted.reason == "deleted (qdel) (exit status 271), signal 15"
    assert limit.status is JobStatus.FAILED and "qdel, or a limit" in limit.reason
    untold = row("F")
    assert (untold.status, untold.native_status) == (None, "F")
    assert "wall time" in states.why(-11, None, torque=True)
    assert states.why(-11, None, torque=False) == "started over (exit status -11)"


def test_runs() -> None:
    """Of a job that waits all runs are behind it."""
    for state, count, restarts in (
        ("Q", 0, 0),
        ("Q", 1, 1),
        ("R", 1, 0),
        ("R", 3, 2),
        ("H", 21, 21),
    ):
        assert row(state, run_count=str(count)).restarts == restarts


#: qstat(1B) of PBS Professional 2022 and of Torque 2.4.16.
DOCUMENTED = set("BEFHMQRSTUWX") | set("CEHQRTWS")


def test_the_table_is_whole() -> None:
    assert set(states.STATES) == DOCUMENTED
    for state in DOCUMENTED:
        status = row(state).status
        assert (status not in FINAL) and (status is None) == (state in "CFX")
    assert row("Z", Exit_status="0").status is None


CUTS = st.tuples(st.integers(0, len(JSON)), st.integers(0, len(JSON)), st.text(max_size=5))
LINES = st.lists(st.sampled_from([*TEXT.splitlines(), "    Exit_status = x", "\t", "  "])).map(
    "\n".join
)


@given(
    st.one_of(
        st.text(),
        LINES,
        *(CUTS.map(lambda c, t=t: t[: c[0]] + c[2] + t[c[1] :]) for t in (JSON, XML, TEXT)),
    )
)
def test_nothing_printed_breaks_it(text: str) -> None:
    """And a job has an end only where the text says so."""
    for read in (pbs_answers.from_json, pbs_answers.from_xml, pbs_answers.from_text):
        try:
            rows = read(text)
        except BackendUnreachable:
            continue
        for name, found in rows.items():
            status = seen.from_row(found, poll_item("1", "/"), False).status
            assert name.split("[")[0] in text
            if status is JobStatus.COMPLETED:
                assert found.state in "CFX" and found.status == 0
    pbs_answers.unknown(text)
