"""A real ARC CE on this host, of Debian's packages: private, on loopback, gone at the end.

A-REX and its REST interface, in two processes as Debian's services run them, with the ``fork``
batch system, and certificates of an authority of its own. ARC's start scripts are not used: they
listen on all addresses, and compute a DH parameter for minutes.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import httpx
import psutil

from tests.integration.backends.certificates import SUBJECT, Authority
from tests.integration.backends.daemons import WITHIN, Daemons, free_ports
from tests.support.waiting import until

#: File -> the package of Debian 12 that it is in.
NEEDED = {
    "/usr/sbin/arched": "nordugrid-arc-hed",
    "/usr/lib/arc/libarex.so": "nordugrid-arc-arex",
    "/usr/lib/arc/libmcctls.so": "nordugrid-arc-plugins-needed",
    "/usr/bin/openssl": "openssl",
}

_ADL = (
    '<ActivityDescription xmlns="http://www.eu-emi.eu/es/2010/12/adl"'
    ' xmlns:nordugrid-adl="http://www.nordugrid.org/es/2011/12/nordugrid-adl">'
    "<ActivityIdentification><Name>test</Name></ActivityIdentification><Application>"
    "<Executable><Path>/bin/sh</Path><Argument>-c</Argument><Argument>{script}</Argument>"
    "</Executable><Output>out</Output><Error>err</Error></Application>"
    "<Resources>{resources}</Resources><DataStaging>{files}</DataStaging></ActivityDescription>"
)

_CONF = """
[common]
hostname = localhost
x509_host_key = {top}/host/key.pem
x509_host_cert = {top}/host/cert.pem
x509_cert_dir = {top}/ca
[authtokens]
[authgroup:known]
file = {top}/allowed
[mapping]
map_to_user = known nobody:nogroup
[lrms]
lrms = fork
[arex]
controldir = {top}/control
sessiondir = {top}/session
logfile = {top}/log/arex.log
loglevel = INFO
joblog = {top}/log/jobs.log
pidfile = {top}/run/arex.pid
tmpdir = {top}/tmp
runtimedir = {top}/rte
delegationdb = sqlite
wakeupperiod = 2
fixdirectories = yes
maxjobs = 1000 {slots} -1 -1 -1
[arex/ws]
wsurl = https://localhost:{port}/arex
logfile = {top}/log/ws.log
pidfile = {top}/run/ws.pid
[arex/ws/jobs]
allowaccess = known
[infosys]
logfile = {top}/log/infoprovider.log
loglevel = INFO
[infosys/glue2]
[infosys/cluster]
[queue:fork]
"""

_XML = """<?xml version="1.0"?>
<ArcConfig xmlns="http://www.nordugrid.org/schemas/ArcConfig/2007"
  xmlns:tcp="http://www.nordugrid.org/schemas/ArcMCCTCP/2007"
  xmlns:arex="http://www.nordugrid.org/schemas/a-rex/Config">
  <Server>
    <PidFile>{top}/run/{name}.pid</PidFile>
    <Logger><File>{top}/log/{name}.log</File><Level>INFO</Level></Logger>
  </Server>
  <ModuleManager><Path>/usr/lib/arc/</Path></ModuleManager>
  {plugins}
  <Chain>{chain}
    <Service name="a-rex" id="a-rex">{map}
      <arex:endpoint>https://localhost:{port}/arex</arex:endpoint>
      <arex:gmconfig>{top}/run/{name}.cfg</arex:gmconfig>{run}
    </Service>
  </Chain>
