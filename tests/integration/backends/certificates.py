"""An authority of the tests' own, by openssl's command: certificates and proxies."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.integration.backends.daemons import WITHIN

SUBJECT = "/DC=org/DC=gangamon/CN="

_PROXY = """basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
proxyCertInfo=critical,language:id-ppl-inheritAll
"""


def openssl(*words: str) -> str:
    """What it printed."""
    done = subprocess.run(("openssl", *words), capture_output=True, text=True, timeout=WITHIN)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout.strip()


class Authority:
    """``directory``: of CA certificates, as grids have it. ``certify`` makes ``FOLDER/WHOSE/
    cert.pem`` and ``key.pem``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.directory = folder, folder / "ca"
        self.directory.mkdir()
        self._serial = 1
        openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"{SUBJECT}Test CA", "-x509"),
            *("-days", "30", "-keyout", str(folder / "ca.key"), "-out", self._certificate),
            *("-addext", "basicConstraints=critical,CA:TRUE"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )
        found = openssl("x509", "-in", self._certificate, "-noout", "-hash")
        (self.directory / f"{found}.0").symlink_to("ca.pem")
        (self.directory / f"{found}.signing_policy").write_text(
            "access_id_CA X509 '/DC=org/DC=gangamon/CN=Test CA'\n"
            "pos_rights globus CA:sign\n"
            "cond_subjects globus '\"/DC=org/DC=gangamon/*\"'\n"
        )

    @property
    def _certificate(self) -> str:
        return str(self.directory / "ca.pem")

    def certify(self, whose: str, name: str, extensions: str) -> None:
        place = self.folder / whose
        place.mkdir()
        self._sign(
            *(place / "key.pem", place / "cert.pem", SUBJECT + name),
            *(self._certificate, str(self.folder / "ca.key")),
            f"keyUsage=critical,digitalSignature\n{extensions}\n",
        )

    def proxy(self, path: Path, whose: str, days: int = 1) -> None:
        """An RFC 3820 proxy of ``whose``; of 0 days: expired as soon as it is made."""
        place = self.folder / whose
        name = openssl("x509", "-in", str(place / "cert.pem"), "-noout", "-subject")
        subject = f"{SUBJECT}{name.rpartition('CN = ')[2]}/CN={self._serial + 1}"
        key, certificate = path.with_suffix(".key"), path.with_suffix(".crt")
        above = (str(place / "cert.pem"), str(place / "key.pem"))
        self._sign(key, certificate, subject, *above, _PROXY, days)
        whole = path.with_suffix(".new")
        texts = (certificate, key, place / "cert.pem")
        whole.touch(mode=0o600)
        whole.write_text("".join(part.read_text() for part in texts))
        whole.replace(path)  # there is no moment without it, as with real tools
        key.unlink()
        certificate.unlink()

    def _sign(
        self,
        key: Path,
        certificate: Path,
        subject: str,
        above: str,
        secret: str,
        extensions: str,
        days: int = 30,
    ) -> None:
        self._serial += 1
        request, text = certificate.with_suffix(".csr"), certificate.with_suffix(".ext")
        text.write_text(extensions)
        openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject),
            *("-keyout", str(key), "-out", str(request)),
        )
        openssl(
            *("x509", "-req", "-days", str(days), "-CA", above, "-CAkey", secret),
            *("-in", str(request), "-out", str(certificate)),
            *("-set_serial", str(self._serial), "-extfile", str(text)),
        )
        os.chmod(key, 0o400)
        request.unlink()
        text.unlink()
