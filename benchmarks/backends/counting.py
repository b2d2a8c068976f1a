"""How often gangamon asks a server: its commands write a line each time they are run."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from pathlib import Path

from benchmarks.backends.servers import Server, which


class Counted:
    """A PATH in which the programs count themselves."""

    def __init__(self, folder: Path, server: Server) -> None:
        self._log = folder / "calls"
        bin_ = folder / "counted"
        bin_.mkdir()
        for program in server.programs:
            path = bin_ / program
            real, log = shlex.quote(which(server, program)), shlex.quote(str(self._log))
            path.write_text(f'#!/bin/sh\necho {program} >>{log}\nexec {real} "$@"\n')
            path.chmod(0o755)
        self.environ = {
            **server.environ,
            "PATH": os.pathsep.join((str(bin_), server.environ["PATH"])),
        }

    def calls(self) -> Counter[str]:
        return Counter(self._log.read_text().split()) if self._log.exists() else Counter()