</ArcConfig>
"""

_CHAIN = """
    <Component name="tcp.service" id="tcp">
      <next id="tls"/>
      <tcp:Listen>
        <tcp:Interface>127.0.0.1</tcp:Interface><tcp:Port>{port}</tcp:Port>
      </tcp:Listen>
    </Component>
    <Component name="tls.service" id="tls">
      <next id="http"/>
      <KeyPath>{top}/host/key.pem</KeyPath>
      <CertificatePath>{top}/host/cert.pem</CertificatePath>
      <CACertificatesDir PolicyGlobus="true">{top}/ca</CACertificatesDir>
      <VOMSProcessing>standard</VOMSProcessing>
      <ClientAuthn>false</ClientAuthn>
    </Component>
    <Component name="http.service" id="http">
      <next id="soap">POST</next>
      <next id="plexer"/>
      <SecHandler name="otokens.handler" event="incoming"/>
      <SecHandler name="arclegacy.handler" event="incoming">
        <ConfigFile>{top}/run/ws.cfg</ConfigFile>
      </SecHandler>
    </Component>
    <Component name="soap.service" id="soap">
      <next id="plexer"/>
      <ContinueNonSOAP>true</ContinueNonSOAP>
    </Component>
    <Plexer name="plexer.service" id="plexer"><next id="a-rex">^/arex</next></Plexer>"""

_MAP = """
      <SecHandler name="arclegacy.map" event="incoming">
        <ConfigBlock>
          <ConfigFile>{top}/run/ws.cfg</ConfigFile><BlockName>mapping</BlockName>
        </ConfigBlock>
      </SecHandler>"""

_PLUGINS = (
    *("mcctcp", "mcctls", "mcchttp", "mccsoap"),
    *("arex", "identitymap", "arcshc", "arcshclegacy", "arcshcotokens"),
)

_ENDS = ("FINISHED", "FAILED", "KILLED")


def missing() -> list[str]:
    """The packages that are not installed."""
    return sorted({package for path, package in NEEDED.items() if not os.path.exists(path)})


class Arc(Daemons):
    """``url``: of its A-REX. ``proxy``: of the user that it knows. ``slots``: jobs at the same
    time."""

    def __init__(self, slots: int = 8) -> None:
        super().__init__("gm-arc-")
        self.slots = slots
        self.folder.chmod(0o755)  # jobs run as nobody
        (self.port,) = free_ports(1)
        self.url = f"https://localhost:{self.port}/arex"
        self.proxy = self.folder / "proxy"

    # --- its life ---------------------------------------------------------------------------

    def start(self) -> None:
        for inner in ("run", "control", "session", "tmp", "rte"):
            (self.folder / inner).mkdir()
        (self.folder / "tmp").chmod(0o1777)
        self.authority = Authority(self.folder)
        client = "extendedKeyUsage=clientAuth"
        host = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth"
        self.authority.certify("host", "localhost", host)
        self.authority.certify("user", "Test User", client)
        self.authority.certify("second", "Second User", client)
        self.authority.certify("stranger", "Stranger", client)
        self.authority.proxy(self.proxy, "user")
        (self.folder / "allowed").write_text(f'"{SUBJECT}Test User"\n"{SUBJECT}Second User"\n')
        self.environ.update(
            ARC_LOCATION="/usr",
            ARC_CONFIG=str(self.folder / "arc.conf"),
            HOSTNAME="localhost",
            TMPDIR=str(self.folder / "tmp"),
            X509_CERT_DIR=str(self.authority.directory),
            X509_USER_CERT=str(self.folder / "host" / "cert.pem"),
            X509_USER_KEY=str(self.folder / "host" / "key.pem"),
        )
        given = {"top": str(self.folder), "port": self.port, "slots": self.slots}
        conf = self.folder / "arc.conf"
        conf.write_text(_CONF.format(**given))
        for name, plugins, chain, map_, run in (
            ("arex", ("arex",), "", "", ""),
            ("ws", _PLUGINS, _CHAIN, _MAP, "\n<arex:gmrun>none</arex:gmrun>"),
        ):
            parser = "/usr/lib/arc/arcconfig-parser"
            made = str(self.folder / "run" / f"{name}.cfg")
            self.run(parser, "--config", str(conf), "--runconfig", made, "--save")
            (self.folder / "run" / f"{name}.xml").write_text(
                _XML.format(
                    name=name,
                    plugins="".join(f"<Plugins><Name>{p}</Name></Plugins>" for p in plugins),
                    chain=chain.format(**given),
                    map=map_.format(**given),
                    run=run,
                    **given,
                )
            )
        self.start_manager()
        self.start_interface()

    def start_manager(self) -> None:
        """What runs the jobs, and tells how they are."""
        self._arched("arex")

    def start_interface(self) -> None:
        self._arched("ws")
        self.until_listens(self.port)

    def close(self) -> None:
        for name in ("arex", "ws"):
            with contextlib.suppress(KeyError):
                self.kill(name)
        for process in self._left():
            with contextlib.suppress(psutil.Error):
                process.kill()
        super().close()

    def _left(self) -> list[psutil.Process]:
        """Jobs, and what A-REX has started: by the configuration in their environ."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("ARC_CONFIG", "").startswith(str(self.folder)):
                    found.append(process)
        return [process for process in found if process.pid != os.getpid()]

    def _arched(self, name: str) -> None:
        # With a high limit each of its forks closes a million files.
        words = ("prlimit", "--nofile=4096", "/usr/sbin/arched", "-f")
        self.daemon(*words, "-c", str(self.folder / "run" / f"{name}.xml"), name=name)

    # --- its users --------------------------------------------------------------------------

    def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        """As the user, not by what is under test here."""
        tls = ssl.create_default_context(capath=str(self.authority.directory))
        tls.load_cert_chain(str(self.proxy))
        headers = {"Accept": "application/json", **given.pop("headers", {})}
        with httpx.Client(verify=tls, timeout=WITHIN) as client:
            return client.request(
                method, f"{self.url}/rest/1.0/jobs{path}", headers=headers, **given
            )

    def submit(self, script: str, files: Sequence[str] = (), resources: str = "") -> str:
        """The id of a job that runs a line of shell, and keeps those of its files, its stdout and
        stderr."""
        kept = "".join(f"<OutputFile><Name>{n}</Name></OutputFile>" for n in ("out", "err", *files))
        text = _ADL.format(script=escape(script), files=kept, resources=resources)
        given = {"params": {"action": "new"}, "headers": {"Content-Type": "application/xml"}}
        answer = self.ask("POST", "", content=text, **given)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["job"]["id"])

    def job(self, job: str) -> Mapping[str, Any]:
        answer = self.ask("POST", "", params={"action": "status"}, json={"job": [{"id": job}]})
        found = answer.json()["job"]
        assert isinstance(found, dict)
        return found

    def order(self, action: str, job: str) -> None:
        """``kill``, or ``clean``."""
        answer = self.ask("POST", "", params={"action": action}, json={"job": [{"id": job}]})
        assert answer.json()["job"]["status-code"] == "202", answer.text

    def over(self, job: str) -> None:
        """Wait until it has ended, and A-REX knows; its REST interface tells later."""
        status = self.folder / "control" / "finished" / f"job.{job}.status"
        until(status.exists, 2 * WITHIN, f"{job} is over", self.story)

    def in_batch(self, job: str) -> bool:
        """Whether its process runs: A-REX tells that only once a minute."""
        grami = self.folder / "control" / f"job.{job}.grami"
        status = self.folder / "control" / "processing" / f"job.{job}.status"
        with contextlib.suppress(FileNotFoundError):
            return status.read_text().strip() == "INLRMS" and "jobid=" in grami.read_text()
        return False

    def documented(self, job: str) -> None:
        """Wait for its document as it ended. A-REX has its information provider run once a minute;
        here it is run at once."""

        def whole() -> bool:
            answer = self.ask("POST", "", params={"action": "info"}, json={"job": [{"id": job}]})
            document = answer.json()["job"].get("info_document", {}).get("ComputingActivity", {})
            state = self.job(job)["state"]
            told = state in _ENDS and f"arcrest:{state}" in document.get("State", [])
            return told and "SubmissionTime" in document

        def tried() -> bool:
            if whole():
                return True
            conf = str(self.folder / "run" / "arex.cfg")
            self.run("/usr/share/arc/CEinfo.pl", "--splitjobs", "--config", conf)
            return whole()

        until(tried, WITHIN, f"{job} is documented", self.story)

    def url_of(self, job: str) -> str:
        return f"{self.url}/rest/1.0/jobs/{job}"


@contextlib.contextmanager
def running(slots: int = 8) -> Iterator[Arc]:
    ce = Arc(slots)
    try:
        ce.start()
        yield ce
    finally:
        ce.close()
