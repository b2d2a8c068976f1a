"""HTCondor's Python bindings (version 2), as a program: ``python -m
gangamon.backends.condor.bindings QUEUE|FACTORIES|HISTORY SCHEDD CONSTRAINT MATCH ATTRIBUTE...``.

It prints what ``condor_q -json`` prints. A process of its own, for a call of the bindings cannot be
given a time-out, and a process can be killed.
"""

from __future__ import annotations

import sys
from typing import Any


def main(what: str, name: str, constraint: str, match: str, *attributes: str) -> None:
    import htcondor2

    schedd: Any = htcondor2.Schedd()
    if name:
        place = htcondor2.Collector().locate(htcondor2.DaemonType.Schedd, name)
        if place is None:  # with which it would be the local one
            raise LookupError(f"the collector knows no schedd {name!r}")
        schedd = htcondor2.Schedd(place)
    projection = list(attributes)
    if what == "HISTORY":
        found = schedd.history(constraint, projection, int(match))
    elif what == "FACTORIES":
        found = schedd.query(constraint, projection, opts=htcondor2.QueryOpt.IncludeClusterAd)
        found = [ad for ad in found if "ProcId" not in ad]
    else:
        found = schedd.query(constraint, projection)
    print("[", ",\n".join(ad.printJson() for ad in found), "]", sep="\n")  # noqa: T201


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told and was no answer
        sys.exit(f"{type(error).__name__}: {error}")
