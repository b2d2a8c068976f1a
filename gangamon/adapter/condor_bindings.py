"""HTCondor's bindings of version 2 under the names of version 1 that Ganga's Condor uses.

Wheels of ``htcondor`` from 25 on, and the packages of HTCondor 25, have no module ``htcondor``, and
without it Ganga 8.7.12 can neither submit nor kill (Lib/Condor/Condor.py:40 swallows that it is not
there; every later use is a NameError). These names are all that it uses.
"""

from __future__ import annotations

from typing import Any


class ExprTree(str):
    """A constraint as text, which version 2 takes as well. What is joined keeps its parentheses;
    those of version 1 did not, so that Ganga got jobs of other clusters (Condor.py:480)."""

    def and_(self, other: str) -> ExprTree:
        return ExprTree(f"({self}) && ({other})")

    def or_(self, other: str) -> ExprTree:
        return ExprTree(f"({self}) || ({other})")


class ClassAds:
    """In the place of the module ``classad``."""

    ExprTree = ExprTree


class Credd:
    """Version 2 looks for the daemon at once, also where no credential is to be given to it, as
    Ganga does before each submission; most pools have none."""

    def add_user_cred(self, *arguments: Any) -> None:
        import htcondor2

        htcondor2.Credd().add_user_cred(*arguments)


class Bindings:
    """In the place of the module ``htcondor``. The real one is loaded at the first use: it takes
    a tenth of a second, and most sessions need none."""

    Credd = Credd
    _OTHERWISE = {"HTCondorIOError": "HTCondorException", "CredTypes": "CredType"}  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        import htcondor2

        try:
            return getattr(htcondor2, name)
        except AttributeError:
            if name not in self._OTHERWISE:
                raise
            return getattr(htcondor2, self._OTHERWISE[name])
