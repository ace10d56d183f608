"""Try: pictures dropped on the page go the way every upload goes, and their verdicts come back as theirs do."""

from __future__ import annotations

import uuid
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from cli.console.pages import Sent, address, change, console_of, render
from relook.detection.image import read_header
from relook.errors import ImageRejectedError
from relook.registry.projects import describe_project


def trial(request: Request) -> Response:
    """GET /projects/{project}/try: a place to drop pictures on."""
    project = describe_project(console_of(request).stack.registry, request.path_params["project"])
    return render(request, "try.html", project=project)


@change
def drop(request: Request, sent: Sent) -> Response:
    """POST /projects/{project}/try: the pictures, into the images bucket as `<project>/tried/...`."""
    console = console_of(request)
    name = describe_project(console.stack.registry, request.path_params["project"]).name
    refused = []
    for given, data in sent.files:
        # The browser's name is a wish: only its last part is kept, and what it holds is told by the bytes.
        short = PurePosixPath(given.replace("\\", "/")).name or "picture"
        try:
            header = read_header(data)
        except ImageRejectedError as error:
            refused.append(f"{short}: {error.message}")
            continue
        key = f"{name}/tried/{uuid.uuid4().hex[:8]}/{short}"
        console.stack.images.write(key, data, header.content_type, metadata={"tried": "console"})
    if refused or not sent.files:
        return PlainTextResponse("; ".join(refused) or "Choose at least one picture", 400)
    return RedirectResponse(address("/inspections", project=name), 303)
