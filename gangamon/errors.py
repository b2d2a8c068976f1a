"""The error tree. Two branches answer "retry?".

GangamonError
    TransientError          the same call may succeed later
        StoreUnavailable    Redis cannot be reached, or does not answer in time
        BackendUnreachable  the backend could not be asked
        CredentialMissing   what it needs to be asked has expired or is not there
        StorageAway         a place for outputs is not there now: not mounted, stale, no rights
            DiskFull        no room for an output; the stage waits
        PutFailed           an output could not be put on its storage
    PermanentError          it will not succeed as it is
        BadInput            a command, file or option is wrong; carries every fault
        BadSettings         the configuration is wrong; carries every fault
        SchemaMismatch      the store holds a schema this version does not know
        NotPermitted        the login at Redis may not do this
        OutputMissing       an output that must be there is not, and will not come
        PutRefused          an output cannot be put on its storage
        MergeFailed         a merger gave up; the message is for the user
        CheckFailed         a job does not pass a checker; the message is for the user
        CheckImpossible     a checker cannot say whether a job passes
        LeftToSession       a postprocessor needs what only a Ganga session has
        LeaseLost           the claim is no longer ours; what was done must not be committed

No redis, celery or OS exception passes the module that talks to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class GangamonError(Exception):
    """Whatever gangamon raises on purpose."""


class TransientError(GangamonError):
    """The same call may succeed later."""


class StoreUnavailable(TransientError):
    """Redis cannot be reached, or does not answer in time."""


class BackendUnreachable(TransientError):
    """The backend could not be asked; nothing is learnt about any job."""


class RateLimited(BackendUnreachable):
    """The backend refuses to be asked so often; its lane backs off."""


class CredentialMissing(TransientError):
    """What the backend needs to be asked has expired or is not there: its lane is paused, the user
    told once, and it goes on by itself when the credential is back."""


class StorageAway(TransientError):
    """A place for outputs is not there now. The stage waits as long as it takes, and says so."""


class DiskFull(StorageAway):
    """No room for an output; the stage waits and says so."""


class PutFailed(TransientError):
    """An output could not be put on its storage. ``puts``: what became of each of the job's, as
    ``domain.observation.Put``."""

    def __init__(self, reason: str, puts: tuple[Any, ...]) -> None:
        super().__init__(reason)
        self.puts = puts


class PermanentError(GangamonError):
    """It will not succeed as it is."""


class BadInput(PermanentError):
    """A command, file or option is wrong. ``faults``: one line each."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class BadSettings(BadInput):
    """The configuration is wrong; every fault names the key, the value and the fix."""


class SchemaMismatch(PermanentError):
    """The store holds a schema this version does not know."""


class NotPermitted(PermanentError):
    """The login at Redis (``redis.url``) may not do this: its ACL says so."""


class OutputMissing(PermanentError):
    """An output that must be there is not, and will not come."""


class PutRefused(PermanentError):
    """An output cannot be put on its storage. ``puts``: as PutFailed's."""

    def __init__(self, reason: str, puts: tuple[Any, ...]) -> None:
        super().__init__(reason)
        self.puts = puts


class MergeFailed(PermanentError):
    """A merger gave up. The message is Ganga's own where Ganga has one."""


class CheckFailed(PermanentError):
    """A job does not pass a checker. The message is Ganga's own."""


class CheckImpossible(PermanentError):
    """A checker cannot say whether a job passes. The message is Ganga's own."""


class LeftToSession(PermanentError):
    """A postprocessor needs what only a Ganga session has: it and those after it run there."""


class LeaseLost(PermanentError):
    """The claim is no longer ours; what was done must not be committed."""
