"""The server process: answers many connections at once, from one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gangamon.errors import BadInput
from gangamon.testing.simulator import wire
from gangamon.testing.simulator.record import Record
from gangamon.testing.simulator.scenario import Scenario
from gangamon.testing.simulator.stats import Stats
from gangamon.testing.simulator.world import ACCOUNTING, DOWNLOAD, LIST, Query, World


class _Gone(Exception):
    """The client has closed the connection, or has broken the rules of it."""


@dataclass(frozen=True)
class Address:
    """Where to listen: a unix socket, or a port of the loopback interface (0: any free one)."""

    socket: str | None = None
    port: int = 0


class Server:
    """Serves one scenario until SIGTERM or SIGINT."""

    def __init__(self, scenario: Scenario, record: str | None = None) -> None:
        self.world = World(scenario)
        self.stats = Stats()
        self._record = Record(record)
        self._end = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._controls: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "describe": self._describe,
            "start": lambda _: {"t0": self.world.start()},
            "stats": lambda _: self.stats.as_dict(),
            "truth": self._truth,
            "fault": self._fault,
            "submit": self._submit,
            "kill": self._kill,
            "requeue": self._requeue,
        }

    async def run(self, address: Address, ready: Callable[[str], None]) -> None:
        """Listen, say where, and serve. Raises OSError if it cannot listen."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end.set)
        self.world.prepare()
        gc.collect()
        gc.freeze()  # some hundred thousand objects that stay: not to be looked at again
        if address.socket:
            _clear(address.socket)
            mask = os.umask(0o177)
            try:
                server = await asyncio.start_unix_server(self._serve, address.socket, backlog=512)
            finally:
                os.umask(mask)
            endpoint = f"unix:{address.socket}"
        else:
            server = await asyncio.start_server(self._serve, "127.0.0.1", address.port, backlog=512)
            endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            ready(endpoint)
            await self._end.wait()
        finally:
            server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            if address.socket:
                _clear(address.socket)
            self._record.close()

    # --- connections ------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while True:
                (length,) = wire.HEAD.unpack(await reader.readexactly(wire.HEAD.size))
                if length > wire.LONGEST:
                    break
                body = await reader.readexactly(length)
                for part in await self._answer(body, reader):
                    writer.write(wire.HEAD.pack(len(part)))
                    writer.write(part)
                await writer.drain()
        except (_Gone, asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass  # the client's end, or ours
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, body: bytes, reader: asyncio.StreamReader) -> list[bytes]:
        try:
            request = json.loads(body)
            op = str(request.get("op"))
            if op in (LIST, ACCOUNTING, DOWNLOAD):
                return await self._query(op, request, reader)
            if op not in self._controls:
                accepted = ", ".join((LIST, ACCOUNTING, DOWNLOAD, *self._controls))
                return [_error(wire.BAD_REQUEST, f"op: got {op!r}; accepted: {accepted}")]
            return [json.dumps(self._controls[op](request)).encode()]
        except BadInput as error:
            return [_error(wire.BAD_REQUEST, str(error))]
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            return [_error(wire.BAD_REQUEST, f"{type(error).__name__}: {error}")]

    async def _query(
        self, op: str, request: dict[str, Any], reader: asyncio.StreamReader
    ) -> list[bytes]:
        ids = [str(request["id"])] if op == DOWNLOAD else request.get("ids")
        if ids is not None and not all(isinstance(name, str) for name in ids):
            raise BadInput(["ids: accepted: a list of native ids, as texts"])
        self.stats.begin(op, len(ids or ()))
        try:
            return await self._asked(op, ids, request, reader)
        finally:
            self.stats.end(op)

    async def _asked(
        self, op: str, ids: list[str] | None, request: dict[str, Any], reader: asyncio.StreamReader
    ) -> list[bytes]:
        scenario, chunk = self.world.scenario, self.world.scenario.list.chunk
        if ids is None and request.get("owner") != scenario.owner:
            raise BadInput([f"owner: got {request.get('owner')!r}; accepted: {scenario.owner}"])
        if op != DOWNLOAD and ids is not None and 0 < chunk < len(ids):
            self.stats.refused += 1
            text = f"too many ids: got {len(ids)}; accepted: {chunk} at most"
            return [_error(wire.TOO_MANY, text)]
        query = self.world.query(op, ids)
        self.stats.faults.update({bad.kind for bad in query.faults})
        await _wait(reader, None if query.fault("timeout") else self.world.cost(query))
        if query.fault("error"):
            return [_error(wire.BROKEN, "internal error")]
        if query.fault("auth"):
            return [_error(wire.NO_CREDENTIAL, "the credential is refused")]
        if op == DOWNLOAD:
            return self._download(str(request["id"]))
        return [self._said(query)]

    def _said(self, query: Query) -> bytes:
        said = self.world.answer(query)
        self.stats.rows += len(said)
        self._record.add(said, query.source, query.number, self.world.now())
        began = json.dumps(self.world.began)
        head = f'{{"t0": {began}, "scale": {self.world.scenario.time_scale}, "jobs": ['
        return (head + ",".join([phase.row for phase in said]) + "]}").encode()

    def _download(self, native_id: str) -> list[bytes]:
        try:
            content = self.world.output(native_id)
        except BadInput as error:
            return [_error(wire.NOT_YET, str(error))]
        if content is None:
            return [_error(wire.NOT_FOUND, f"there are no outputs of job {native_id}")]
        self.stats.bytes += len(content)
        return [json.dumps({"bytes": len(content)}).encode(), content]

    # --- control ----------------------------------------------------------------------------

    def _describe(self, _: dict[str, Any]) -> dict[str, Any]:
        scenario = self.world.scenario
        return {
            "name": scenario.name,
            "owner": scenario.owner,
            "seed": scenario.seed,
            "jobs": scenario.jobs.count,
            "t0": self.world.began,
            "t": self.world.now(),
        }

    def _truth(self, request: dict[str, Any]) -> dict[str, Any]:
        t = request.get("t")
        t = self.world.now() if t is None else float(t)
        asked = self.world.known() if request.get("ids") is None else request["ids"]
        found = [self.world.truth(str(name), t) for name in asked]
        return {"t": t, "jobs": [json.loads(phase.row) for phase in found if phase is not None]}

    def _fault(self, request: dict[str, Any]) -> dict[str, Any]:
        self.world.set_fault(dict(request["fault"]), bool(request.get("active", True)))
        return {"faults": sum(one.enabled for one in self.world.faults)}

    def _submit(self, request: dict[str, Any]) -> dict[str, Any]:
        ids = [str(name) for name in request.get("ids", [])]
        return {"ids": self.world.submit(int(request.get("count", 0)), ids)}

    def _kill(self, request: dict[str, Any]) -> dict[str, Any]:
        self.world.kill([str(name) for name in request["ids"]])
        return {}

    def _requeue(self, request: dict[str, Any]) -> dict[str, Any]:
        wait = float(request.get("seconds", 1.0))
        self.world.requeue([str(name) for name in request["ids"]], wait)
        return {}


async def _wait(reader: asyncio.StreamReader, seconds: float | None) -> None:
    """Wait for so long (None: for ever), but no longer than the client does: _Gone."""
    if seconds == 0:
        return
    try:
        # Nothing may come while an answer is awaited: it is the end, or a broken rule.
        await asyncio.wait_for(reader.read(1), seconds)
    except asyncio.TimeoutError:
        return
    raise _Gone


def _error(code: int, text: str) -> bytes:
    return json.dumps({"error": {"code": code, "text": text}}).encode()


def _clear(path: str) -> None:
    """Remove a socket that a server has left; anything else stays and makes listening fail."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
