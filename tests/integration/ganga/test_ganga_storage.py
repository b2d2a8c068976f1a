"""Outputs that Ganga's wrapper has put on storage come home, and are merged, where asked for."""

from __future__ import annotations

from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session


def test_a_shared_file_comes_home_and_is_merged(ganga: Session, service: Service) -> None:
    """Stock Ganga's merge fails for such files: they are where ``put`` has put them only."""
    store = ganga.folder / "store"
    store.mkdir()
    found = ganga.run(
        f"""
from GangaCore.Utility.Config import getConfig
getConfig("Output")["SharedFile"]["uploadOptions"]["path"] = {str(store)!r}
runMonitoring()
j = make(["printf one > part.txt", "printf two > part.txt"], files=())
j.outputfiles = [SharedFile("part.txt")]
j.postprocessors.append(TextMerger(files=["part.txt"]))
j.submit()
until(lambda: j.status in ("completed", "failed"), 240, "it is over")
facts["status"] = j.status
facts["merged"] = open(j.outputdir + "part.txt").read()
facts["locations"] = [list(s.outputfiles[0].locations) for s in j.subjobs]
""",
        "-o[Gangamon]BringHome=*.txt",
    )
    assert found.facts["status"] == "completed"
    assert "one" in found.facts["merged"]
    assert "two" in found.facts["merged"]
    assert found.facts["locations"] == [[f"{store}/0/{n}/part.txt"] for n in range(2)]
    assert (store / "0" / "1" / "part.txt").read_text() == "two"
