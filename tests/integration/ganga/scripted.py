"""Sessions whose service lies within them and says what it is told."""

#: Jobs without processes, and a service inside the session that says what it is told.
SCRIPTED = """
import pickle
from collections import Counter
from GangaCore.Core.GangaRepository.Registry import Registry
from GangaCore.Core.GangaRepository.SubJobXMLList import SubJobXMLList
from GangaCore.Lib.Localhost.Localhost import Localhost
from gangamon.client import JobUpdate, MasterFinal
from gangamon.domain.status import JobStatus as S
from gangamon.testing.scripted import ScriptedClient, use

client = ScriptedClient()
up = use(component, client)

def submitted(n, **given):
    j = Job(application=Executable(exe="/bin/true"), backend=Local(), **given)
    j.splitter = ArgSplitter(args=[[str(i)] for i in range(n)])
    Localhost.master_submit = at_once
    j.submit()
    return j

def at_once(self, rjobs, *_, **__):
    self.wrapper_pid = [4194000]
    for job in rjobs:
        job.backend.workdir = "/nowhere"
        job.updateStatus("submitting", update_master=False)
        job.info.increment()
        job.updateStatus("submitted", update_master=False)
    return 1

def followed(j):
    runMonitoring()
    raw = stripProxy(j)
    until(lambda: len(client.known.get(raw.id, ())) == len(raw.subjobs), 100, "handed over")

def say(j, status, subs, attempt=1):
    client.say(j.id, [JobUpdate(sub, attempt, 0, status) for sub in subs])

def files(j):
    # Contents by name, index files as what they mean.
    raw = stripProxy(j)
    repository = raw._getRegistry().repository
    folder = Path(repository.get_fn(raw.id)).parent
    found = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("data")}
    index = pickle.loads((folder / "subjobs.idx").read_bytes())
    found["subjobs.idx"] = {k: {**v, "modified": 0} for k, v in index.items()}
    for sub, entry in index.items():
        assert entry["modified"] == (folder / str(sub) / "data").stat().st_ctime
    found["index"] = pickle.loads(Path(repository.get_idxfn(raw.id)).read_bytes())
    return found

def disk(j):
    raw = stripProxy(j)
    folder = Path(raw._getRegistry().repository.get_fn(raw.id)).parent
    return lambda sub, word: word in (folder / str(sub) / "data").read_text()
"""

#: Counts what is loaded, and the hooks of the subjobs that end; and how much was loaded when the
#: master ended.
COUNTED = """
from GangaCore.GPIDev.Lib.Job.Job import Job as RawJob
loads, hooks = [0], Counter()
stock_load, stock_hook = SubJobXMLList._loadSubJobFromDisk, RawJob.postprocess_hook
stock_update = RawJob.updateStatus

def load(self, path):
    loads[0] += 1
    return stock_load(self, path)

def hook(self):
    if self.master is not None:
        hooks[self.id] += 1
    return stock_hook(self)

def update(self, status, *args, **kwargs):
    if self.master is None and status == "failed":
        facts["loads at the end"] = loads[0]
    return stock_update(self, status, *args, **kwargs)

SubJobXMLList._loadSubJobFromDisk = load
RawJob.postprocess_hook, RawJob.updateStatus = hook, update
backlog = component.engine.applier.backlog
pending = Path(config.Configuration.gangadir) / "gangamon" / "pending"
"""
