"""MetaDataChecker of Ganga's core, which experiments derive theirs from: by itself it can only say
that it cannot check (Lib/Checkers/MetaDataChecker.py:36, 8.7.12), and so it fails nobody.

Those of the experiments (LHCbMetaDataChecker, GaudiMetaDataChecker) have names of their own, read
the metadata that the application's hook puts into the job, and are run by the session.
"""

from __future__ import annotations

from gangamon.errors import CheckImpossible
from gangamon.protocols import CheckOrder


class MetaDataChecker:
    """Ganga's MetaDataChecker. ``options``: ``expression``, absent: None."""

    kind = "MetaDataChecker"

    def check(self, order: CheckOrder) -> None:
        """See Checker. Raises CheckImpossible."""
        if order.spec.options.get("expression") is None:
            raise _impossible("No expression is set. MetaDataChecker will do nothing!")
        # What is wrong is the NotImplementedError of calculateResult, which has no words.
        raise _impossible(
            "There was an error parsing the checker expression:  - MetaDataChecker will do nothing!"
        )


def _impossible(text: str) -> CheckImpossible:
    """With the class before it, as Ganga writes an exception of its own."""
    return CheckImpossible(f"PostProcessException: {text}")
