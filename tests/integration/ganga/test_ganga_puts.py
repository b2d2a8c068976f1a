"""Outputs that Ganga puts on mass storage from the session, put by the workers: the same files,
locations and fields as stock Ganga's, in the same test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session

SCRIPT = """
from GangaCore.GPIDev.Lib.File.MassStorageFile import MassStorageFile as Raw
from GangaCore.Utility.Config import getConfig
store = Path.home().parent / "eos"
store.mkdir()
for name in ("MassStorageFile", "SharedFile"):
    output = getConfig("Output")[name]
    output["uploadOptions"].update(
        path=str(store / name), mkdir_cmd="mkdir", cp_cmd="cp", ls_cmd="ls", rm_cmd="rm")
    output["backendPostprocess"]["Local"] = "client"
ran, stock = [], Raw.execSyscmdSubprocess
Raw.execSyscmdSubprocess = lambda self, command: (ran.append(command), stock(self, command))[1]

runMonitoring()
write = "printf %s > a.txt; printf x%s > b.dat; printf y%s > c.dat; printf z > kept.txt"
split = make([write % (n, n, n) for n in range(2)], files=())
split.outputfiles = [
    MassStorageFile("a.txt"),
    LocalFile("kept.txt"),
    MassStorageFile("*.dat", outputfilenameformat="by/{jid}/{sjid}/x_{fname}"),
]
split.postprocessors.append(FileChecker(files=["stdout"], searchStrings=["none"], failIfFound=True))
split.postprocessors.append(TextMerger(files=["kept.txt"]))
plain = single(write % (5, 5, 5), outputfiles=[SharedFile("a.txt"), MassStorageFile("none*")])
lacking = single("true", outputfiles=[MassStorageFile("a.txt")])
for j in (split, plain, lacking):
    j.submit()
over = lambda j: j.status in ("completed", "failed")
until(lambda: all(map(over, (split, plain, lacking))), 240, "they are over")

def told(j):
    short = lambda path: str(path).replace(str(Path.home().parent), "")
    return {
        "status": j.status,
        "files": [{
            "locations": [short(l) for l in getattr(f, "locations", [])],
            # Of what a pattern stands for Ganga's put makes a text of the list: its characters.
            "subfiles": sorted([s.namePattern, short(s.localDir), s.compressed,
                         short("".join(getattr(s, "locations", [])))] for s in f.subfiles),
            "failed": bool(getattr(f, "failureReason", "")),
        } for f in stripProxy(j).outputfiles],
        "left": sorted(n for n in os.listdir(j.outputdir) if n.endswith((".txt", ".dat"))),
    }

facts["jobs"] = [told(j) for j in (split, *split.subjobs, plain, lacking)]
facts["stored"] = {str(p.relative_to(store)): p.read_text()
                   for p in sorted(store.rglob("*")) if p.is_file()}
facts["ran"] = len(ran)
subfiles = [s for j in split.subjobs for s in stripProxy(j).outputfiles[2].subfiles]
facts["lengths"] = [len(s.locations) for s in subfiles]
facts["got"] = None
taken = split.subjobs(1).outputfiles[0]
taken.localDir = str(store)
taken.get()
facts["got"] = (store / "a.txt").read_text()
"""


def test_as_stock_ganga(tmp_path: Path, service: Service) -> None:
    """And nothing of it is done in the session."""
    stock = Session(tmp_path / "stock", service.environ).run(SCRIPT, "-o[Gangamon]mode=off").facts
    ours = Session(tmp_path / "ours", service.environ).run(SCRIPT).facts
    assert stock.pop("ran") > 0
    assert ours.pop("ran") == 0
    assert ours.pop("lengths") == [1] * len(stock.pop("lengths")) == [1] * 4
    expected: dict[str, Any] = {
        "MassStorageFile/0/0/a.txt": "0",
        "MassStorageFile/0/1/a.txt": "1",
        **{f"MassStorageFile/by/0/{n}/x_{f}.dat": f"{w}{n}" for n in (0, 1)
           for f, w in (("b", "x"), ("c", "y"))},
        "SharedFile/1/a.txt": "5",
    }  # fmt: skip
    assert ours["stored"] == expected
    for mine, theirs in zip(ours["jobs"], stock["jobs"], strict=True):
        assert mine == theirs
    assert ours == stock
    assert [job["status"] for job in ours["jobs"]] == [
        *("completed", "completed", "completed", "failed", "failed")
    ]


def test_switched_off(tmp_path: Path, service: Service) -> None:
    """Then the session puts, as ever."""
    found = Session(tmp_path, service.environ).run(SCRIPT, "-o[Gangamon]PatchPuts=False").facts
    assert found["ran"] > 1
    assert found["stored"]["MassStorageFile/0/1/a.txt"] == "1"
