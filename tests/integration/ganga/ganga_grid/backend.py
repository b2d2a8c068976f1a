"""``Grid``. ``gates``: called before each subjob gets its id. ``torn``: one entry a tear-down."""

# mypy: ignore-errors

from GangaCore.GPIDev.Adapters.ApplicationRuntimeHandlers import allHandlers
from GangaCore.GPIDev.Adapters.IBackend import IBackend
from GangaCore.GPIDev.Base.Proxy import stripProxy
from GangaCore.GPIDev.Credentials.VomsProxy import VomsProxy  # noqa: F401
from GangaCore.GPIDev.Schema import ComponentItem, Schema, SimpleItem, Version
from GangaCore.Lib.Executable.Executable import RTHandler

gates, torn = [], []


class Grid(IBackend):
    """Jobs of which only the service knows anything."""

    _schema = Schema(
        Version(1, 0),
        {
            "id": SimpleItem(defvalue="", protected=1, copyable=0, typelist=[str], doc="native id"),
            "credential_requirements": ComponentItem(
                "CredentialRequirement", defvalue=None, load_default=0, optional=1
            ),
        },
    )
    _category = "backends"
    _name = "Grid"
    _exportmethods = ("reset",)

    def master_submit(
        self, rjobs, subjobconfigs, masterjobconfig, keep_going=False, parallel_submit=False
    ):
        jobs = [stripProxy(job) for job in rjobs]
        for job in jobs:
            job.updateStatus("submitting", update_master=False)
        for number, job in enumerate(jobs):
            for gate in gates:
                gate(job, number)
            job.backend.id = f"n{number}"
            job.updateStatus("submitted", update_master=False)
            job.info.increment()
        return 1

    def reset(self):
        """In the order of DiracBase.reset (DiracBase.py:686, Ganga 8.7.12)."""
        job = self.getJobObject()
        job.getOutputWorkspace().remove(preserve_top=True)
        job.updateStatus("submitted")
        if job.master:
            job.master.updateMasterJobStatus()

    @staticmethod
    def tear_down_monitoring():
        torn.append("Grid")


allHandlers.add("Executable", "Grid", RTHandler)
