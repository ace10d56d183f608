"""`relook console`: the routes, and the server on this machine's own address."""

from __future__ import annotations

import socket
import threading
import time
import webbrowser

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from cli.console import (
    inspections,
    labelling,
    models,
    overview,
    pictures,
    projects,
    regions,
    report,
    retraining,
    reviewing,
    trying,
)
from cli.console.pages import HERE, Console, NotThereError, render
from cli.console.safety import TOKEN_HEADER, OwnPagesOnly
from cli.output import CommandError, err
from cli.stack import Stack
from relook.errors import RelookError, ResourceNotFoundError

HOST = "127.0.0.1"


def create_app(stack: Stack, stage: str, port: int) -> Starlette:
    """The console of one stack, to be served at 127.0.0.1:port."""
    app = Starlette(
        routes=[
            Route("/", inspections.home),
            Route("/inspections", inspections.gallery),
            Route("/inspections/new", inspections.arrivals),
            Route("/inspections/{id}", inspections.inspection),
            Route("/inspections/{id}/review", reviewing.say, methods=["POST"]),
            Route("/review", reviewing.queue),
            Route("/overview", overview.overview),
            Route("/report", report.sheet),
            Route("/report.html", report.as_html),
            Route("/report.csv", report.as_csv),
            Route("/projects", projects.listing),
            Route("/projects/{project}", projects.project),
            Route("/projects/{project}/models/{version}", models.model),
            Route("/projects/{project}/models/{version}/images/{number:int}", models.image),
            Route("/projects/{project}/models/{version}/threshold", models.move_threshold, methods=["POST"]),
            Route("/projects/{project}/models/{version}/host", retraining.host, methods=["POST"]),
            Route("/projects/{project}/models/{version}/compare/{other}", retraining.comparison),
            Route("/projects/{project}/models/{version}/compare/{other}", retraining.compare_again, methods=["POST"]),
            Route("/projects/{project}/retrain", retraining.retrain, methods=["POST"]),
            Route("/projects/{project}/training", retraining.progress),
            Route("/projects/{project}/label", labelling.label),
            Route("/projects/{project}/label", labelling.save, methods=["POST"]),
            Route("/projects/{project}/entries/{kind}", labelling.entry_picture),
            Route("/projects/{project}/regions", regions.regions),
            Route("/projects/{project}/regions", regions.save, methods=["POST"]),
            Route("/projects/{project}/regions/mask", regions.mask),
            Route("/projects/{project}/try", trying.trial),
            Route("/projects/{project}/try", trying.drop, methods=["POST"]),
            Route("/pictures/{id}/{kind:str}", pictures.picture),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[Middleware(OwnPagesOnly, port=port)],
        exception_handlers={RelookError: _explain, CommandError: _explain, 404: _not_found, Exception: _broken},
    )
    app.state.console = Console(stack, stage)
    return app


def serve(stack: Stack, stage: str, port: int, *, opens: bool) -> None:
    """Serve until Ctrl-C, and open the browser on it.

    Raises:
        CommandError: another program has the port.
    """
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((HOST, port))
        except OSError:
            raise CommandError(
                f"Port {port} is taken by another program; choose one: relook console --port N"
            ) from None
    url = f"http://{HOST}:{port}/"
    server = uvicorn.Server(uvicorn.Config(create_app(stack, stage, port), HOST, port, log_level="warning"))
    err.print(f"The console is at [bold]{url}[/bold]; Ctrl-C ends it")
    if opens:
        threading.Thread(target=_open_when_ready, args=(server, url), daemon=True).start()
    server.run()


def _open_when_ready(server: uvicorn.Server, url: str) -> None:
    while not server.started:
        time.sleep(0.05)
    webbrowser.open(url)


def _explain(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, (ResourceNotFoundError, NotThereError)) else 400
    if TOKEN_HEADER in request.headers:  # a script asks, which shows the sentence itself
        return PlainTextResponse(str(error), status)
    return render(request, "message.html", status=status, title="That did not work", text=str(error))


def _not_found(request: Request, _: Exception) -> Response:
    return render(
        request, "message.html", status=404, title="No such page", text=f"There is nothing at {request.url.path}."
    )


def _broken(request: Request, error: Exception) -> Response:
    text = f"This is a mistake of the console, not yours; the terminal it runs in tells where ({type(error).__name__})."
    return render(request, "message.html", status=500, title="That did not work", text=text)
