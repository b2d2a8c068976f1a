"""All of a job's postprocessors in a real Ganga: the service runs them, the session takes over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gangamon.cli.ganga import package
from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.ganga_package import write_package
from tests.support.smtp import mailbox
from tests.support.waiting import until

#: What Ganga's own would do, counted: none of it may be done by the session.
COUNTED = """
        from GangaCore.GPIDev.Adapters.IMerger import IMerger
        from GangaCore.Lib.Checkers import CustomChecker as CheckerClass
        from GangaCore.Lib.Mergers.Merger import SmartMerger as SmartClass
        from GangaCore.Lib.Notifier.Notifier import Notifier as NotifierClass
        here = []
        def counted(owner, name):
            stock = getattr(owner, name)
            def count(self, *args, **fields):
                here.append(f"{type(self).__name__}.{name}")
                return stock(self, *args, **fields)
            setattr(owner, name, count)
        counted(IMerger, "merge")
        counted(SmartClass, "merge")
        counted(NotifierClass, "email")

        def module(name, text):
            path = os.path.join(os.environ["HOME"], name + ".py")
            with open(path, "w") as file:
                file.write(text)
            return path

        def noted(j):
            path = os.path.join(stripProxy(j).getDebugWorkspace().getPath(), "checker_errors.txt")
            return open(path).read() if os.path.exists(path) else ""

        def ended(*all):
            until(lambda: {j.status for j in all} <= {"completed", "failed"}, 240, "they are over")
"""


def why(service: Service, ganga: Session, job: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "gangamon", "why", job, "--repository", ganga.repository],
        env=service.environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


def test_mergers_checkers_and_notifier_run_in_the_workers(ganga: Session, service: Service) -> None:
    """Smart, custom, custom, mail: in Ganga's order, each once, with Ganga's ends and notes."""
    with mailbox() as box:
        result = ganga.run(
            f"""{COUNTED}
        join = module("join", "def mergefiles(file_list, output_file):\\n"
                      "    with open(output_file, 'w') as out:\\n"
                      "        out.write(''.join(open(f).read() for f in file_list))\\n"
                      "    return True\\n")
        bad = module("bad", "def mergefiles(file_list, output_file):\\n"
                     "    raise OSError('mine')\\n")
        check = module("check", "def check(j):\\n"
                       "    if j.master is None:\\n"
                       "        return open(j.outputdir + 'data').read() == 'ab'\\n"
                       "    return open(j.outputdir + 'data').read() != 'c'\\n")
        broken = module("broken", "def check(j):\\n    return undefined\\n")
        def job(*letters):
            j = make([f"printf {{c}} > data; echo {{c}}" for c in letters], files=())
            j.outputfiles = [LocalFile("data")]
            return j
        mail = lambda **given: Notifier(address="me@example.org", **given)
        a = job("a", "b")
        a.postprocessors = [SmartMerger(files=["stdout"]),
                            CustomMerger(files=["data"], module=join),
                            CustomChecker(module=check), CustomChecker(module=broken),
                            mail(verbose=True)]
        b = job("b", "c")
        b.postprocessors = [CustomMerger(files=["data"], module=join), CustomChecker(module=check),
                            mail()]
        c = job("a", "b")
        c.postprocessors = [CustomMerger(files=["data"], module=bad), mail()]
        runMonitoring()
        for j in (a, b, c):
            j.submit()
        ended(a, b, c)
        facts["ends"] = [[j.status, *states(j)] for j in (a, b, c)]
        facts["data"] = [open(a.outputdir + "data").read(), os.path.exists(b.outputdir + "data"),
                         os.path.exists(c.outputdir + "data")]
        facts["stdout"] = open(a.outputdir + "stdout").read()
        facts["noted"] = [noted(a), noted(a.subjobs(1)), noted(b)]
        facts["here"] = here
        """,
            f"-o[Configuration]SMTPHost={box.server}",
            within=400,
        )
        mail = [
            "Job(0.0): has completed", "Job(0.1): has completed", "Job(0): has completed",
            "Job(1.1): has failed", "Job(1): has failed", "Job(2): has failed",
        ]  # fmt: skip
        until(lambda: len(box.mail) >= len(mail), 60, "all mail is there")
        short = [s.split(": ", 1)[1].split(". (user")[0] for s in box.subjects]
        assert sorted(" ".join(s.split()) for s in short) == sorted(mail)
    found = result.facts
    assert found["ends"] == [
        ["completed", "completed", "completed"],
        ["failed", "completed", "failed"],
        ["failed", "completed", "completed"],
    ]
    assert found["data"] == ["ab", False, False]
    assert "# Start of file" in found["stdout"] and "\na\n" in found["stdout"]
    for note in found["noted"][:2]:
        assert "There was a problem with executing the module: name 'undefined'" in note
    assert found["noted"][2] == ""
    assert found["here"] == []
    assert "There was a problem executing the custom merge: mine" in why(service, ganga, "2")
    assert "in mergefiles" in why(service, ganga, "2")
    assert "returned False for job(1.1)" in why(service, ganga, "1.1")
    assert "CustomChecker: PostProcessException: There was a problem" in why(service, ganga, "0.1")


def test_what_needs_the_session_runs_there_with_all_that_follows(
    ganga: Session, service: Service
) -> None:
    """A merger and a checker that use what only Ganga has: theirs is the word, and the mail."""
    with mailbox() as box:
        result = ganga.run(
            f"""{COUNTED}
        mine = module("mine", "import GangaCore.GPI\\n"
                      "def mergefiles(file_list, output_file):\\n"
                      "    open(output_file, 'w').write('here')\\n"
                      "    return True\\n")
        check = module("check", "def check(j):\\n    return j.backend.id is None\\n")
        a = make(["echo a", "echo b"], files=())
        a.postprocessors = [CustomMerger(files=["stdout"], module=mine),
                            TextMerger(files=["stderr"]),
                            Notifier(address="me@example.org")]
        b = make(["echo a"], files=())
        b.postprocessors = [CustomChecker(module=check), Notifier(address="me@example.org")]
        runMonitoring()
        a.submit()
        b.submit()
        ended(a, b)
        facts["ends"] = [[j.status, *states(j)] for j in (a, b)]
        facts["merged"] = open(a.outputdir + "stdout").read()
        facts["stderr"] = os.path.exists(a.outputdir + "stderr")
        facts["here"] = sorted(here)
        """,
            f"-o[Configuration]SMTPHost={box.server}",
            within=400,
        )
        until(lambda: len(box.mail) >= 3, 60, "all mail is there")
        assert len(box.mail) == 3
    found = result.facts
    assert found["ends"] == [["completed", "completed", "completed"], ["failed", "failed"]]
    assert found["merged"] == "here" and found["stderr"]
    assert found["here"] == [
        "CustomMerger.merge", "Notifier.email", "Notifier.email", "Notifier.email",
        "TextMerger.merge",
    ]  # fmt: skip
    assert "it imports GangaCore" in why(service, ganga, "0")


def test_a_merger_of_another_package(ganga: Session, service: Service) -> None:
    """Its ``mergefiles`` is called in a Ganga of its own, with its attributes; its error comes
    back. One that decides by itself what it merges is the session's."""
    mine = write_package(ganga.folder)
    result = ganga.run(
        f"""{COUNTED}
        def job(merger):
            j = make(["echo a", "echo b"], files=())
            j.postprocessors = [merger]
            return j
        a = job(MineMerger(files=["stdout"], word="one"))
        b = job(MineMerger(files=["stdout"], word="bad"))
        c = job(MyselfMerger(files=["stdout"], word="two"))
        runMonitoring()
        for j in (a, b, c):
            j.submit()
        ended(a, b, c)
        facts["ends"] = [j.status for j in (a, b, c)]
        facts["merged"] = [open(j.outputdir + "stdout").read() for j in (a, c)]
        facts["here"], facts["pid"] = here, os.getpid()
        """,
        f"-o[Configuration]RUNTIME_PATH={package()}:{mine}",
        within=400,
    )
    found = result.facts
    assert found["ends"] == ["completed", "failed", "completed"]
    (one, pid, *rest), (two, here, *_) = (text.split() for text in found["merged"])
    assert (one, rest, two) == ("one", ["a", "b"], "two")
    assert int(pid) != found["pid"] and int(here) == found["pid"]
    assert found["here"] == ["MyselfMerger.merge"]
    assert "no such word" in why(service, ganga, "1")


