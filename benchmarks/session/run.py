"""``python -m benchmarks session``: a user types in a real Ganga 8.7.12 session while all subjobs
of a job become running and then completed.

Nothing of the user's own is touched: private homes in temporary directories, removed at the end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from importlib.util import find_spec
from statistics import median

from benchmarks import figures
from benchmarks.ganga import Failed
from benchmarks.session import stacks
from benchmarks.session.play import FRESH, GANGAMON, RATES, REOPENED, STOCK, Played, play, rate
from benchmarks.session.watch import SLOW
from benchmarks.support import Verdict, parser

#: The bounds: seconds of a cheap call; dear calls against what they cost idle; seconds until a
#: re-opened session is right.
P99, P999, DEAR, RIGHT = 0.005, 0.1, 1.5, 5.0

#: Subjobs a second that must be shown and made durable if they are offered as fast as that.
RUNNING_RATE, COMPLETED_RATE, DURABLE_RATE = 2000.0, 1000.0, 200.0
CHEAP, DEARER = ("jobs(i).status", "len(jobs)"), ("select", "str(jobs)")
QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0))


def main(argv: list[str]) -> int:
    arguments = parser("session")
    arguments.add_argument("--subjobs", type=int, help="default: 10000, quick 1000")
    arguments.add_argument("--stock-subjobs", type=int, help="default: 1000, quick 300; 0: none")
    arguments.add_argument("--only", choices=(FRESH, REOPENED, RATES, STOCK), help="one run")
    arguments.add_argument("--limit", type=float, default=600.0, help="seconds for the updates")
    options = arguments.parse_args(argv)
    size = options.subjobs or (1000 if options.quick else 10000)
    stock = options.stock_subjobs
    if stock is None:
        stock = 300 if options.quick else 1000
    if find_spec("ganga") is None:
        print("session: Ganga is not installed: pip install 'gangamon[all]'", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is ended
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    verdict = Verdict()
    runs: list[Played] = []
    for side, act, number in (
        (GANGAMON, FRESH, size),
        (GANGAMON, REOPENED, size),
        (GANGAMON, RATES, size),
        (STOCK, FRESH, stock),
    ):
        if not number or options.only not in (None, STOCK if side == STOCK else act):
            continue
        print(f"\n{side}, {act} session, {number} subjobs (load {os.getloadavg()[0]:.1f})")
        try:
            played = play(side, act, number, options.limit)
        except Failed as error:
            print(f"FAULT {side}, {act}: {error}", flush=True)
            verdict.missed += 1
            continue
        runs.append(played)
        _told(played)
        _judged(verdict, played)
    print()
    if fresh := [played for played in runs if played.act == FRESH]:
        _beside(fresh)
    verdict.figures["runs"] = [vars(played) for played in runs]
    return verdict.end(options.json)


def _told(played: Played) -> None:
    session, calls = played.session, played.session["calls"]
    for phase in ("before", "updates", "after", "control"):
        for name in (*CHEAP, *DEARER):
            if values := calls[phase][name]:
                row = "  ".join(
                    f"{key} {figures.quantile(values, q) * 1000:9.3f}" for key, q in QUANTILES
                )
                print(f"  {phase:8} {name:15} {row} ms  (n={len(values)})")
    for phase, period in session["periods"].items():
        share = period["other_cpu"] / period["wall"]
        print(
            f"  {phase}: {period['wall']:.1f} s; CPU of the session's other threads "
            f"{share:.0%} of a core"
        )
    for told in session["slow"]:
        print(
            f"  {told['phase']}: {told['call']} {told['seconds']:.3f} s: {told['class']} "
            f"({told['samples']} samples, {told['cores']:.1f} cores)"
        )
    for ended, seconds, thread in session["collections"]:
        if seconds > SLOW / 2:
            at = ended - session["prompt"]
            print(f"  garbage collection: {seconds:.2f} s at {at:.0f} s, in the thread {thread}")
    facts = [(name, value) for name, value in session["facts"].items() if name.endswith("_s")]
    told = ", ".join(f"{name[:-2]} {value:.1f} s" for name, value in facts)
    print(f"  {told}; memory {session['memory'] / 2**20:.0f} MB; load {played.load[0]:.1f} -> "
          f"{played.load[1]:.1f}; master {session['status']}")  # fmt: skip


def _judged(verdict: Verdict, played: Played) -> None:
    """Bounds are gangamon's; of stock Ganga the same figures are told."""
    session, calls, seen = played.session, played.session["calls"], played.session["seen"]
    ours = played.side == GANGAMON
    head = played.act if ours else f"stock {played.subjobs}"
    bound = (
        verdict.bound if ours else (lambda name, value, _, unit: verdict.note(name, value, unit))
    )
    for name in CHEAP:
        values = calls["updates"][name]
        bound(f"{head}: {name} p99", figures.quantile(values, 0.99) * 1e3, P99 * 1e3, "ms")
        bound(f"{head}: {name} p99.9", figures.quantile(values, 0.999) * 1e3, P999 * 1e3, "ms")
        if control := calls["control"][name]:
            over = figures.quantile(values, 0.99) / figures.quantile(control, 0.99)
            verdict.note(f"{head}: {name} p99 against the control's", over, "x")
    slow = Counter(one["class"] for one in session["slow"] if one["phase"] == "updates")
    for kind in (stacks.CODE, stacks.LOCK):
        bound(f"{head}: calls over {SLOW:g} s: {kind}", slow.pop(kind, 0), 0, "calls")
    for kind, number in slow.items():
        verdict.note(f"{head}: calls over {SLOW:g} s: {kind}", number, "calls")
    if played.act != REOPENED:
        for name in DEARER:
            bound(f"{head}: {name} against idle", against_idle(calls, name), DEAR, "x")
    if played.act == REOPENED:
        bound(f"{head}: right after", session["facts"].get("right_s", float("nan")), RIGHT, "s")
    if played.committed:
        verdict.note(f"{head}: completed by the service", rate(played.committed), "subjobs/s")
    for name, value, least in (
        ("running in memory", rate(seen["running"]), RUNNING_RATE),
        ("completed in memory", rate(seen["completed"]), COMPLETED_RATE),
        ("made durable", rate(played.durable), DURABLE_RATE),
    ):
        if played.act == RATES:
            verdict.at_least(f"{head}: {name}", value, least, "subjobs/s")
        else:
            verdict.note(f"{head}: {name}", value, "subjobs/s")
    lags = [at - seen["completed"].get(str(sub), at) for sub, at in played.durable.items()]
    verdict.note(f"{head}: completed to durable, p95", figures.quantile(lags, 0.95), "s")
    missing = played.subjobs - session["facts"]["counts"].get("completed", 0)
    bound(f"{head}: not completed in memory", missing, 0, "subjobs")
    bound(f"{head}: not completed on disk", played.subjobs - len(played.durable), 0, "subjobs")


