"""The application: pages, API, static files, and what is answered when something is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, urlencode

import jinja2
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from gangamon import __version__
from gangamon.client import Client
from gangamon.errors import BadInput, GangamonError, NotPermitted, StoreUnavailable
from gangamon.views.subjobs import Wanted
from gangamon.web import first as first_shown
from gangamon.web.actions import Actions
from gangamon.web.api import Answer, Number, Repository, router
from gangamon.web.auth import COOKIE, Gate, Refused, Session
from gangamon.web.board import Board, statuses
from gangamon.web.files import Files
from gangamon.web.guard import Shield, below, peer, reading, whose
from gangamon.web.live import Live

HERE = Path(__file__).parent

#: Rows of a page as it is first shown.
ROWS = 50

#: Bytes of a login form.
FORM = 4096


def create_app(make_client: Callable[[], Client], gate: Gate, prefix: str = "") -> FastAPI:
    """``make_client``: called once for the reader, the views and the commands each. ``prefix``:
    goes before every path; '/NAME' or ''."""
    live = Live(make_client())
    board = Board(make_client(), live)
    actions = Actions(make_client(), board)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        live.start()
        yield
        live.stop()

    app = FastAPI(
        title="gangamon",
        version=__version__,
        description="Jobs of one owner, as the job page shows them.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        middleware=[Middleware(Shield, gate=gate, prefix=prefix)],
    )
    app.state.gate, app.state.live, app.state.board = gate, live, board
    app.include_router(router(board, live, actions))
    app.mount("/static", FILES)
    shapes = _templates(prefix)
    _pages(app, board, live, shapes)
    _login(app, gate, shapes, prefix)
    _faults(app, shapes, prefix)
    return app


FILES = Files(HERE / "static")


def _templates(prefix: str) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= first_shown.FILTERS
    made.globals |= first_shown.GLOBALS
    made.globals["root"] = prefix
    made.globals["file"] = lambda name: prefix + FILES.address(name)
    made.globals["modules"] = FILES.modules
    return made


PAGES = (
    ("/", "jobs", "Jobs"),
    ("/lanes", "lanes", "Lanes"),
    ("/queues", "queues", "Queues"),
    ("/sites", "sites", "Sites"),
    ("/trends", "trends", "Trends"),
)


def _pages(app: FastAPI, board: Board, live: Live, shapes: jinja2.Environment) -> None:
    def show(
        session: Session,
        page: str,
        title: str,
        make: Callable[[], dict[str, Any] | None],
        begun: bool = False,
    ) -> Response:
        """The page with what it first shows, so that it need not ask for it. ``begun``: what the
        scripts will show is shown before they run."""
        away, data, told = "", None, live.told  # before what is shown is read
        try:
            data = make()
            overview = board.overview()
            if data is None:
                raise HTTPException(404, "not known to the service")
        except StoreUnavailable as error:
            away = str(error)
            overview = {"owner": board.client.owner, "flower": "", "away": away}
        repositories = {row["repository"] for row in (data or {}).get("jobs", {}).get("rows", ())}
        text = shapes.get_template("page.html").render(
            page=page,
            title=title,
            pages=PAGES,
            owner=board.client.owner,
            token=session.token,
            login=app.state.gate.login,
            away=away,
            data={"page": data, "overview": overview, "told": told},
            begun=begun,
            several=len(repositories) > 1,
        )
        return HTMLResponse(text, 503 if away else 200)

    def page(path: str, name: str, title: str, make: Callable[[], dict[str, Any]]) -> None:
        @app.get(path, include_in_schema=False, name=name)
        def shown(session: Annotated[Session, Depends(reading)]) -> Response:
            return show(session, name, title, make)

    page("/lanes", "lanes", "Lanes", lambda: {"lanes": board.lanes()})
    page("/queues", "queues", "Queues", lambda: {"queues": board.queues(), "dead": board.dead()})
    page("/sites", "sites", "Sites", dict)  # counted when asked: it may take seconds
    page("/trends", "trends", "Trends", lambda: {"points": live.trends.points()})

    @app.get("/", include_in_schema=False)
    def jobs(
        session: Annotated[Session, Depends(reading)],
        status: Annotated[str, Query(max_length=20)] = "",
        text: Annotated[str, Query(max_length=200)] = "",
        first: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        live.ready.wait(5.0)

        def made() -> dict[str, Any]:
            return {"jobs": board.jobs(status, text, "", first, ROWS)}

        return show(session, "jobs", "Jobs", made, begun=True)

    @app.get("/jobs/{repository}/{number}", include_in_schema=False)
    def job(
        session: Annotated[Session, Depends(reading)],
        repository: Repository,
        number: Number,
        status: Annotated[str, Query(max_length=100)] = "",
        text: Annotated[str, Query(max_length=200)] = "",
        site: Annotated[str | None, Query(max_length=200)] = None,
        cause: Annotated[str, Query(max_length=3000)] = "",
        first: Annotated[int, Query(ge=0)] = 0,
        tab: Annotated[str, Query(max_length=20)] = "subjobs",
    ) -> Response:
        def made() -> dict[str, Any] | None:
            try:
                wanted = Wanted(statuses(status), text.strip(), site, cause)
            except ValueError:
                wanted = Wanted()
            return board.job_page(repository, number, wanted, first, ROWS)

        return show(session, "job", f"Job {number}", made, begun=tab == "subjobs")

    @app.get("/metrics", include_in_schema=False, dependencies=[Depends(reading)])
    def metrics(request: Request) -> Response:
        """What `gangamon metrics` serves, of the whole cell."""
        try:
            from gangamon.metrics import exposition
        except ImportError as error:
            raise HTTPException(404, "needs the metrics extra: 'gangamon[metrics]'") from error
        found = exposition(board.client, request.headers.get("accept", ""))
        return Response(found.body, headers={"Content-Type": found.content_type})

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> Response:
        """For whoever keeps this process alive: whether the store answers. Says nothing else."""
        try:
            board.client.clock()
        except GangamonError:
            return PlainTextResponse("the store is away\n", 503)
        return PlainTextResponse("ok\n")


def _login(app: FastAPI, gate: Gate, shapes: jinja2.Environment, prefix: str) -> None:
    def form(wrong: str, status: int, to: str) -> Response:
        text = shapes.get_template("login.html").render(wrong=wrong, to=to)
        return HTMLResponse(text, status)

    @app.get("/login", include_in_schema=False)
    def ask(request: Request, to: Annotated[str, Query(max_length=2000)] = "") -> Response:
        if whose(request) is not None:
            return RedirectResponse(_here(to, prefix), 303)
        return form("", 200, _here(to, prefix))

    @app.post("/login", include_in_schema=False)
    async def enter(request: Request) -> Response:
        gate.check_origin(request.headers)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > FORM:
                raise Refused(400, "too long")
        fields = parse_qs(body.decode(errors="replace"))
        to = _here(fields.get("to", [""])[0], prefix)
        try:
            cookie = gate.enter(fields.get("password", [""])[0], peer(request))
        except Refused as refused:
            answer = form(refused.why, refused.status, to)
            answer.headers["Retry-After"] = str(refused.wait)
            return answer
        if cookie is None:
            return form("That is not the password.", 401, to)
        answer = RedirectResponse(to, 303)
        secure = request.headers.get("origin", "").startswith("https:")
        answer.set_cookie(
            COOKIE, cookie, httponly=True, samesite="strict", secure=secure, path=prefix or "/"
        )
        return answer

    @app.post("/logout", include_in_schema=False)
    async def leave(request: Request) -> Response:
        gate.check_origin(request.headers)
        gate.leave(request.cookies.get(COOKIE))
        answer = RedirectResponse(f"{prefix}/login", 303)
        answer.delete_cookie(COOKIE, path=prefix or "/")
        return answer


def _here(to: str, prefix: str) -> str:
    """A path of this page, and nothing else."""
    plain = to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable()
    return to if plain and to.startswith(f"{prefix}/") else f"{prefix}/"


def _for_programs(request: Request) -> bool:
    """These are told of a fault in json, and led to no form."""
    return below(request).startswith("/api/") or below(request) == "/metrics"


def _faults(app: FastAPI, shapes: jinja2.Environment, prefix: str) -> None:
    def told(request: Request, status: int, why: str) -> Response:
        if _for_programs(request):
            return Answer({"error": why}, status)
        text = shapes.get_template("fault.html").render(status=status, why=why)
        return HTMLResponse(text, status)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        if error.status == 401 and not _for_programs(request) and request.method == "GET":
            asked = f"?{request.url.query}" if request.url.query else ""
            target = f"{prefix}{below(request)}{asked}"
            return RedirectResponse(f"{prefix}/login?{urlencode({'to': target})}", 303)
        answer = told(request, error.status, error.why)
        if error.status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        if error.wait:
            answer.headers["Retry-After"] = str(error.wait)
        return answer

    @app.exception_handler(BadInput)
    async def bad(request: Request, error: BadInput) -> Response:
        return told(request, 422, "; ".join(error.faults))

    @app.exception_handler(NotPermitted)
    async def not_permitted(request: Request, error: NotPermitted) -> Response:
        return told(request, 403, str(error))

    @app.exception_handler(GangamonError)
    async def away(request: Request, error: GangamonError) -> Response:
        return told(request, 503, str(error))

    @app.exception_handler(StarletteHTTPException)
    async def other(request: Request, error: StarletteHTTPException) -> Response:
        return told(request, error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        lines = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors()]
        return told(request, 422, "; ".join(lines))
