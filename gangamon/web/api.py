"""The JSON API under /api/v1: what the page itself asks, for programs too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from starlette.responses import StreamingResponse

from gangamon.views.subjobs import Wanted
from gangamon.web import shapes
from gangamon.web.actions import Actions
from gangamon.web.board import Board, statuses
from gangamon.web.guard import changing, reading
from gangamon.web.live import Live, Viewer

#: Rows of a page, at most; viewers at the same time.
MOST, VIEWERS = 500, 200

#: Seconds without an event after which a viewer gets an empty line, so that no proxy ends it.
QUIET = 15.0

Repository = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Number = Annotated[int, Path(ge=0, le=2**31)]
Sub = Annotated[int, Path(ge=-1, le=2**31)]
First = Annotated[int, Query(ge=0, le=2**31)]
Size = Annotated[int, Query(ge=1, le=MOST)]
Text = Annotated[str, Query(max_length=200)]


class Answer(Response):
    """Json as it is: nothing is checked against a model at run time."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode()


def _known(found: Any, what: str) -> Answer:
    if found is None:
        raise HTTPException(404, f"{what} is not known to the service")
    return Answer(found)


def router(board: Board, live: Live, actions: Actions) -> APIRouter:
    api = APIRouter(
        prefix="/api/v1", dependencies=[Depends(reading)], default_response_class=Answer
    )
    change = [Depends(changing)]

    @api.get("/overview", response_model=shapes.Overview)
    def overview() -> Any:
        """Sums over all jobs, and how the service is."""
        return Answer(board.overview())

    @api.get("/jobs", response_model=shapes.Jobs)
    def jobs(
        status: Annotated[str, Query(pattern="^[a-z]*$")] = "",
        text: Text = "",
        repository: Annotated[str, Query(pattern="^([0-9a-f]{32})?$")] = "",
        first: First = 0,
        size: Size = 50,
    ) -> Any:
        """Master jobs, the newest first. ``status``: one of a job's, or ``open``."""
        return Answer(board.jobs(status, text, repository, first, size))

    @api.get("/jobs/{repository}/{number}", response_model=shapes.Job)
    def job(repository: Repository, number: Number) -> Any:
        """One master job."""
        return _known(board.job(repository, number), f"job {number}")

    @api.get("/jobs/{repository}/{number}/subjobs", response_model=shapes.SubjobPage)
    def subjobs(
        repository: Repository,
        number: Number,
        status: Text = "",
        text: Text = "",
        site: Annotated[str | None, Query(max_length=200)] = None,
        cause: Annotated[str, Query(max_length=3000)] = "",
        first: First = 0,
        size: Size = 50,
    ) -> Any:
        """A page of its subjobs. ``status``: some, with commas between them; ``text``: in the
        number, the backend's id, its status, the site or the reason; ``cause``: a key of
        ``causes``."""
        try:
            wanted = Wanted(statuses(status), text.strip(), site, cause)
        except ValueError as error:
            raise HTTPException(422, f"status: {error}") from error
        return _known(board.subjobs(repository, number, wanted, first, size), f"job {number}")

    @api.get("/jobs/{repository}/{number}/subjobs/{sub}", response_model=shapes.Story)
    def story(repository: Repository, number: Number, sub: Sub) -> Any:
        """Why a subjob has its status: evidence and history. ``sub`` -1: a job not split."""
        return _known(board.story(repository, number, sub), f"job {number}.{sub}")

    @api.get("/jobs/{repository}/{number}/causes", response_model=list[shapes.Cause])
    def causes(repository: Repository, number: Number) -> Any:
        """Its failed and killed subjobs by cause."""
        return _known(board.causes(repository, number), f"job {number}")

    @api.get("/jobs/{repository}/{number}/sites", response_model=shapes.Sites)
    def sites_of(repository: Repository, number: Number) -> Any:
        """Where its subjobs ran."""
        return Answer(board.sites(repository, number))

    @api.get("/sites", response_model=shapes.Sites)
    def sites() -> Any:
        """Where all subjobs ran."""
        return Answer(board.sites())

    @api.get("/lanes", response_model=list[shapes.Lane])
    def lanes() -> Any:
        """How backends are asked, and how late ends are noticed."""
        return Answer(board.lanes())

    @api.get("/queues", response_model=shapes.Queues)
    def queues() -> Any:
        """What waits, and what is worked on."""
        return Answer(board.queues())

    @api.get("/dead", response_model=shapes.Dead)
    def dead() -> Any:
        """Dead letters: what was set aside."""
        return Answer(board.dead())

    @api.get("/trends", response_model=list[shapes.Point])
    def trends() -> Any:
        """Since this page was started, two hours at most: one point for ten seconds."""
        return Answer(live.trends.points())

    @api.get("/events", response_class=StreamingResponse)
    async def events() -> Any:
        """Server-sent events, JSON objects with some of: ``told`` (the first: how many changes
        were told before), ``masters`` (rows that changed), ``gone`` ([repository, number]),
        ``subs`` (REPOSITORY/NUMBER -> sub -> status; null: too many to name), ``sums``,
        ``tick_age``, ``point`` (of the trends), ``away``, ``again`` (ask for everything anew)."""
        if live.viewers() >= VIEWERS:
            raise HTTPException(503, f"{VIEWERS} viewers already")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_stream(live), media_type="text/event-stream", headers=headers)

    @api.post(
        "/jobs/{repository}/{number}/refresh", response_model=shapes.Done, dependencies=change
    )
    def refresh(repository: Repository, number: Number) -> Any:
        """Ask about this job at the next tick, due or not."""
        return Answer(actions.refresh(repository, number))

    @api.post("/lanes/pause", response_model=shapes.Done, dependencies=change)
    def pause(wanted: shapes.LaneName) -> Any:
        """Ask nothing in a lane until it is resumed."""
        return Answer(actions.pause(wanted.lane, wanted.reason))

    @api.post("/lanes/resume", response_model=shapes.Done, dependencies=change)
    def resume(wanted: shapes.LaneName) -> Any:
        """Ask in a lane again, at once."""
        return Answer(actions.resume(wanted.lane))

    @api.post("/dead/retry", response_model=shapes.Done, dependencies=change)
    def retry(wanted: shapes.Letters) -> Any:
        """Take dead letters back."""
        return Answer(actions.retry(wanted.names, wanted.everything))

    @api.get("/openapi.json", include_in_schema=False)
    def openapi(request: Request) -> Any:
        return Answer(request.app.openapi())

    return api


async def _stream(live: Live) -> AsyncIterator[bytes]:
    viewer = Viewer(asyncio.get_running_loop())
    live.join(viewer)
    try:
        yield b'retry: 1000\ndata: {"told":%d}\n\n' % live.told
        while True:
            try:
                event = await asyncio.wait_for(viewer.events.get(), QUIET)
            except asyncio.TimeoutError:
                event = b":\n\n"
            if event is None:
                event = b'data: {"again":true}\n\n'
            yield event
    finally:
        live.leave(viewer)