def test_enough_subjobs_and_a_format_of_ours(ganga: Session) -> None:
    """csv, which Ganga's SmartMerger does not know, of the 2 of 3 subjobs that have completed."""
    result = ganga.run(
        f"""{COUNTED}
        def job(*commands):
            j = make(list(commands), files=())
            j.outputfiles = [LocalFile("data.csv")]
            j.postprocessors = [SmartMerger(files=["data.csv"])]
            return j
        good = "echo x,y > data.csv; echo 1,2 >> data.csv"
        a, b = job(good, "exit 3", good), job("exit 3", "exit 3", good)
        runMonitoring()
        for j in (a, b):
            j.submit()
        ended(a, b)
        facts["ends"] = [[j.status, *states(j)] for j in (a, b)]
        facts["merged"] = open(a.outputdir + "data.csv").read()
        facts["too few"] = os.path.exists(b.outputdir + "data.csv")
        facts["here"] = here
        """,
        "-o[Gangamon]MergeAcceptance=0.6",
        within=400,
    )
    found = result.facts
    assert found["ends"] == [
        ["failed", "completed", "failed", "completed"],
        ["failed", "failed", "failed", "completed"],
    ]
    assert found["merged"] == "x,y\n1,2\n1,2\n"
    assert (found["too few"], found["here"]) == (False, [])


def test_root_files_are_merged_and_checked_without_root(ganga: Session) -> None:
    """Ganga itself would need a ROOT; the merge and its check are the service's."""
    import uproot

    result = ganga.run(f"""{COUNTED}
        write = ("import uproot, numpy, sys; f = uproot.recreate('out.root'); "
                 "f.mktree('t', {{'x': 'i4'}}).extend({{'x': numpy.arange(5, dtype='i4')}}); "
                 "f['h'] = numpy.histogram([1, 2], 4, (0, 4)); f.close()")
        made = []
        for merger in (RootMerger, SmartMerger):
            j = Job(application=Executable(exe={sys.executable!r}), backend=Local())
            j.splitter = ArgSplitter(args=[["-c", write], ["-c", write]])
            j.outputfiles = [LocalFile("out.root")]
            j.postprocessors = [merger(files=["out.root"]), RootFileChecker(files=["out.root"])]
            made.append(j)
        runMonitoring()
        for j in made:
            j.submit()
        ended(*made)
        facts["ends"] = [[j.status, *states(j)] for j in made]
        facts["here"], facts["noted"] = here, [noted(j) for j in made]
        facts["paths"] = [j.outputdir + "out.root" for j in made]
    """)
    found = result.facts
    assert found["ends"] == [["completed", "completed", "completed"]] * 2
    assert (found["here"], found["noted"]) == ([], ["", ""])
    for path in found["paths"]:
        assert Path(f"{path}.hadd_output").read_text().startswith("# -- Hadd output -- #")
        with uproot.open({path: None}) as file:
            assert file["t"]["x"].array().tolist() == [*range(5), *range(5)]
            assert file["h"].member("fEntries") == 4
