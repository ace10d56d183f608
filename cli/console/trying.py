"""Try: pictures dropped on the page go the way every upload goes, and their verdicts come back as theirs do."""

from __future__ import annotations

import uuid
from pathlib import PurePosixPath

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from cli.console.pages import address, console_of, render
from cli.console.safety import is_ours
from relook.detection.image import MAX_IMAGE_BYTES, read_header
from relook.errors import ImageRejectedError
from relook.registry.projects import describe_project


def trial(request: Request) -> Response:
    """GET /projects/{project}/try: a place to drop pictures on."""
    project = describe_project(console_of(request).stack.registry, request.path_params["project"])
    return render(request, "try.html", project=project)


async def drop(request: Request) -> Response:
    """POST /projects/{project}/try: the pictures, into the images bucket as `<project>/tried/...`."""
    console = console_of(request)
    if not await is_ours(request, console.sessions):
        return PlainTextResponse("This page is from an earlier console; reload it", 403)
    name = describe_project(console.stack.registry, request.path_params["project"]).name
    refused = []
    async with request.form(max_part_size=MAX_IMAGE_BYTES + 1) as form:
        files = [each for each in form.getlist("images") if isinstance(each, UploadFile)]
        for file in files:
            # The browser's name is a wish: only its last part is kept, and what it holds is told by the bytes.
            short = PurePosixPath((file.filename or "picture").replace("\\", "/")).name
            data = await file.read()
            try:
                header = read_header(data)
            except ImageRejectedError as error:
                refused.append(f"{short}: {error.message}")
                continue
            key = f"{name}/tried/{uuid.uuid4().hex[:8]}/{short}"
            console.stack.images.write(key, data, header.content_type, metadata={"tried": "console"})
    if refused or not files:
        return PlainTextResponse("; ".join(refused) or "Choose at least one picture", 400)
    return RedirectResponse(address("/inspections", project=name), 303)
