"""A Ganga's workspace on another host, which is this one."""

from __future__ import annotations

from pathlib import Path

from gangamon.domain.lane import Lane
from gangamon.protocols import FetchOrder, PollItem
from gangamon.testing.factories import poll_item

START = "START: Mon Nov 23 03:09:43 2026\n"


class Far:
    """A Ganga's workspace on the other host."""

    def __init__(self, folder: Path) -> None:
        self.top = folder / "far home" / "workspace" / "me" / "LocalXML"

    def job(self, number: int, text: str | None = "", wrapper: int = 0, host: str = "") -> PollItem:
        """None: there is no status file yet."""
        output = self.top / str(number) / "output"
        output.mkdir(parents=True)
        (self.top / str(number) / "input").mkdir()
        if text is not None:
            (output / "__jobstatus__").write_text(text)
        return self.item(number, wrapper, host)

    def item(self, number: int, wrapper: int = 0, host: str = "") -> PollItem:
        extra = {"workspace": str(self.top), "wrapper_pid": wrapper, "host": host}
        return poll_item(f"42.{number}", "/none", native_id=str(number), extra=extra)

    def orders(self, here: Path, endpoint: str, count: int, files: int = 2) -> list[FetchOrder]:
        """Of jobs with so many files, ``out0`` and so on, to be brought below ``here``."""
        return [self.order(here, endpoint, number, files) for number in range(count)]

    def order(self, here: Path, endpoint: str, number: int, files: int = 2) -> FetchOrder:
        item = self.job(number)
        for n in range(files):
            path = self.top / str(number) / "output" / f"out{n}"
            path.write_bytes(f"{number} {n}\n".encode() * 500)
        target = here / "42" / str(number) / "output"
        target.mkdir(parents=True)
        lane = Lane("Remote", endpoint)
        return FetchOrder(
            f"42.{number}", 1, str(target), str(number), item.extra, (str(here),), lane
        )

    def came(self, order: FetchOrder) -> bool:
        """Whether all of it is there, byte for byte, and nothing else but ours."""
        there = self.top / order.native_id / "output"
        here = Path(order.target)
        names = {path.name for path in here.iterdir() if path.name != ".gangamon-manifest.json"}
        return names == {path.name for path in there.iterdir()} and all(
            (here / name).read_bytes() == (there / name).read_bytes() for name in names
        )
