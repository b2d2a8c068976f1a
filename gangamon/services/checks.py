"""The checkers of a job, subjob or master, in Ganga's order, up to the first that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gangamon.domain.observation import Check
from gangamon.errors import CheckFailed, CheckImpossible, TransientError
from gangamon.protocols import Checker, CheckOrder, Master

log = logging.getLogger(__name__)


def run_checks(checker: Callable[[str], Checker], master: Master, sub: int) -> tuple[Check, ...]:
    """What they say of the outputs of a subjob, or of the master or job itself (sub UNSPLIT).

    After one that fails none is asked, for Ganga asks only about jobs that have completed
    (IChecker.py:37, 8.7.12). Where one breaks by a bug it and those after it are left out: the
    session, which finds no word of ours, has Ganga's own run. Raises TransientError.
    """
    said: list[Check] = []
    for spec in master.checkers:
        if not spec.wanted(sub):
            continue
        reason = error = ""
        try:
            checker(spec.kind).check(CheckOrder(master.fqid(sub), spec, master.output(sub)))
        except CheckFailed as failed:
            reason = str(failed)
        except CheckImpossible as impossible:
            error = str(impossible)
        except TransientError:
            raise
        except Exception:
            log.exception("%s of job %s failed; left to the session", spec.kind, master.fqid(sub))
            break
        said.append(Check(spec.kind, spec.digest, not reason, reason, error))
        if reason:
            break
    return tuple(said)
