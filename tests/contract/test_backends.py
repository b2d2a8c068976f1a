"""The backend suite, run by every backend."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gangamon.backends.local import LocalBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.protocols import Limits, PollItem
from gangamon.testing.conformance import BackendCase, BackendConformance, NativeCodesConformance
from gangamon.testing.factories import poll_item

START = "START: Mon Nov 23 03:09:43 2026\n"
FILES = {
    "42.0": START,
    "42.1": f"{START}WRAPPER: 11\nPID: 12\nEXITCODE: 0\n",
    "42.2": f"{START}WRAPPER: 13\nPID: 14\nEXITCODE: 1\n",
    "42.3": f"{START}WRAPPER: {2**22 + 1}\nPID: 15\n",
}


class TestLocal(BackendConformance):
    """Ganga's Local: on its host, where the wrappers are judged as well."""

    @pytest.fixture
    def case(self, tmp_path: Path) -> BackendCase:
        top = tmp_path / "LocalXML"

        def item(fqid: str) -> PollItem:
            return poll_item(fqid, str(top / fqid.replace(".", "/") / "output"))

        for fqid, text in FILES.items():
            output = Path(item(fqid).output)
            output.mkdir(parents=True)
            (output / "__jobstatus__").write_text(text)
        return BackendCase(
            backend=LocalBackend(),
            lane=Lane("Local", socket.gethostname()),
            known=[item(fqid) for fqid in FILES],
            missing=item("42.9"),
            sever=lambda: shutil.rmtree(top),
        )


@dataclass
class Table:
    """A backend as a plugin for a batch system would be: codes and what they mean."""

    name = "Table"
    codes: dict[str, str]
    limits: Limits = field(default_factory=Limits)
    down: bool = False

    MEANING: Mapping[str, JobStatus] = field(
        default_factory=lambda: {"PD": JobStatus.SUBMITTED, "CD": JobStatus.COMPLETED}
    )

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        if self.down:
            raise BackendUnreachable("down")
        return {item.fqid: self._one(item) for item in items}

    def _one(self, item: PollItem) -> Observation:
        code = self.codes.get(item.native_id)
        return Seen(code, self.MEANING.get(code), self.name) if code else Absent(self.name)

    def second_source(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        return {item.fqid: Absent("history", second=True) for item in items}


class TestTable(BackendConformance, NativeCodesConformance):
    """The suites hold for a backend with codes of its own, and so can be kept by plugins."""

    @pytest.fixture
    def case(self) -> BackendCase:
        table = Table({"1": "PD", "2": "CD", "3": "ODD"})
        return BackendCase(
            backend=table,
            lane=Lane("Table", "cluster"),
            known=[poll_item(f"42.{n}", "/none", native_id=str(n)) for n in (1, 2)],
            missing=poll_item("42.9", "/none", native_id="9"),
            sever=lambda: setattr(table, "down", True),
        )

    @pytest.fixture
    def unmapped(self) -> PollItem:
        return poll_item("42.3", "/none", native_id="3")


class Liar(Table):
    """Breaks one promise after the other."""

    lie = ""

    def _one(self, item: PollItem) -> Observation:
        answer = super()._one(item)
        if isinstance(answer, Absent) and self.lie == "absent is failed":
            return Seen("?", JobStatus.FAILED, self.name)
        if isinstance(answer, Seen) and answer.status is None and self.lie == "guess":
            return Seen(answer.native_status, JobStatus.RUNNING, self.name)
        return answer

    def poll(self, lane: Lane, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        if self.down and self.lie == "down is absent":
            return {item.fqid: Absent(self.name) for item in items}
        answers = dict(super().poll(lane, items))
        if self.lie == "leaves out":
            answers = {fqid: a for fqid, a in answers.items() if isinstance(a, Seen)}
        return answers


@pytest.mark.parametrize(
    ("lie", "test"),
    [
        ("absent is failed", "test_the_unknown_is_absent"),
        ("down is absent", "test_unreachable_is_an_error"),
        ("leaves out", "test_answers_every_item_once"),
    ],
)
def test_the_suite_finds_liars(lie: str, test: str) -> None:
    """A backend that breaks a promise does not pass: the suite can fail."""
    liar = Liar({"1": "PD", "2": "CD"})
    liar.lie = lie
    case = BackendCase(
        backend=liar,
        lane=Lane("Table", "cluster"),
        known=[poll_item(f"42.{n}", "/none", native_id=str(n)) for n in (1, 2)],
        missing=poll_item("42.9", "/none", native_id="9"),
        sever=lambda: setattr(liar, "down", True),
    )
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(BackendConformance(), test)(case)


def test_the_suite_finds_guessers() -> None:
    """A backend that makes something up for an unknown code does not pass."""
    liar = Liar({"3": "ODD"})
    liar.lie = "guess"
    item = poll_item("42.3", "/none", native_id="3")
    case = BackendCase(liar, Lane("Table", "cluster"), [item], item, sever=lambda: None)
    with pytest.raises(AssertionError):
        NativeCodesConformance().test_an_unknown_code_is_kept(case, item)
