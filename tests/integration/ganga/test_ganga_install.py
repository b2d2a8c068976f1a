"""How the adapter gets into a session, and what happens when it does not."""

from __future__ import annotations

from tests.integration.ganga.session import Session


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


def test_switched_off_it_changes_nothing(ganga: Session) -> None:
    """[Gangamon] Enabled = False: neither class nor patch nor hook."""
    result = ganga.run(
        """
        from GangaCore.GPIDev.Lib.Job.Job import Job as RawJob
        from GangaCore.Utility.Config import getConfig
        facts["class"] = type(component).__name__
        facts["method"] = RawJob.updateMasterJobStatus.__module__
        facts["hook"] = "*/*" in getConfig("MonitoringServices").options
        """,
        "-o[Gangamon]Enabled=False",
    )
    assert result.facts == {
        "class": "AsyncMonitoringService",
        "method": "GangaCore.GPIDev.Lib.Job.Job",
        "hook": False,
    }


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
        "-o[Gangamon]PatchMergers=False",
        "-o[Gangamon]PatchMasterStatus=False",
    ).facts
    assert not [name for name in found["methods"] if name.startswith("gangamon")]


def test_a_ganga_that_is_not_known_monitors_by_itself(ganga: Session) -> None:
    """A method that the adapter calls has another parameter: one warning, no traceback, and Ganga
    completes the job."""
    other = ganga.folder / "other"
    other.mkdir()
    (other / "__init__.py").write_text(
        "from GangaCore.GPIDev.Lib.Job.Job import Job\n"
        "stock = Job.updateStatus\n"
        "def updateStatus(self, new_status, *rest, **named):\n"
        "    return stock(self, new_status, *rest, **named)\n"
        "Job.updateStatus = updateStatus\n"
    )
    ganga.gangarc.write_text(
        ganga.gangarc.read_text().replace("RUNTIME_PATH = ", f"RUNTIME_PATH = {other}:")
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
