"""A stand-in for qstat of PBS, for no server can be had: it prints jobs in the forms that PBS has.

Forms, complaints and exit codes are those of records in issue threads and test suites, named in
tests/unit/backends/test_pbs_answers.py, and of qstat(1B).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

PROGRAM = """#!{python} -SE
import json, os, sys
jobs = {{name: json.load(open(os.path.join({jobs!r}, name))) for name in os.listdir({jobs!r})}}
told = json.load(open({told!r}))
open({calls!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
torque, words = told["torque"], sys.argv[1:]

def end(complaint, code):
    sys.stderr.write(complaint + "\\n")
    sys.exit(code)

if words == ["--version"]:
    print("Version: 6.1.2\\nCommit: 661e092" if torque else "pbs_version = 2022.1.1")
    sys.exit()
if told["down"]:
    end("Connection refused\\nqstat: cannot connect to server server (errno=15010)", 255)
if "-x" in words and not torque and not told["history"]:
    end("qstat: PBS is not configured to maintain job history", 36)
form = "text"
if "-F" in words:
    form = words.pop(words.index("-F") + 1)
elif torque and "-x" in words:
    form = "xml"
asked = [word for word in words if not word.startswith("-")]
found, code = [], 0
for name in asked:
    full = name if "." in name else name + "." + {server!r}
    job = jobs.get(full)
    if job is None:
        sys.stderr.write("qstat: Unknown Job Id %s%s\\n" % ("Error " if torque else "", full))
        code = 153
    elif job["job_state"] == "F" and "-x" not in words:
        sys.stderr.write("qstat: %s Job has finished, use -x or -H to obtain historical job "
                         "information\\n" % full)
        code = 35
    else:
        found.append((full, job))
if form == "json" and told["first only"]:  # openpbs#2672
    found = found[:1]
nested = []
for name, job in found:
    inner = {{}}
    for key, value in job.items():
        head, dot, tail = key.partition(".")
        if dot:
            inner.setdefault(head, {{}})[tail] = value
        else:
            inner[key] = value
    nested.append((name, inner))
if not found:
    pass
elif form == "json":
    head = {{"timestamp": 1, "pbs_version": "2022.1.1", "pbs_server": "server"}}
    text = json.dumps({{**head, "Jobs": dict(nested)}}, indent=4)
    if told["bash"]:  # openpbs#2541
        text = text.replace('"job_state"', '"BASH_FUNC_ml()":"() {{ eval "$x"\\n}}",\\n"job_state"')
    print(text)
elif form == "xml":
    out = "<Data>"
    for name, job in nested:
        out += "<Job><Job_Id>%s</Job_Id>" % name
        for key, value in job.items():
            if isinstance(value, dict):
                value = "".join("<%s>%s</%s>" % (k, v, k) for k, v in value.items())
            out += "<%s>%s</%s>" % (key, value, key)
        out += "</Job>"
    print(out + "</Data>")
else:
    for name, job in found:
        print("Job Id: " + name)
        for key, value in job.items():
            print("    %s = %s" % (key, value))
        if told["bash"]:
            print("    Variable_List = PBS_O_HOME=/home/u,\\n\\tBASH_FUNC_ml()=() {{ eval x\\n}}")
        print()
sys.exit(code)
"""


class FakePbs:
    """In ``folder``, to be put on the path. ``server``: its name."""

    def __init__(self, folder: Path, server: str = "server") -> None:
        self._folder = folder
        self.jobs = folder / "jobs"
        self.jobs.mkdir()
        self.tell({})
        path = folder / "qstat"
        names = {n: str(folder / n) for n in ("jobs", "told", "calls")}
        path.write_text(PROGRAM.format(python=sys.executable, server=server, **names))
        path.chmod(0o755)

    def tell(self, jobs: Mapping[str, Mapping[str, object]], **told: bool) -> None:
        """``jobs``: full id -> attributes as ``qstat -f`` has them. ``told``: torque, history (on),
        down, bash (functions in environments), first_only."""
        flags = {
            "torque": False,
            "history": True,
            "down": False,
            "bash": False,
            "first_only": False,
        }
        flags |= told
        flags["first only"] = flags.pop("first_only")
        for path in self.jobs.iterdir():
            path.unlink()
        for name, job in jobs.items():
            (self.jobs / name).write_text(json.dumps(job))
        (self._folder / "told").write_text(json.dumps(flags))

    def calls(self) -> list[str]:
        path = self._folder / "calls"
        return path.read_text().splitlines() if path.exists() else []
