"""The plugin that downloads outputs from the simulated system."""

from __future__ import annotations

import os

from gangamon.errors import BackendUnreachable, BadInput, OutputMissing, TransientError
from gangamon.protocols import FetchOrder, Manifest
from gangamon.testing.simulator import manifest
from gangamon.testing.simulator.wire import NOT_FOUND, Link, Refused

#: Seconds of one download.
TIMEOUT = 10.0

#: Where an order's ``extra`` does not name the endpoint, as with jobs that Ganga submitted.
VARIABLE = "SIMULATOR_ENDPOINT"


class SimulatedFetcher:
    """Writes ``stdout``, the downloaded bytes, and ``out.txt``, one line that names the job.

    ``extra`` of an order: ``endpoint``, the address of the simulated system, where the lane does
    not name it.
    """

    name = "Simulated"

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout

    def fetch(self, order: FetchOrder) -> Manifest:
        """See Fetcher. Raises OutputMissing, BadInput if the target is not under the roots or
        no endpoint is named, DiskFull, and TransientError for all that may pass."""
        target = os.path.realpath(order.target)
        if not _under(target, order.roots):
            raise BadInput([f"target: got {order.target!r}; accepted: a path under {order.roots}"])
        try:
            if done := manifest.known(target, order.attempt):
                return done
            content = self._download(order)
            os.makedirs(target, exist_ok=True)
            files = {"stdout": content, "out.txt": f"job {order.native_id}\n".encode()}
            return manifest.write(target, order.fqid, order.attempt, files)
        except OSError as error:
            raise TransientError(f"{error.filename or target}: {error.strerror}") from error

    def _download(self, order: FetchOrder) -> bytes:
        lane = order.lane.endpoint if order.lane.backend == self.name else None
        endpoint = order.extra.get("endpoint") or lane or os.environ.get(VARIABLE)
        if not isinstance(endpoint, str):
            raise BadInput([f"extra.endpoint: missing, and {VARIABLE} is not set"])
        with Link(endpoint, self._timeout) as link:
            try:
                size = link.call("download", id=order.native_id)["bytes"]
            except Refused as error:
                if error.code == NOT_FOUND:
                    raise OutputMissing(str(error)) from error
                raise
            content = link.body()
        if len(content) != size:
            raise BackendUnreachable(f"{endpoint}: {len(content)} bytes of {size}")
        return content


def _under(path: str, roots: tuple[str, ...]) -> bool:
    """Strictly under a root that is there: a home that is not mounted must not be made up."""
    reals = [os.path.realpath(root) for root in roots if os.path.isdir(root)]
    return any(path != real and os.path.commonpath((path, real)) == real for real in reals)
