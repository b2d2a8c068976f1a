"""A real Slurm on this host, of Debian's packages: private, on loopback, gone at the end.

Nothing is installed and nothing written to /etc/slurm: the clients are told by ``SLURM_CONF``.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from tests.support.waiting import tail, until

#: Seconds until a daemon answers, or a job gets somewhere, on a machine that stands still.
WITHIN = 120.0

PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))

#: Program -> the package of Debian 12 that it is in.
NEEDED = {
    "sbatch": "slurm-client",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "munged": "munge",
}
ACCOUNTING = {
    "sacct": "slurm-client",
    "slurmdbd": "slurmdbd",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
}


NODES = ("firm", "frail")

#: By Slurm's own look at what the processes of each job take.
BY_LOOKS = "looks"

#: Of the kernel's, where they are mounted by default; and where Slurm has its own in version 2.
CGROUPS = Path("/sys/fs/cgroup")
SLICE = CGROUPS / "system.slice"
CGROUP_CONF = f"""
CgroupPlugin={{plugin}}
CgroupMountpoint={CGROUPS}
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
AllowedSwapSpace=0
MinRAMSpace=5
IgnoreSystemd=yes
"""


def memory_groups() -> str:
    """Slurm's plugin by which the kernel can hold jobs to their memory here; '': there is none.

    Version 2 is for where nothing is mounted in version 1 (cgroup_v2.c of Slurm 22.05: "Hybrid mode
    is not supported"), and the memory controller can be given to groups below: always at the root
    of them all, which has no type, while another group with processes in it must have done so.
    """
    if os.geteuid() != 0:
        return ""
    if os.access(CGROUPS / "memory" / "memory.limit_in_bytes", os.W_OK):
        return "cgroup/v1"
    with contextlib.suppress(OSError):
        given = CGROUPS / "cgroup.subtree_control"
        there, shared = (CGROUPS / "cgroup.controllers").read_text(), given.read_text()
        free = not (CGROUPS / "cgroup.type").exists() or "memory" in shared.split()
        if {"memory", "pids"} <= set(there.split()) and os.access(given, os.W_OK) and free:
            return "cgroup/v2"
    return ""


def missing(programs: Mapping[str, str]) -> list[str]:
    """The packages that are not installed."""
    return sorted({p for name, p in programs.items() if shutil.which(name, path=PATH) is None})


class Slurm:
    """A cluster of two nodes, ``firm`` and ``frail``, with ``slots`` each, both this host.

    ``memory``: MinJobAge, seconds. ``accounting``: with slurmdbd on a MariaDB. ``most``: jobs that
    it takes. Partitions: ``fast``, the default, and ``held``, in which nothing ever starts.
    ``looks``: seconds between two looks at what the processes of each job take, each of which
    reads all of /proc. ``held``: by what jobs are held to the memory that they asked for: '' by
    nothing, BY_LOOKS, or one of the kernel's (memory_groups).
    ``completions``: where slurmctld writes a line of each job that has ended.
    """

    def __init__(
        self,
        name: str,
        memory: int = 300,
        accounting: bool = False,
        most: int = 10_000,
        slots: int = 8,
        looks: int = 1,
        held: str = "",
    ) -> None:
        self.name, self.memory, self.accounting, self.most = name, memory, accounting, most
        self.slots, self.looks, self.held = slots, looks, held
        # Sockets lie below it, and their paths have at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="gm-slurm-"))
        # munged insists that nobody else can write above its socket, and that all can get there.
        self.folder.chmod(0o755)
        self.conf = self.folder / "slurm.conf"
        self.completions = self.folder / "log" / "completions"
        self.environ = {**os.environ, "PATH": PATH, "SLURM_CONF": str(self.conf)}
        self.environ["MYSQL_UNIX_PORT"] = str(self.folder / "db.sock")  # for slurmdbd's library
        self._ports = _free_ports(4)
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    # --- its life ---------------------------------------------------------------------------

    def start(self) -> None:
        for inner in ("log", "state", "munge", "spool", "db"):
            (self.folder / inner).mkdir(exist_ok=True)
        (self.folder / "munge").chmod(0o700)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self._configure()
        if self.held == "cgroup/v2":
            _make_groups()
        self.start_munge()
        if self.accounting:
            self._start_accounting()
        self.start_controller()
        for node in NODES:
            self._daemon("slurmd", "-D", "-N", node, name=node)
        self._until(lambda: self._idle() == 2, "both nodes are idle")

    def start_munge(self) -> None:
        key, sock = self.folder / "munge" / "key", self.folder / "munge.sock"
        self._daemon(
            *("munged", "--foreground", "--force", "--num-threads=2", f"--key-file={key}"),
            *(f"--socket={sock}", f"--pid-file={self.folder}/munged.pid"),
            *(f"--log-file={self.folder}/log/munged.log", f"--seed-file={self.folder}/munge/seed"),
        )
        self._until(lambda: self._does("munge", "-n", "-S", str(sock)), "munged answers")

    def kill_munge(self) -> None:
        """Nobody can say who he is: commands and daemons refuse each other."""
        self._kill("munged")

    def start_controller(self) -> None:
        self._daemon("slurmctld", "-D")
        self._until(lambda: self._does("squeue", "-h"), "slurmctld answers")

    def kill_controller(self) -> None:
        """kill -9."""
        self._kill("slurmctld")

    def freeze(self, name: str, frozen: bool) -> None:
        """A daemon stands still, with its connections: SIGSTOP."""
        self.daemons[name].send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def remembers(self) -> None:
        """Wait until what it knows now is on its disk: it is written some seconds later."""
        mark = f"mark{time.monotonic_ns()}"
        job = self.submit("exit 0", "-p", "held", f"--job-name={mark}")
        state = self.folder / "state" / "job_state"
        self._until(
            lambda: state.exists() and mark.encode() in state.read_bytes(), "the state is saved"
        )
        self.run("scancel", job)

    def kill_database(self) -> None:
        """What sacct asks is gone."""
        self._kill("slurmdbd")

    def start_database(self) -> None:
        self._daemon("slurmdbd", "-D")
        self._until(lambda: self._does("sacctmgr", "-n", "list", "cluster"), "slurmdbd answers")

    def close(self) -> None:
        """End it, with all jobs. What it logged last is printed: pytest shows it with a failure."""
        with contextlib.suppress(AssertionError, KeyError):
            if "slurmctld" in self.daemons:
                self._does("scancel", "--user", getpass.getuser())
                until(lambda: not self.run("squeue", "-h", "-t", "R,CG,S"), WITHIN, "no job left")
        for name, signal_ in (
            *(("firm", signal.SIGTERM), ("frail", signal.SIGTERM)),
            *(("slurmctld", signal.SIGTERM), ("slurmdbd", signal.SIGTERM)),
            *(("mariadbd", signal.SIGKILL), ("munged", signal.SIGTERM)),
        ):
            daemon = self.daemons.pop(name, None)
            if daemon is not None:
                _end(daemon, signal_)
        for process in self._left():
            process.kill()
        if self.held.startswith("cgroup"):
            _remove_groups()
        for log in sorted((self.folder / "log").glob("*")):
            print(tail(log))
        shutil.rmtree(self.folder)

    def _left(self) -> list[psutil.Process]:
        """Processes of jobs whose node was ended before them: by the cluster in their environ."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SLURM_CONF") == str(self.conf):
                    found.append(process)
        return [process for process in found if process.pid != os.getpid()]

    # --- its users --------------------------------------------------------------------------

    def run(self, *words: str) -> str:
        """A command of Slurm's that must succeed."""
        done = self._command(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def submit(self, script: str, *options: str) -> str:
        """The id of a job that runs a line of shell."""
        out = ("-o", "/dev/null", "-e", "/dev/null", "--chdir=/")
        return self.run("sbatch", "--parsable", *out, *options, "--wrap", script)

    def state(self, job: str) -> str:
        """By squeue, the asking of which is not under test here."""
        words = ("-h", "-a", "-r", "-t", "all", "-j", job, "-o", "%T")
        return self._command("squeue", *words).stdout.strip()

    def reaches(self, job: str, *states: str) -> None:
        self._until(lambda: self.state(job) in states, f"job {job} is {states}")

    def requeue(self, job: str) -> None:
        """Start it over: it waits, and then runs on another node, for where it just was it may
        still be taken for the run that was ended ("Job credential revoked")."""
        node = self.run("squeue", "-h", "-j", job, "-o", "%N")
        self.run("scontrol", "requeue", job)
        self.reaches(job, "PENDING")
        self.run("scontrol", "update", f"JobId={job}", f"ExcNodeList={node}")

    def hurry(self, job: str) -> None:
        """Slurm lets what was started over wait for two minutes."""
        self.run("scontrol", "update", f"JobId={job}", "StartTime=now")

    def completing(self) -> list[str]:
        """Jobs whose end their nodes have yet to confirm; none while it cannot be asked."""
        return self._command("squeue", "-h", "-t", "CG", "-o", "%i").stdout.split()

    def drained(self) -> Mapping[str, str]:
        """Node -> why Slurm takes no more jobs for it; nothing while it cannot be asked."""
        words = ("sinfo", "-h", "-N", "-p", "fast", "-t", "drain", "-o", "%N %E")
        lines = self._command(*words).stdout.splitlines()
        return {node: why for node, _, why in (line.partition(" ") for line in lines)}

    def resume(self, node: str) -> bool:
        """Give it back."""
        return self._does("scontrol", "update", f"NodeName={node}", "State=RESUME")

    def knows(self, job: str) -> bool:
        return self._command("squeue", "-h", "-t", "all", "-j", job).returncode == 0

    # --- inside -----------------------------------------------------------------------------

    def _kill(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait(WITHIN)

    def _command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, env=self.environ, capture_output=True, text=True, timeout=WITHIN, check=False
        )

    def _does(self, *words: str) -> bool:
        return self._command(*words).returncode == 0

    def _idle(self) -> int:
        return self._command("sinfo", "-h", "-N", "-p", "fast", "-o", "%t").stdout.count("idle")

    def _until(self, condition: object, what: str) -> None:
        assert callable(condition)
        until(condition, WITHIN, what, self._story)

    def _story(self) -> str:
        return "\n".join(tail(log, 8) for log in sorted((self.folder / "log").glob("*")))

    def _daemon(self, *words: str, name: str = "") -> None:
        program = shutil.which(words[0], path=PATH)
        assert program is not None
        name = name or words[0]
        with (self.folder / "log" / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                [program, *words[1:]],
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def _start_accounting(self) -> None:
        data, sock, user = self.folder / "db", self.folder / "db.sock", getpass.getuser()
        made = self._command(
            *("mariadb-install-db", "--no-defaults", f"--user={user}", f"--datadir={data}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )
        assert made.returncode == 0, made.stdout + made.stderr
        self._daemon(
            *("mariadbd", "--no-defaults", f"--user={user}", f"--datadir={data}"),
            *(f"--socket={sock}", "--skip-networking", f"--pid-file={self.folder}/db.pid"),
            # It is thrown away at the end.
            *("--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M"),
            *("--innodb-log-file-size=16M", "--innodb-lock-wait-timeout=900"),
        )
        ask = ("mariadb", "--no-defaults", f"--socket={sock}", "--user=root", "-e", "select 1")
        self._until(lambda: self._does(*ask), "the database answers")
        self.start_database()
        self.run("sacctmgr", "-i", "add", "cluster", self.name)
        self.run("sacctmgr", "-i", "add", "account", "tests")
        self.run("sacctmgr", "-i", "add", "user", user, "account=tests")

    def _configure(self) -> None:
        user, host = getpass.getuser(), socket.gethostname().partition(".")[0]
        control, firm, frail, database = self._ports
        munge = f"socket={self.folder}/munge.sock"
        store = ""
        if self.accounting:
            store = f"""
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={database}
AccountingStoragePass={self.folder}/munge.sock
"""
            conf = self.folder / "slurmdbd.conf"
            conf.write_text(f"""
AuthType=auth/munge
AuthInfo={munge}
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={database}
SlurmUser={user}
PidFile={self.folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
CommunicationParameters=NoInAddrAny
""")
            conf.chmod(0o600)
        grouped = self.held.startswith("cgroup")
        if grouped:
            conf = self.folder / "cgroup.conf"
            conf.write_text(CGROUP_CONF.format(plugin=self.held))
        # UnkillableStepTimeout: a step that is told to end while slurmctld is away waits for that,
        # and would be taken for one that cannot be killed, for which its node is drained.
        node = f"NodeHostname={host} NodeAddr=127.0.0.1 CPUs={self.slots} RealMemory=8000"
        self.conf.write_text(f"""
ClusterName={self.name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo={munge}
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool/%n
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd-%n.pid
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/{"cgroup" if grouped else "none"}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency={self.looks}
{"JobAcctGatherParams=OverMemoryKill" if self.held == BY_LOOKS else ""}
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU{"_Memory" if self.held else ""}
DefMemPerCPU={900 if self.held else 0}
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=2
PropagateResourceLimits=NONE
JobCompType=jobcomp/filetxt
JobCompLoc={self.completions}
MinJobAge={self.memory}
MaxJobCount={self.most}
ReturnToService=2
KillWait=2
UnkillableStepTimeout=600
{store}
NodeName=firm Port={firm} {node} State=UNKNOWN
NodeName=frail Port={frail} {node} State=UNKNOWN
PartitionName=fast Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=held Nodes=ALL MaxTime=INFINITE State=DOWN
""")


def _make_groups() -> None:
    """Those that systemd and slurmd would make in version 2. Slurm 22.05 does not know the last
    word of cgroup.controllers (cgroup_v2.c:_get_controllers leaves its end of line on), so there
    must be another controller behind memory: pids, which systemd always gives."""
    for place in (CGROUPS, SLICE, *(SLICE / f"{node}_slurmstepd.scope" for node in NODES)):
        place.mkdir(exist_ok=True)
        (place / "cgroup.subtree_control").write_text("+memory +pids")


def _remove_groups() -> None:
    """Of the nodes; Slurm leaves them. Those of a cluster that runs beside are not empty."""
    for top in (*CGROUPS.glob("*/slurm_f*"), *SLICE.glob("f*_slurmstepd.scope")):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
    with contextlib.suppress(OSError):  # systemd's own is not empty
        SLICE.rmdir()


def _free_ports(count: int) -> list[int]:
    """Of loopback, and different from each other."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            found = stack.enter_context(socket.socket())
            found.bind(("127.0.0.1", 0))
            ports.append(int(found.getsockname()[1]))
        return ports


def _end(daemon: subprocess.Popen[bytes], signal_: int) -> None:
    daemon.send_signal(signal_)
    try:
        daemon.wait(30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait(WITHIN)


@contextlib.contextmanager
def running(cluster: Slurm) -> Iterator[Slurm]:
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
