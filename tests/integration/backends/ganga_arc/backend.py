"""``ARC``. ``IDS``: by fqid, the URLs of jobs that were submitted before."""

# mypy: ignore-errors

from GangaCore.GPIDev.Adapters.ApplicationRuntimeHandlers import allHandlers
from GangaCore.GPIDev.Adapters.IBackend import IBackend
from GangaCore.GPIDev.Schema import Schema, SimpleItem, Version
from GangaCore.Lib.Executable.Executable import RTHandler

IDS = {}


def _text(doc, **given):
    return SimpleItem(defvalue="", typelist=[str], doc=doc, **given)


def _told(doc):
    return _text(doc, protected=1, copyable=0)


class ARC(IBackend):
    """With the attributes of Ganga 8.6.5's class that gangamon fills in."""

    _schema = Schema(
        Version(1, 0),
        {
            "CE": _text("the CE, as a host or the URL of its A-REX"),
            "id": _told("the job's URL"),
            "status": _told("ARC's state"),
            "actualCE": _told("the CE's host"),
            "workernode": _told("the node"),
            "reason": _told("of a failure"),
            "exitcode_arc": SimpleItem(
                defvalue=None, typelist=[int, None], protected=1, copyable=0, doc="exit code"
            ),
        },
    )
    _category = "backends"
    _name = "ARC"

    def submit(self, jobconfig, master_input_sandbox):
        job = self.getJobObject()
        job.getInputWorkspace().getPath()  # where a description would be written
        self.id = IDS[job.getFQID(".")]  # subjobs are submitted by several threads
        return True


allHandlers.add("Executable", "ARC", RTHandler)
