"""One look at many jobs of another host: the script that is run there, and what it prints.

Shell builtins only: no process for each job, and nothing that the host must have. For each line
``NUMBER HOST PID DIRECTORY`` (the job's directory in Ganga's workspace there; the host whose
processes are meant, or ``-``; the process that started the job's wrapper, or 0) it prints::

    job NUMBER
    > START: ...          lines of the status file, whole ones only
    dead                  the wrapper does not live; the file as it was read after that follows
    waiting               no status file, though the output directory is there
    none                  no such job there, though there are others
    away                  the workspace itself is not there, or cannot be looked into
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gangamon.backends import jobstatus
from gangamon.backends.jobstatus import StatusFile
from gangamon.errors import BackendUnreachable

_SCRIPT = r"""
H1=`hostname 2>/dev/null`; H2=`hostname -f 2>/dev/null`
printf 'host %s\n' "$H1"
mine() { [ "$1" != - ] && { [ "$1" = "$H1" ] || [ "$1" = "$H2" ]; }; }
alive() {
  if [ ! -d "/proc/$1" ]; then
    [ ! -d /proc/self ] && kill -0 "$1" 2>/dev/null; return
  fi
  s=; read -r s <"/proc/$1/stat" || return 1
  case "${s##*)}" in ' Z'*|' X'*) return 1 ;; esac
  c=; read -r c <"/proc/$1/cmdline"
  case "$c" in *__jobscript__*|'') return 0 ;; esac
  return 1
}
show() {
  X=; W=
  while IFS= read -r l; do
    case "$l" in
      WRAPPER:*) [ -n "$W" ] || W=${l#WRAPPER: } ;;
      EXITCODE:*) X=1 ;;
      START:*|PID:*|STOP:*|PROBLEM*) ;;
      *) continue ;;
    esac
    printf '> %s\n' "$l"
  done <"$1"
  case "$W" in *[!0-9]*) W= ;; esac
}
top=; fit=
while read -r n h p d; do
  case "$d" in '~/'*) d=$HOME/${d#'~/'} ;; esac
  f=$d/output/__jobstatus__
  printf 'job %s\n' "$n"
  if [ -f "$f" ] && [ -r "$f" ]; then
    show "$f"
    w=${W:-$p}
    if [ -z "$X" ] && [ "$w" -gt 0 ] && mine "$h" && ! alive "$w"; then
      echo dead; show "$f"
    fi
  elif [ -e "$f" ]; then echo away
  elif [ -x "$d/output" ]; then
    if [ "$p" -gt 0 ] && mine "$h" && ! alive "$p"; then
      if [ -f "$f" ]; then echo dead; show "$f"; else echo none; fi
    else echo waiting; fi
  elif [ -d "$d/output" ]; then echo away
  else
    if [ "$top" != "${d%/*}" ]; then
      top=${d%/*}; fit=
      if [ -x "$top" ] && [ -r "$top" ]; then
        for e in "$top"/*; do [ -e "$e" ] && fit=1; break; done
      fi
    fi
    if [ -n "$fit" ] && { [ ! -e "$d" ] || [ -x "$d" ]; }; then echo none; else echo away; fi
  fi
done 2>/dev/null <<'GANGAMON_END'
"""

#: A process id of at most nine digits: shells count in long.
_PID = re.compile(r"[1-9]\d{0,8}")


@dataclass(frozen=True)
class Where:
    """A job there. ``directory``: its own in the workspace. ``host``: whose processes are judged,
    '' for nobody's; ``pid``: the process that started its wrapper, 0 if that is not known."""

    directory: str
    host: str = ""
    pid: int = 0

    def fit(self) -> bool:
        """Whether it can stand in a line of the script."""
        plain = not re.search(r"[\x00-\x1f\x7f]|\s$", self.directory)
        return plain and self.directory.startswith(("/", "~/")) and not re.search(r"\s", self.host)


@dataclass(frozen=True)
class Found:
    """``state``: ``file``, ``dead``, ``waiting``, ``none``, ``away``; with the first two a file,
    that may be empty."""

    state: str
    file: StatusFile | None = None


def script(jobs: Sequence[Where]) -> str:
    """For jobs that are all ``fit``."""
    lines = "".join(
        f"{n} {job.host or '-'} {job.pid if _PID.fullmatch(str(job.pid)) else 0} {job.directory}\n"
        for n, job in enumerate(jobs)
    )
    return f"{_SCRIPT.lstrip()}{lines}GANGAMON_END"


def parse(text: str, count: int) -> tuple[str, Mapping[int, Found]]:
    """The name of the host, and what was found of each of ``count`` jobs, by number. Raises
    BackendUnreachable for anything else than what the script prints."""
    name, found = "", {}
    head, *parts = re.split(r"^job (\d{1,9})\n", text, flags=re.M)
    if match := re.fullmatch(r"host (\S*)\n", head):
        name = match[1]
    else:
        raise BackendUnreachable(f"unreadable: {head[:100]!r}")
    for number, lines in zip(parts[::2], parts[1::2], strict=True):
        found[int(number)] = _found(lines)
    if sorted(found) != list(range(count)) or len(parts) != 2 * count:
        raise BackendUnreachable(f"{len(found)} jobs answered, {count} were asked about")
    return name, found


def _found(lines: str) -> Found:
    before, dead, after = f"\n{lines}".partition("\ndead\n")
    state = before.strip("\n")
    if not dead and state in ("waiting", "none", "away"):
        return Found(state)
    kept = (after if dead else before).splitlines()
    if not all(line.startswith("> ") or not line for line in kept):
        raise BackendUnreachable(f"unreadable: {lines[:100]!r}")
    text = "".join(f"{line[2:]}\n" for line in kept if line)
    return Found("dead" if dead else "file", jobstatus.parse(text, 0.0))
