"""How the adapter gets into a session, and what happens when it does not."""

from __future__ import annotations

import pytest

from tests.integration.ganga.session import METHODS, Session


def test_it_takes_the_place_of_gangas_own_monitoring(ganga: Session) -> None:
    """The component is ours, the interface that Ganga and its backends use is there, and a
    monitoring service that the user configured stays."""
    with ganga.gangarc.open("a") as gangarc:
        gangarc.write("[MonitoringServices]\n*/* = some.other.Service\n")
    found = ganga.run("""
        facts["class"] = type(component).__module__
        facts["before"] = component.enabled
        facts["run"] = [runMonitoring(), component.enabled]
        disableMonitoring()
        facts["disabled"] = not component.enabled
        enableMonitoring()
        facts["enabled"] = component.enabled and component.alive and not component.should_stop()
        facts["loop"] = component.loop.is_running()
        async def asked(jobs):
            heard.extend(jobs)
        heard = []
        component.run_monitoring_task(asked, [1])
        component.run_monitoring_task(lambda jobs: heard.extend(jobs), [2])
        until(lambda: sorted(heard) == [1, 2], 120, "both ways of asking a backend work")
        from GangaCore.Utility.Config import getConfig
        facts["services"] = getConfig("MonitoringServices")["*/*"]
    """).facts
    assert found.pop("services") == "some.other.Service,gangamon.adapter.watch.hooks.Hook"
    assert found == {
        "class": "gangamon.adapter.component",
        "before": False,
        "run": [True, True],
        "disabled": True,
        "enabled": True,
        "loop": True,
    }


def test_bad_settings_leave_ganga_as_it_is(ganga: Session) -> None:
    """One warning names the fault, and Ganga's own monitoring completes the job."""
    ganga.environ["GANGAMON_REDIS_URL"] = "nonsense"
    result = ganga.run("""
        facts["class"] = type(component).__name__
        j = single("echo")
        runMonitoring()
        j.submit()
        until(lambda: j.status == "completed", 120, "Ganga has completed it")
    """)
    assert result.facts["class"] == "AsyncMonitoringService"
    assert result.output.count("gangamon is off in this session") == 1
    assert "GANGAMON_REDIS_URL: got 'nonsense'" in result.output


def test_a_repository_that_cannot_be_written_leaves_ganga_as_it_is(ganga: Session) -> None:
    """No place for the repository id: one warning, and Ganga's own monitoring."""
    (ganga.gangadir / "gangamon").write_text("in the way")
    result = ganga.run('facts["class"] = type(component).__name__')
    assert result.facts["class"] == "AsyncMonitoringService"
    assert result.output.count("gangamon is off in this session") == 1


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("mode=off", ""),
        ("Enabled=False", ""),
        ("mode=shaddow", "mode: got 'shaddow'; accepted: gangamon, shadow, off"),
        ("ScanInterval=often", "ScanInterval: got 'often'; accepted: a number"),
    ],
)
def test_switched_off_it_changes_nothing(ganga: Session, option: str, told: str) -> None:
    """Neither class nor patch nor hook; and so it is with an option that is no good, of which one
    warning says what is accepted."""
    result = ganga.run(
        f"""
        {METHODS}
        facts["class"] = type(component).__name__
        facts["folder"] = Path(config.Configuration.gangadir, "gangamon").exists()
        """,
        f"-o[Gangamon]{option}",
    )
    assert result.facts == {
        "class": "AsyncMonitoringService",
        "methods": ["GangaCore"],
        "hook": False,
        "folder": False,
    }
    assert result.output.count("gangamon is off") == bool(told)
    assert told in result.output
    assert "Traceback" not in result.output


def test_patches_can_be_switched_off(ganga: Session) -> None:
    """Without its patches the job still ends; Ganga then merges itself."""
    found = ganga.run(
        """
        from GangaCore.GPIDev.Lib.Job.Job import Job as RawJob
        from GangaCore.Lib.Mergers.Merger import TextMerger as RawMerger
        facts["methods"] = [RawJob.updateMasterJobStatus.__module__, RawMerger.execute.__module__]
        j = make(["echo a", "echo b"])
        j.postprocessors[0].overwrite = True
        runMonitoring()
        j.submit()
        until(lambda: j.status == "completed", 120, "the job is over")
        """,
        "-o[Gangamon]PatchTextMerger=False",
        "-o[Gangamon]PatchMasterStatus=False",
    ).facts
    assert not [name for name in found["methods"] if name.startswith("gangamon")]


