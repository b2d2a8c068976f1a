"""A real DIRAC on this host: private, on loopback, gone at the end.

Its services JobMonitoring, JobStateUpdate, SandboxStore and ResourceStatus on a MariaDB of Debian's
packages, with certificates and proxies of an authority of its own. Not run: a Configuration server
(all is in one dirac.cfg); JobManager, agents and pilots, for which ``hand`` does things to jobs;
OpenSearch, for which ``dirac_site/parameters.py`` stands.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.integration.backends.certificates import SUBJECT, Authority
from tests.integration.backends.daemons import DEBIAN, PATH, Daemons, free_ports, python_of

SITE = Path(__file__).with_name("dirac_site")

#: Service -> its system; and the databases of each system.
SERVICES = {
    "JobMonitoring": "WorkloadManagement",
    "JobStateUpdate": "WorkloadManagement",
    "SandboxStore": "WorkloadManagement",
    "ResourceStatus": "ResourceStatus",  # says that the store of sandboxes is in order
}
DATABASES = {
    "WorkloadManagement": ("JobDB", "JobLoggingDB", "SandboxMetadataDB"),
    "ResourceStatus": ("ResourceStatusDB",),
}

#: Program, or module of that Python -> the package of Debian 12 that it is in.
PROGRAMS = {
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "openssl": "openssl",
}
MODULES = {"M2Crypto": "python3-m2crypto", "MySQLdb": "python3-mysqldb"}


def missing() -> list[str]:
    """The packages that are not installed."""
    found = {p for name, p in PROGRAMS.items() if shutil.which(name, path=PATH) is None}
    for name, package in MODULES.items():
        if subprocess.run([DEBIAN, "-c", f"import {name}"], capture_output=True).returncode:
            found.add(package)
    return sorted(found)


class Dirac(Daemons):
    """``diracosrc``: what a user sources. ``proxy``: one of the user ``tester`` in ``gm_user``."""

    def __init__(self, python: Path) -> None:
        super().__init__("gm-dirac-")
        self.python = python
        self.database_port, self.parameters_port, *ports = free_ports(2 + len(SERVICES))
        self.ports = dict(zip(SERVICES, ports, strict=True))
        self.conf, self.diracosrc = self.folder / "dirac.cfg", self.folder / "diracosrc"
        self.proxy = str(self.folder / "proxy")
        self.environ.update(
            DIRACSYSCONFIG=str(self.conf),
            X509_CERT_DIR=str(self.folder / "ca"),
            X509_USER_PROXY=self.proxy,
            DIRAC_USE_JSON_ENCODE="Yes",
            HOME=str(self.folder),
        )
        self._hand: subprocess.Popen[str] | None = None

    # --- its life ---------------------------------------------------------------------------

    def start(self) -> None:
        self._certificates()
        self.conf.write_text(self._configuration())
        self.diracosrc.write_text(
            f"export DIRACOS={self.python.parent.parent}\n"
            f"export PATH={self.python.parent}:$PATH\n"
            f"export DIRACSYSCONFIG={self.conf}\n"
            f"export X509_CERT_DIR={self.folder}/ca\n"
            "export DIRAC_USE_JSON_ENCODE=Yes\n"
            "echo sourced\n"  # as a banner
        )
        self.start_mariadb(f"--port={self.database_port}", "--bind-address=127.0.0.1")
        self._tables()
        words = (str(self.python), str(SITE / "parameters.py"), str(self.parameters_port))
        self.daemon(*words, name="parameters")
        with (self.folder / "log" / "hand.out").open("a") as out:
            self._hand = subprocess.Popen(
                [str(self.python), str(SITE / "hand.py")],
                env=self.environ,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
            )
        self.make_proxy(self.proxy)
        self.start_services()
        self.hand("begin")

    def start_services(self) -> None:
        names = [f"{system}/{name}" for name, system in SERVICES.items()]
        words = (str(self.python), str(SITE / "services.py"), *names)
        self.daemon(*words, "--cfg", str(self.conf), name="services")
        for port in self.ports.values():
            self.until_listens(port)

    def kill_services(self) -> None:
        """kill -9."""
        self.kill("services")

    def close(self) -> None:
        if self._hand is not None:
            self._hand.kill()
            self._hand.communicate()
        super().close()

    # --- its users --------------------------------------------------------------------------

    def hand(self, order: str, *words: Any) -> Any:
        """A function of ``dirac_site/hand.py``."""
        assert self._hand is not None and self._hand.stdin and self._hand.stdout
        self._hand.stdin.write(json.dumps([order, *words]) + "\n")
        self._hand.stdin.flush()
        line = self._hand.stdout.readline()
        assert line, self.story()
        answer = json.loads(line)
        assert "error" not in answer, f"{order}: {answer['error']}\n{self.story()}"
        return answer["value"]

    def jobs(self, count: int, **given: str) -> list[int]:
        """The ids of new jobs, which wait."""
        ids = self.hand("insert", count, *given.values())
        assert isinstance(ids, list)
        return ids

    def write(self, job: int, status: str) -> None:
        """This status straight into the database, whatever DIRAC thinks of it."""
        self.mariadb(f"update JobDB.Jobs set Status='{status}' where JobID={job};")

    def make_proxy(self, path: str, seconds: int = 86400, whose: str = "user") -> None:
        """``whose``: ``user``, or ``stranger``: one whom DIRAC does not know."""
        user = self.folder / whose
        pair = (str(user / "cert.pem"), str(user / "key.pem"))
        self.hand("proxy", path, seconds, "gm_user", *pair)

    # --- inside -----------------------------------------------------------------------------

    def _tables(self) -> None:
        place = self.run(str(self.python), "-c", "import DIRAC; print(DIRAC.__path__[0])")
        for system, names in DATABASES.items():
            for name in names:
                tables = Path(place) / f"{system}System" / "DB" / f"{name}.sql"
                made = tables.read_text() if tables.exists() else ""  # else the service makes them
                self.mariadb(f"create database {name}; use {name};\n{made}")
        self.mariadb("create user dirac@'127.0.0.1' identified by 'dirac';")
        self.mariadb("grant all on *.* to dirac@'127.0.0.1';")

    def _certificates(self) -> None:
        """An authority, and of it a host's and two users' certificates."""
        authority = Authority(self.folder)
        client = "extendedKeyUsage=clientAuth"
        authority.certify("host", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        authority.certify("user", "Test User", client)
        authority.certify("stranger", "Stranger", client)

    def _configuration(self) -> str:
        parameters = {"Host": "127.0.0.1", "Port": self.parameters_port, "SSL": "no"}
        parameters |= {"User": "", "Password": ""}
        systems: dict[str, Any] = {
            system: {
                "Databases": {name: {"DBName": name} for name in names},
                "Services": {},
                "URLs": {},
            }
            for system, names in DATABASES.items()
        }
        for name, system in SERVICES.items():
            found, port = systems[system], self.ports[name]
            found["Services"][name] = {"Port": port, "Authorization": {"Default": "authenticated"}}
            found["URLs"][name] = f"dips://localhost:{port}/{system}/{name}"
        wms = systems["WorkloadManagement"]
        wms["Databases"]["JobParametersDB"] = parameters
        wms["Services"]["SandboxStore"]["LocalSE"] = "SandboxSE"
        wms["Services"]["SandboxStore"]["BasePath"] = f"{self.folder}/sandboxes"
        store = {
            "Host": "localhost",
            "Port": self.ports["SandboxStore"],
            "PluginName": "DIP",
            "Protocol": "dips",
            "Path": "/WorkloadManagement/SandboxStore",
            "Access": "remote",
            "SpaceToken": "",
            "WSUrl": "",
        }
        return _cfg(
            {
                "DIRAC": {
                    "Hostname": "localhost",
                    "Security": {
                        "CertFile": self.folder / "host" / "cert.pem",
                        "KeyFile": self.folder / "host" / "key.pem",
                        "CALocation": self.folder / "ca",
                    },
                },
                "Systems": {
                    "Databases": {
                        "User": "dirac",
                        "Password": "dirac",
                        "Host": "127.0.0.1",
                        "Port": self.database_port,
                    },
                    "NoSQLDatabases": parameters,
                    **systems,
                },
                "Resources": {
                    "StorageElements": {
                        "SandboxSE": {"BackendType": "DISET", "AccessProtocol.1": store}
                    }
                },
                "Registry": {
                    "DefaultGroup": "gm_user",
                    "VO": {"gm": {"VOAdmin": "tester"}},
                    "Users": {"tester": {"DN": f"{SUBJECT}Test User"}},
                    "Groups": {
                        "gm_user": {
                            "Users": "tester",
                            "VO": "gm",
                            "Properties": "NormalUser, JobSharing",
                        },
                        "hosts": {"Properties": "TrustedHost, JobAdministrator", "VO": "gm"},
                    },
                    "Hosts": {
                        "localhost": {
                            "DN": f"{SUBJECT}localhost",
                            "Properties": "TrustedHost, JobAdministrator",
                        }
                    },
                },
                "Operations": {"Defaults": {}},
            }
        )


def _cfg(sections: dict[str, Any]) -> str:
    """In DIRAC's format, where a brace has a line of its own."""
    lines: list[str] = []
    for name, value in sections.items():
        if isinstance(value, dict):
            lines += [name, "{", _cfg(value).rstrip("\n"), "}"]
        else:
            lines.append(f"{name} = {value}")
    return "\n".join(line for line in lines if line) + "\n"


@contextlib.contextmanager
def running() -> Iterator[Dirac]:
    """A DIRAC, installed and run for this."""
    with tempfile.TemporaryDirectory(prefix="gm-diracos-") as folder:
        site = Dirac(python_of(Path(folder), SITE / "requirements.txt", "--system-site-packages"))
        try:
            site.start()
            yield site
        finally:
            site.close()
