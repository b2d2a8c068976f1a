"""Outputs of Ganga's Remote jobs: they lie in the workspace of the Ganga on the other host.

One ``tar`` there for each job, or for some small ones (``bundles``), over the connection that the
polls use as well; one after the other from a shell that is there for many (``sessions``). Ganga
reads each file of the output directory whole into its memory, and writes it as text
(Lib/Remote/Remote.py, 8.7.12).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from gangamon.errors import (
    BackendUnreachable,
    BadInput,
    CredentialMissing,
    OutputMissing,
    StorageAway,
    TransientError,
)
from gangamon.fetchers import bundles, manifest, sessions, unpacking
from gangamon.fetchers.bundles import Bundle
from gangamon.fetchers.framing import Broken, CutOff
from gangamon.fetchers.sessions import Turn
from gangamon.fetchers.tarstream import NoArchive
from gangamon.protocols import Fetcher, FetchOrder, Manifest
from gangamon.ssh import Host, Ssh

#: Endpoint and key.
Where = tuple[str, str]


class RemoteFetcher:
    """``extra`` of an order: as of the items of ``RemoteBackend``."""

    name = "Remote"

    def fetch(self, order: FetchOrder) -> Manifest:
        """See Fetcher. Raises OutputMissing if the job is not there any more; StorageAway for what
        a file system refuses now, here or there, and while the host cannot be asked; TransientError
        for what does not come whole."""
        with self.stream([order]) as one:
            return one.fetch(order)

    @contextlib.contextmanager
    def stream(self, orders: Sequence[FetchOrder]) -> Iterator[Fetcher]:
        """See Streaming."""
        made = _Stream(orders)
        try:
            yield made
        finally:
            made.end()


class _Stream:
    """Asks a host for all of its jobs that are still to come when it is the first one's turn."""

    name = RemoteFetcher.name

    def __init__(self, orders: Sequence[FetchOrder]) -> None:
        self._orders = list(orders)
        self._turns: dict[Where, Turn] = {}
        self._away: dict[Where, StorageAway] = {}
        #: By places: what is asked for together, and what has come of it before its turn.
        self._bundles: dict[str, Bundle] = {}
        self._came: dict[str, bundles.Came] = {}
        self._singly = False

    def fetch(self, order: FetchOrder) -> Manifest:
        """See RemoteFetcher."""
        target = _target(order)
        try:
            if done := manifest.known(target, order.attempt, manifest.listing(target, order.roots)):
                return done
            return unpacking.note(order, target, self._bring(order, target))
        except OSError as error:
            raise StorageAway(f"{error.filename or target}: {error.strerror}") from error

    def end(self) -> None:
        while self._turns:
            self._turns.popitem()[1].release()

    def _bring(self, order: FetchOrder, target: str) -> unpacking.Unpacked:
        place, where = _place(order), _where(order)
        if place not in self._came and (bundle := self._ask(order, where, place)) is not None:
            self._read(bundle, where)
            if place not in self._came:
                self._ask(order, where, place)
        if place in self._came:
            came = self._came.pop(place)
            if isinstance(came, Exception):
                raise came
            return came
        turn = self._turns[where]
        try:
            return _brought(turn, place, target, order)
        except Broken as error:
            why = turn.why(error)
            self._release(where)
            if turn.alone:
                raise StorageAway(f"{order.lane.endpoint}: {why}") from error
        finally:
            if turn.over():  # another may have it while ours is checked and committed
                self._release(where)
        # That may have been the fault of another job.
        turn = self._take(where, [place])
        try:
            return _brought(turn, place, target, order)
        except Broken as error:
            raise StorageAway(f"{order.lane.endpoint}: {turn.why(error)}") from error
        finally:
            turn.release()

    def _ask(self, order: FetchOrder, where: Where, place: str) -> Bundle | None:
        """For this and all behind it, if it has not been asked for. The bundle that it will be
        in; None: it will come alone."""
        bundle = self._bundles.get(place)
        asked = place if bundle is None else bundle.asked
        if where not in self._turns or not self._turns[where].has(asked):
            self._release(where)
            rest = self._rest(order)
            self._bundles = {} if self._singly else _bundled(where, rest)
            wanted = [
                self._bundles[p].asked if p in self._bundles else p for p in map(_place, rest)
            ]
            self._turns[where] = self._take(where, list(dict.fromkeys(wanted)))
        return self._bundles.get(place)

    def _read(self, bundle: Bundle, where: Where) -> None:
        """What has come of its jobs. Whatever is wrong with it: each is asked for alone."""
        turn = self._turns[where]
        try:
            state, parts = turn.begin(bundle.asked)
            if state == "there":
                came = bundles.unpack(parts, bundle.targets)
                if turn.end()[0] == "0":
                    whole = [one for one in came.values() if isinstance(one, unpacking.Unpacked)]
                    bundles.learn((where, bundle.top), whole)
                    self._came.update((f"{bundle.top}/{n}", one) for n, one in came.items())
                    return
            self._singly = True
        except (Broken, CutOff, NoArchive):
            self._singly = True
        finally:
            if self._singly or turn.over():
                self._release(where)

    def _rest(self, order: FetchOrder) -> list[FetchOrder]:
        """This and those behind it, of the same host, that are not here."""
        found, where = [order], _where(order)
        if order in self._orders:
            for one in self._orders[self._orders.index(order) + 1 :]:
                with contextlib.suppress(OutputMissing, BadInput, OSError):
                    if _where(one) == where and _place(one) and not _known(one):
                        found.append(one)
        return found

    def _take(self, where: Where, places: Sequence[str]) -> Turn:
        if where in self._away:  # the others of a claim need not wait as long
            raise self._away[where]
        try:
            return sessions.take(where, lambda: Ssh(Host.parse(where[0]), where[1]), places)
        except (StorageAway, BackendUnreachable, CredentialMissing, Broken) as error:
            self._away[where] = StorageAway(f"{where[0]}: {error}")
            raise self._away[where] from error

    def _release(self, where: Where) -> None:
        if where in self._turns:
            self._turns.pop(where).release()


