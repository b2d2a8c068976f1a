"""``python -m benchmarks hanging``: a good lane beside more silent ones than poll threads.

Two services side by side on the same backend scenario: one has the good lane alone, the other also
has lanes whose endpoint accepts each query and never answers. Real Redis, workers and beat.
"""

from __future__ import annotations

import io
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from benchmarks import figures
from benchmarks.support import Verdict, parser
from tests.support.hanging import HANGING, THREADS, run

#: What the hanging lanes may add to the p99 of the others.
BOUND = 1.2


def main(argv: list[str]) -> int:
    given = parser("hanging").parse_args(argv)
    seconds = 20.0 if given.quick else 120.0
    verdict = Verdict()
    print(f"{HANGING} lanes that never answer, {THREADS} poll threads, queries each second")
    # The services print the ends of their logs: worth reading only where something failed.
    said = io.StringIO()
    try:
        with redirect_stdout(said), tempfile.TemporaryDirectory(prefix="gm-bench-") as name:
            pair = run(Path(name), int(40 * seconds), seconds)
    except BaseException:
        print(said.getvalue(), file=sys.stderr)
        raise
    print(figures.line("lag without them", pair.alone, "s"))
    print(figures.line("lag beside them", pair.beside, "s"))
    without, beside = (figures.quantile(lags, 0.99) for lags in (pair.alone, pair.beside))
    verdict.note("p99 without them", without, "s")
    verdict.note("p99 beside them", beside, "s")
    verdict.bound("p99 beside them / without them", beside / without, BOUND, "times")
    verdict.bound("threads that hang at once", pair.connections, THREADS // 2, "threads")
    return verdict.end(given.json)
