"""Real storage on loopback: an XRootD server (Debian's), an S3 stand-in (moto)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.support.waiting import tail, until

WITHIN = 120.0


class Xrootd:
    """Serves ``folder/data`` as ``url``, with checksums of adler32, to be read only. As root it
    becomes the user ``xrootd`` of its package, as it insists. It has no option to listen on
    loopback only: others are refused."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gm-xrd-"))
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self.data = self.folder / "data"
        self.url = f"root://127.0.0.1:{self.port}//data"
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> list[str]:
        """The packages that are not installed."""
        return [] if shutil.which("xrootd") else ["xrootd-server"]

    def start(self) -> None:
        admin = self.folder / "admin"
        for path in (self.data, admin):
            path.mkdir()
        self.folder.chmod(0o755)
        config = self.folder / "xrootd.cfg"
        config.write_text(f"""
xrd.port {self.port}
xrd.network nodnr norpipa
xrd.allow host [127.0.0.1]
xrd.timeout idle 600
all.export /data r/o
all.adminpath {admin}
all.pidpath {admin}
oss.localroot {self.folder}
xrootd.chksum adler32
""")
        words = ["xrootd", "-c", str(config), "-l", str(admin / "log"), "-I", "v4"]
        if os.getuid() == 0:
            words += ["-R", "xrootd"]
            for path in (self.data, admin):
                shutil.chown(path, "xrootd")
        with (self.folder / "out").open("wb") as out:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        until(self._listens, WITHIN, "xrootd listens", lambda: tail(self.folder / "out"))

    def put(self, name: str, content: bytes) -> str:
        """Its URL. A new one each time, so that it is another file."""
        new = self.data / f"{name}.new"
        new.write_bytes(content)
        new.chmod(0o644)
        new.replace(self.data / name)
        return f"{self.url}/{name}"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(WITHIN)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class S3:
    """moto's server in this process, with one bucket; ``credential``: the path of its keys."""

    BUCKET = "outputs"

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gm-s3-"))
        self._server: Any = None

    def start(self) -> None:
        import boto3
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.service = f"http://{host}:{port}"
        self.url = f"s3+http://{host}:{port}/{self.BUCKET}"
        self.credential = str(self.folder / "credentials")
        Path(self.credential).write_text(
            "[default]\naws_access_key_id = us\naws_secret_access_key = them\n"
        )
        self._client = boto3.client(
            "s3",
            endpoint_url=self.service,
            region_name="us-east-1",
            aws_access_key_id="us",
            aws_secret_access_key="them",
        )
        self._client.create_bucket(Bucket=self.BUCKET)

    def put(self, name: str, content: bytes) -> str:
        self._client.put_object(Bucket=self.BUCKET, Key=name, Body=content)
        return f"{self.url}/{name}"

    def close(self) -> None:
        if self._server is not None:
            self._server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