def _beside(fresh: list[Played]) -> None:
    """The fresh sessions in columns, the last one's figures against the first one's."""
    rows = [
        (f"{name} {key}, ms", [figures.quantile(p.session["calls"]["updates"][name], q) * 1e3
                               for p in fresh])
        for name in (*CHEAP, *DEARER) for key, q in QUANTILES if name in CHEAP or key == "p50"
    ]  # fmt: skip
    for status in ("running", "completed"):
        rows.append((f"{status} in memory, /s", [rate(p.session["seen"][status]) for p in fresh]))
    rows.append(("made durable, /s", [rate(p.durable) for p in fresh]))
    print(
        f"{'':30}"
        + "".join(f"{f'{p.side} {p.subjobs}':>16}" for p in fresh)
        + f"{'last:first':>12}"
    )
    for name, values in rows:
        ratio = f"{values[-1] / values[0]:12.2f}" if len(values) > 1 and values[0] else ""
        print(f"{name:30}" + "".join(f"{value:16.3f}" for value in values) + ratio)


def against_idle(calls: dict[str, dict[str, list[float]]], name: str) -> float:
    """The median while updates came, against the greater of the idle medians before and after
    them: what `select` finds, and so its cost, differs between the two. NaN if never called."""
    during = calls["updates"][name]
    idle = [median(calls[phase][name]) for phase in ("before", "after") if calls[phase][name]]
    return median(during) / max(idle) if during and idle else float("nan")