def test_a_ganga_that_is_not_known_monitors_by_itself(ganga: Session) -> None:
    """A method that the adapter calls has another parameter: one warning, no traceback, and Ganga
    completes the job."""
    _before_gangamon(
        ganga,
        "from GangaCore.GPIDev.Lib.Job.Job import Job\n"
        "stock = Job.updateStatus\n"
        "def updateStatus(self, new_status, *rest, **named):\n"
        "    return stock(self, new_status, *rest, **named)\n"
        "Job.updateStatus = updateStatus\n",
    )
    result = ganga.run("""
        facts["class"] = type(component).__name__
        j = single("echo")
        runMonitoring()
        j.submit()
        until(lambda: j.status == "completed", 120, "Ganga has completed it")
    """)
    assert result.facts["class"] == "AsyncMonitoringService"
    assert result.output.count("gangamon is off in this session") == 1
    assert "Job.updateStatus: got (new_status, rest, named), wanted (newstatus" in result.output
    assert "Traceback" not in result.output


def _before_gangamon(ganga: Session, code: str) -> None:
    """A runtime package that Ganga loads before the adapter."""
    other = ganga.folder / "other"
    other.mkdir()
    (other / "__init__.py").write_text(code)
    text = ganga.gangarc.read_text()
    ganga.gangarc.write_text(text.replace("RUNTIME_PATH = ", f"RUNTIME_PATH = {other}:"))


def test_a_version_that_nobody_has_looked_at_works_without_the_patches(ganga: Session) -> None:
    """One warning names what is left alone; the job is completed by gangamon, and merged by Ganga,
    who would fail for what it finds merged."""
    _before_gangamon(ganga, "import GangaCore\nGangaCore._gangaVersion = '8.7.99'\n")
    result = ganga.run(f"""
        {METHODS}
        facts["class"] = type(component).__name__
        runMonitoring()
        j = make(["echo a", "echo b"])
        j.submit()
        until(lambda: j.status in ("completed", "failed"), 200, "it is over")
        facts["end"] = j.status
        facts["lags"] = len(component.lags)
        facts["merged"] = Path(j.outputdir, "stdout").exists()
    """)
    assert result.facts == {
        "methods": ["GangaCore"],
        "hook": True,
        "class": "Monitoring",
        "end": "completed",
        "lags": 2,
        "merged": True,
    }
    (line,) = [line for line in result.output.splitlines() if "left alone" in line]
    assert "this is Ganga 8.7.99" in line
    assert line.count("(") >= 6
    assert "Traceback" not in result.output


def test_a_ganga_that_lacks_something_monitors_by_itself(ganga: Session) -> None:
    """A method is gone: one warning, no traceback, nothing is patched."""
    _before_gangamon(ganga, "from GangaCore.GPIDev.Lib.Job.Job import Job\ndel Job.auto_kill\n")
    result = ganga.run(f"""
        {METHODS}
        facts["class"] = type(component).__name__
        j = single("echo")
        runMonitoring()
        j.submit()
        until(lambda: j.status == "completed", 120, "Ganga has completed it")
    """)
    assert result.facts == {
        "methods": ["GangaCore"],
        "hook": False,
        "class": "AsyncMonitoringService",
    }
    assert result.output.count("gangamon is off in this session") == 1
    assert "Job.auto_kill" in result.output
    assert "Traceback" not in result.output


def test_a_session_in_which_nothing_goes_on_goes_back_to_ganga(ganga: Session) -> None:
    """What differs where nobody has looked: after some steps in vain what gangamon has ended is
    shown, merged once, and Ganga's loop has the jobs."""
    result = ganga.run("""
        runMonitoring()
        j = make([f"{HELD}; echo {n}" for n in range(2)])
        j.submit()
        until(lambda: sent(j.id), 200, "gangamon has it")
        def broken(*given):
            raise AttributeError("Registry: no items")
        component.engine._look = broken
        GATE.touch()
        until(lambda: j.status == "completed", 200, "it is over")
        until(lambda: component.switch.stock is not None, 200, "Ganga has the jobs")
        k = single("echo")
        k.submit()
        until(lambda: k.status == "completed", 200, "Ganga has completed it")
        facts["stock"] = type(component.switch.stock).__name__
        facts["merged"] = Path(j.outputdir, "stdout").exists()
    """)
    assert result.facts == {"stock": "AsyncMonitoringService", "merged": True}
    assert result.output.count("gangamon is off in this session") == 1
    assert "Traceback" not in result.output
