"""Storage that is 50 ms away: an HTTP server that thinks, and a wire that is long.

Run as a process of its own (``python -m benchmarks.fetch.servers web DIR`` or ``wire PORT``); its
first line is the port, on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator

AWAY = 0.05

#: Bytes on the wire, or in a buffer of it.
_FULL, _CHUNK = 64 << 20, 1 << 18


async def _web(folder: str) -> None:
    """GET and HEAD of files, with an ETag, each answered after AWAY."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.split(b" ", 2)
                await asyncio.sleep(AWAY)
                with open(
                    os.path.join(folder, path.decode().partition("?")[0].lstrip("/")), "rb"
                ) as file:
                    size = os.fstat(file.fileno()).st_size
                    tag = f"{os.fstat(file.fileno()).st_mtime_ns:x}"
                    told = f'Content-Length: {size}\r\nETag: "{tag}"'
                    writer.write(f"HTTP/1.1 200 OK\r\n{told}\r\n\r\n".encode())
                    await writer.drain()
                    if method == b"GET":
                        await loop.sendfile(writer.transport, file)
        writer.close()

    await _listen(serve)


async def _wire(port: int) -> None:
    """To another port, half of AWAY in each direction, as wide as this machine makes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port, limit=_CHUNK)
        await asyncio.gather(_carry(reader, back), _carry(there, writer))

    await _listen(serve)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    under_way: deque[tuple[float, bytes]] = deque()
    news, room = asyncio.Event(), asyncio.Event()
    size = 0

    async def deliver() -> None:
        nonlocal size
        with contextlib.suppress(OSError):
            while True:
                while not under_way:
                    news.clear()
                    await news.wait()
                at, chunk = under_way.popleft()
                await asyncio.sleep(max(0.0, at - loop.time()))
                if not chunk:
                    break
                writer.write(chunk)
                await writer.drain()
                size -= len(chunk)
                room.set()
        writer.close()

    task = asyncio.create_task(deliver())
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            size += len(chunk)
            under_way.append((loop.time() + AWAY / 2, chunk))
            news.set()
            while size > _FULL:
                room.clear()
                await room.wait()
    under_way.append((loop.time() + AWAY / 2, b""))
    news.set()
    await task


async def _listen(serve: object) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=_CHUNK)  # type: ignore[arg-type]
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def running(kind: str, what: str) -> Iterator[int]:
    """The port of one, as long as a ``with``."""
    words = [sys.executable, "-m", "benchmarks.fetch.servers", kind, what]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_web(sys.argv[2]) if sys.argv[1] == "web" else _wire(int(sys.argv[2])))
