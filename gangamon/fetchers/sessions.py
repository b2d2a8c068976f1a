"""Shells on other hosts that send output directories, one after the other, as they are asked.

Starting one takes some round trips, and a process on each side; a shell that is there takes none:
what is to be sent is asked for while what was asked for before still comes. A shell ends when
nobody waits for it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

from gangamon.errors import StorageAway, TransientError
from gangamon.fetchers.framing import Broken, Parts
from gangamon.ssh import Ssh, Talk, made_up

#: Seconds within which one must begin; that one job may take in all, and without a byte.
BEGIN, LONGEST, IDLE = 120.0, 86400.0, 120.0

#: Shells on one host (``MaxSessions`` of sshd_config(5) is 10, and polls need some); claims that
#: have asked one, so that it always has something to send; seconds to wait before other jobs go
#: first.
SHELLS, ASKED, SEAT = 4, 4, 5.0

#: Reads lines NUMBER, DIRECTORY. Answers ``\\nMARK NUMBER STATE\\n``, where the state is ``there``
#: with a tar and ``\\nMARK NUMBER EXITCODE\\n`` behind it. A directory ``+17 18:TOP``: those below
#: TOP in one tar, or ``away`` if one is not there.
_SCRIPT = """while IFS= read -r n && IFS= read -r d; do
w=
case "$d" in +*) w=${d%%:*}; w=${w#+}; d=${d#*:} ;; esac
case "$d" in '~/'*) d=$HOME/${d#'~/'} ;; esac
if [ -n "$w" ]; then
  set --
  s=
  for i in $w; do
    if [ -x "$d/$i/output" ] && [ -r "$d/$i/output" ]; then set -- "$@" "$i/output/."
    else s=away; fi
  done
  if [ -z "$s" ]; then
    printf '\\n%s %s there\\n' MARK "$n"
    (cd "$d" && exec tar -cf - "$@" </dev/null)
    s=$?
  fi
elif [ -x "$d/output" ] && [ -r "$d/output" ]; then
  printf '\\n%s %s there\\n' MARK "$n"
  (cd "$d/output" && exec tar -cf - . </dev/null)
  s=$?
elif [ -x "${d%/*}" ] && [ ! -e "$d/output" ]; then
  e=; for e in "${d%/*}"/*; do break; done
  if [ -e "$e" ]; then s=none; else s=away; fi
else s=away; fi
printf '\\n%s %s %s\\n' MARK "$n" "$s"
done"""


class Shell:
    """One of them. Whose turn it is reads from it; all of this is of whoever has the turn, but
    ``ask``."""

    def __init__(self, link: Ssh) -> None:
        mark = made_up()
        self._talk: Talk = link.talk(_SCRIPT.replace("MARK", mark), BEGIN, IDLE)
        self.parts = Parts(self._talk.out.read, mark)
        self._asked = 0

    def ask(self, places: Sequence[str]) -> list[int]:
        """The numbers of what will come. Broken."""
        numbers = [self._asked + n for n in range(len(places))]
        self._asked += len(places)
        lines = zip(numbers, places, strict=True)
        try:
            self._talk.say("".join(f"{number}\n{place}\n" for number, place in lines))
        except TransientError as error:
            raise Broken(str(error)) from error
        return numbers

    def state(self, number: int) -> str:
        """``there``, ``none`` or ``away``, whatever comes before it. Broken."""
        self._talk.out.within(LONGEST)
        while (told := self._line())[0] < number:
            pass
        if told[0] > number or told[1] not in ("there", "none", "away"):
            raise Broken(f"{told} came, {number} was to come")
        return told[1]

    def code(self, number: int) -> str:
        """The exit code of the tar that was there, after all of it. Broken."""
        told = self._line()
        if told[0] != number or not told[1].isdigit():
            raise Broken(f"{told} came, the end of {number} was to come")
        return told[1]

    def complaints(self) -> str:
        return self._talk.complaints()

    def kill(self) -> None:
        """Whoever reads from it will see its end."""
        self._talk.kill()

    def end(self) -> None:
        self._talk.end()

    def _line(self) -> tuple[int, str]:
        words = self.parts.line().split()
        if len(words) != 2 or not words[0].isdigit():
            raise Broken(f"a line {words}")
        return int(words[0]), words[1]


class Turn:
    """What one claim has asked a shell for. ``alone``: it was asked for one, and had nothing else
    to do."""

    def __init__(self, host: _Host, place: _Place, numbers: dict[str, int], alone: bool) -> None:
        self._host, self._place, self._numbers, self.alone = host, place, numbers, alone
        self._left = set(numbers.values())
        self._reading: int | None = None

    def has(self, directory: str) -> bool:
        """Whether it will still come."""
        return self._numbers.get(directory) in self._left

    def over(self) -> bool:
        """All has come, to its end."""
        return not self._left and self._reading is None

    def begin(self, directory: str) -> tuple[str, Parts]:
        """Its state, when it is our turn, and what holds its tar. What comes before it is read
        over. Broken."""
        shell, number = self._host.await_turn(self._place, self), self._numbers[directory]
        self._reading = number
        self._left = {n for n in self._left if n > number}
        state = shell.state(number)
        if state != "there":
            self._reading = None
        return state, shell.parts

    def end(self) -> tuple[str, str]:
        """The exit code of the tar that was begun, and what was said. Broken."""
        shell = self._place.shell
        assert shell is not None and self._reading is not None
        code = shell.code(self._reading)
        self._reading = None
        return code, "" if code == "0" else shell.complaints()

    def why(self, error: Broken) -> str:
        """What it broke of, as far as that is known. Before it is released."""
        said = "" if self._place.shell is None else self._place.shell.complaints()
        return f"{error}: {said}" if said else str(error)

    def release(self) -> None:
        """The shell goes to the next who waits, if all has come. Once."""
        self._host.release(self._place, self, self.over())


class _Place:
    """For a shell, which may not be there yet, and who has asked it, in order. ``broken``: nothing
    more will be read from it."""

    def __init__(self) -> None:
        self.shell: Shell | None = None
        self.turns: list[Turn] = []
        self.broken = False


class _Host:
    """``_places``: of shells that may be asked; ``_ending``: of those that may not, and live on
    until those who have asked them are done."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._places: list[_Place] = []
        self._ending: list[_Place] = []
        self._waiting = 0

    def take(self, link: Callable[[], Ssh], directories: Sequence[str]) -> Turn:
        with self._changed:
            self._waiting += 1
            try:
                turn = self._taken(directories)
            finally:
                self._waiting -= 1
                self._tidy()
            if turn is not None:
                return turn
            place = _Place()
            self._places.append(place)
        try:
            shell = Shell(link())
            with self._changed:
                place.shell = shell
                turn = self._asked(place, directories, alone=len(directories) == 1)
                self._changed.notify_all()
                return turn
        except BaseException:
            with self._changed:
                self._retire(place)
            raise

    def _taken(self, directories: Sequence[str]) -> Turn | None:
        """None: there is room for another shell."""
        until = time.monotonic() + SEAT
        while True:
            ready = [place for place in self._places if place.shell]
            best = min(ready, key=lambda place: len(place.turns), default=None)
            room = len(self._places) + len(self._ending) < SHELLS
            if room and (best is None or best.turns):
                return None
            if best is not None and len(best.turns) < ASKED:
                with contextlib.suppress(Broken):  # it is not asked again
                    return self._asked(best, directories)
            elif not self._changed.wait(until - time.monotonic()) and time.monotonic() > until:
                raise StorageAway(f"busy with {SHELLS} transfers, as many as a host is given")

    def _asked(self, place: _Place, directories: Sequence[str], alone: bool = False) -> Turn:
        assert place.shell is not None
        wanted = list(dict.fromkeys(directories))
        try:
            numbers = place.shell.ask(wanted)
        except Broken:
            self._retire(place)
            raise
        turn = Turn(self, place, dict(zip(wanted, numbers, strict=True)), alone)
        place.turns.append(turn)
        return turn

    def await_turn(self, place: _Place, turn: Turn) -> Shell:
        with self._changed:
            assert place.shell is not None
            came = -1
            while not self._changed.wait_for(lambda: place.broken or place.turns[0] is turn, IDLE):
                if came == place.shell.parts.came:
                    raise Broken("it is busy for long with what another has asked for")
                came = place.shell.parts.came  # that is much, or the way is slow
            if place.broken:
                raise Broken("it ended while another was served")
            return place.shell

    def release(self, place: _Place, turn: Turn, whole: bool) -> None:
        with self._changed:
            served = place.turns[0] is turn
            place.turns.remove(turn)
            if not whole:
                place.broken |= served
                self._retire(place)
            elif place not in self._places:
                self._retire(place)
            self._tidy()
            self._changed.notify_all()

    def _tidy(self) -> None:
        """End what nobody waits for."""
        if not self._waiting:
            for place in [p for p in self._places if p.shell and not p.turns]:
                self._retire(place)

    def _retire(self, place: _Place) -> None:
        """It is not asked any more, and ends when nobody reads from it."""
        if place in self._places:
            self._places.remove(place)
            self._ending.append(place)
        if place.shell is not None and place.turns and place.broken:
            place.shell.kill()
        if not place.turns and place in self._ending:
            self._ending.remove(place)
            if place.shell is not None:
                place.shell.end()
        self._changed.notify_all()


_hosts: dict[object, _Host] = {}


def take(where: object, link: Callable[[], Ssh], directories: Sequence[str]) -> Turn:
    """A place at one of the host's shells (``where``: the same for the same), which will send these
    directories in this order. StorageAway when all are busy; what ``link`` and ``Ssh.talk`` raise;
    Broken."""
    return _hosts.setdefault(where, _Host()).take(link, directories)
