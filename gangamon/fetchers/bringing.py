"""What fetchers share that bring outputs from a service of the grid."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from gangamon.errors import BackendUnreachable, BadInput, CredentialMissing, StorageAway
from gangamon.fetchers import manifest
from gangamon.protocols import FetchOrder, Manifest


def brought(order: FetchOrder, bring: Callable[[FetchOrder, str], Sequence[str]]) -> Manifest:
    """The manifest of an order, after ``bring(order, target)`` has put the files below the target
    unless they were there already; it returns what it left out (``manifest.left_out``).

    Raises what ``bring`` does; StorageAway in the place of CredentialMissing, BackendUnreachable
    (the outputs wait there: they are not lost, however long this takes), and of what the file
    system refuses now; BadInput if the target is not under the roots.
    """
    target = os.path.realpath(order.target)
    if not manifest.under(target, order.roots):
        raise BadInput([f"target: got {order.target!r}; accepted: a path under {order.roots}"])
    try:
        manifest.make(target, order.fqid)
        done = manifest.known(target, order.attempt, manifest.listing(target, order.roots))
        if done is None:
            left_out = bring(order, target)
            found = manifest.listing(target, order.roots)
            done = manifest.write(target, order.fqid, order.attempt, found, left_out=left_out)
        return done
    except (CredentialMissing, BackendUnreachable) as error:
        raise StorageAway(str(error)) from error
    except OSError as error:
        raise StorageAway(f"{error.filename or target}: {error.strerror}") from error
