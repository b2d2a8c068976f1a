"""The model of ``python -m benchmarks capacity``: from measured figures to what is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import capacity


def scale(costs: dict[int, float]) -> dict[str, float]:
    """Size -> microseconds of everything at that size; a change costs twice a look."""
    found = {}
    for size, cost in costs.items():
        for sweep, times in (("nothing changes", 1), ("all change", 2)):
            for process, of_it in (("redis", 1.0), ("aof rewrite", 0.5), ("workers", 10.0)):
                found[f"{size:,}: CPU of {process} a job, {sweep}"] = cost * of_it * times
        found[f"{size:,}: Redis a job, ended, all of it kept"] = 600.0
    return found


THROUGHPUT = {
    "8 threads: fetched and committed": 100.0,
    "8 threads: CPU of transfer a job": 9.0,
    "8 threads: CPU of redis a job": 9.0,
    "2x16 threads: fetched and committed": 400.0,
    "2x16 threads: CPU of transfer a job": 1000.0,
    "2x16 threads: CPU of transfer1 a job": 2000.0,
    "2x16 threads: CPU of redis a job": 100.0,
}


def files(tmp_path: Path, costs: dict[int, float]) -> list[str]:
    paths = []
    for name, found in (("scale", scale(costs)), ("throughput", THROUGHPUT)):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({key: {"value": value} for key, value in found.items()}))
        paths += [f"--{name}", str(path)]
    return paths


def test_costs_are_those_of_the_fastest_run_with_all_its_processes() -> None:
    found = capacity.costs(scale({1000: 2.0}), 1000, THROUGHPUT)
    assert found == capacity.Costs(20.0, 40.0, 3.0, 6.0, 3000.0, 100.0, 600.0)


def test_what_is_needed() -> None:
    """A million jobs of 10,000 s, each asked about every 100 s: by hand."""
    costs = capacity.Costs(20.0, 40.0, 3.0, 6.0, 3000.0, 1000.0, 600.0)
    found = capacity.need(capacity.Load(1_000_000, 10_000.0, 100.0), costs)
    # 10,000 polls and 200 transitions a second; 100 ends.
    assert found.poll == pytest.approx(0.2 + 0.004)
    assert found.redis == pytest.approx(0.03 + 0.0006 + 0.1)
    assert found.transfer == pytest.approx(0.3)
    assert (found.cells, found.memory, found.queries) == (1, 6e8, 600.0)
    assert capacity.need(capacity.Load(10_000_000, 10_000.0, 100.0), costs).cells == 3


@pytest.mark.parametrize(("large", "code"), [(2.5, 0), (3.0, 1)])
def test_a_model_that_does_not_foretell_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], large: float, code: int
) -> None:
    given = files(tmp_path, {10_000: 2.0, 1_000_000: large})
    assert capacity.main(given) == code
    said = capsys.readouterr().out
    assert ("MISSED" in said) == bool(code)
    assert "100,000,000" in said


def test_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = files(tmp_path, {10_000: 2.0})
    Path(given[3]).write_text("{}")
    with pytest.raises(SystemExit) as ended:
        capacity.main(given)
    assert ended.value.code == 2
    assert "not what those benchmarks write" in capsys.readouterr().err