def _brought(turn: Turn, place: str, target: str, order: FetchOrder) -> unpacking.Unpacked:
    endpoint = order.lane.endpoint
    state, parts = turn.begin(place)
    if state == "none":
        raise OutputMissing(f"{place}: not on {endpoint}")
    if state != "there":
        raise StorageAway(f"{place}: cannot be read on {endpoint}")
    try:
        done = unpacking.unpack(parts, target)
    except CutOff as error:
        code, said = turn.end()
        raise TransientError(f"{place}: cut off: exit code {code}: {said}") from error
    except NoArchive as error:
        raise TransientError(f"{place}: {error}") from error
    code, said = turn.end()
    if code != "0":
        raise BackendUnreachable(f"{endpoint}: exit code {code}: {said}")
    bundles.learn((_where(order), place.rpartition("/")[0]), [done])
    return done


def _target(order: FetchOrder) -> str:
    """The output directory without links. BadInput, StorageAway."""
    target = os.path.realpath(order.target)
    if not manifest.under(target, order.roots):
        raise BadInput([f"target: got {order.target!r}; accepted: a path under {order.roots}"])
    if not os.path.isdir(target):
        raise StorageAway(f"{target}: there is no such directory")
    return target


def _bundled(where: Where, orders: Sequence[FetchOrder]) -> dict[str, Bundle]:
    """By places: the bundles of those that are most likely small."""
    tops: dict[str, dict[str, str]] = {}
    for order in orders:
        top = _place(order).rpartition("/")[0]
        if top.startswith(("/", "~/")) and bundles.small((where, top)):
            with contextlib.suppress(BadInput, StorageAway):  # its own turn will say so
                tops.setdefault(top, {})[order.native_id] = _target(order)
    made = [Bundle(top, targets) for top, targets in tops.items() if len(targets) > 1]
    return {f"{one.top}/{number}": one for one in made for number in one.targets}


def _known(order: FetchOrder) -> bool:
    target = os.path.realpath(order.target)
    found = manifest.listing(target, order.roots)
    return manifest.known(target, order.attempt, found) is not None


def _where(order: FetchOrder) -> Where:
    return order.lane.endpoint, str(order.extra.get("ssh_key") or "")


def _place(order: FetchOrder) -> str:
    top, id_ = order.extra.get("workspace"), order.native_id
    if not isinstance(top, str) or not top or not id_.isdecimal():
        raise OutputMissing(f"job {order.fqid}: its place on {order.lane.endpoint} is not known")
    if "\n" in top or "\0" in top:
        raise BadInput([f"workspace: got {top!r}; accepted: a path of one line"])
    top = f"./{top}" if top.startswith("+") else top  # which stands for a bundle
    return f"{top.rstrip('/')}/{id_}"
