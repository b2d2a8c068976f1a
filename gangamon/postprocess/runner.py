"""A program: runs a user's code, or a command, and ends with the process that wanted it.

Started by ``process.py`` as the head of a process group, with a request (one json line) on standard
input, which stays open: its end means that the worker is gone, and the whole group is killed.
Answers are json lines on the descriptor ``argv[1]``, the last one ``{"code": exit code}``.

    {"megabytes": 8192, "words": ["hadd", ...], "log": path}
        runs a command; what it prints is appended to the file
    {"megabytes": 8192, "module": path, "call": "mergefiles", "given": {name: value, ...}}
        executes the module in a namespace of the values, as Ganga 8.7.12 does (Lib/Mergers/
        Merger.py:300, Lib/Checkers/CustomChecker.py:50), and calls its function with them

The answer to the second is one of ``{"result": true, false or null}`` (null: anything else),
``{"error": text, "trace": traceback}`` and ``{"left": reason}``: the code needs what only a Ganga
session has. Standard library only, and nothing of gangamon: it is run by its path.
"""

from __future__ import annotations

import importlib.abc
import json
import os
import resource
import signal
import sys
import threading
import traceback
from typing import Any

MOST_TRACE = 16 * 1024


class NotHere(BaseException):
    """Not an Exception, which the user's code may take for its own."""


class Left:
    """Why the code cannot be run here: kept, for the code may catch whatever is raised."""

    reason = ""

    @classmethod
    def because(cls, reason: str) -> NotHere:
        cls.reason = cls.reason or reason
        return NotHere(reason)


class NoGanga(importlib.abc.MetaPathFinder):
    """Ganga may be installed beside us, but no session is running in it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0].startswith(("Ganga", "ganga")) and not name.startswith("gangamon"):
            raise Left.because(f"it imports {name}")


class Job:
    """What a worker knows of a job, by the names of Ganga's: id, fqid, name, outputdir, subjobs and
    master, of a subjob of the job also its status. Whatever else is asked for leaves the code to
    the session."""

    def __init__(self, facts: dict[str, Any]) -> None:
        vars(self).update({k: v for k, v in facts.items() if k not in ("master", "subjobs")})
        vars(self)["id"] = int(facts["fqid"].rpartition(".")[2])
        if "subjobs" in facts:
            vars(self)["subjobs"] = Subjobs(facts["subjobs"])
        if "master" in facts:
            vars(self)["master"] = Job(facts["master"]) if facts["master"] else None

    def getFQID(self, sep: str = ".") -> str:  # noqa: N802
        return str(self.fqid).replace(".", sep)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Left.because(f"it uses job.{name}")

    def __setattr__(self, name: str, value: object) -> None:
        raise Left.because(f"it sets job.{name}")


class Subjobs:
    """The subjobs, as a sequence; ``subjobs(7)`` is the one of that id."""

    def __init__(self, facts: list[dict[str, Any]]) -> None:
        self._jobs = [Job(one) for one in facts]

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, index: Any) -> Any:
        return self._jobs[index]

    def __call__(self, number: int) -> Job:
        return next(job for job in self._jobs if job.id == number)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Left.because(f"it uses job.subjobs.{name}")


def called(module: str, call: str, given: dict[str, Any]) -> dict[str, Any]:
    """The answer of the user's code."""
    names = {key: Job(value) if key == "job" else value for key, value in given.items()}
    sys.meta_path.insert(0, NoGanga())
    try:
        with open(module) as file:
            exec(compile(file.read(), module, "exec"), names)
        exec(f"_result = {call}({', '.join(given)})", names)
        result = names.get("_result")
        answer: dict[str, Any] = {"result": result if isinstance(result, bool) else None}
    except NotHere:
        answer = {}
    except BaseException as error:  # noqa: BLE001 (whatever it is, the user is told)
        said = str(error) if isinstance(error, Exception) else repr(error)
        trace = error.__traceback__ and error.__traceback__.tb_next  # without this frame
        told = "".join(traceback.format_exception(type(error), error, trace))
        answer = {"error": said[:MOST_TRACE], "trace": told[-MOST_TRACE:]}
    return {"left": Left.reason} if Left.reason else answer


def child(request: dict[str, Any], answers: int) -> None:
    """Does it, limited, and never returns."""
    code = 1
    try:
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)  # the end of the real one is for our parent to see
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if most := int(request["megabytes"]) << 20:
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
        if words := request.get("words"):
            log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.execvp(words[0], words)
        answer = called(request["module"], request["call"], request["given"])
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(answers, json.dumps(answer).encode() + b"\n")
        code = 0
    except BaseException:  # noqa: BLE001 (there is nobody above us)
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def lifeline() -> None:
    """Waits for the end of the process that wanted this, then ends all of it."""
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    answers = int(sys.argv[1])
    with os.fdopen(0, "rb", buffering=0, closefd=False) as lines:
        request = json.loads(lines.readline())
    sys.path[:] = [p for p in sys.path if p != os.path.dirname(os.path.abspath(__file__))]
    os.set_inheritable(answers, False)
    pid = os.fork()
    if pid == 0:
        child(request, answers)
    threading.Thread(target=lifeline, daemon=True).start()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    os.write(answers, json.dumps({"code": code}).encode() + b"\n")


if __name__ == "__main__":
    main()
