"""Pictures, by way of this server: the person's credentials never reach the browser, and no bucket is named to it."""

from __future__ import annotations

import hashlib
from io import BytesIO

from PIL import Image, ImageOps
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from cli.console.pages import Console, console_of
from relook.aws.bucket import S3Uri
from relook.detection.image import decode, read_header
from relook.errors import ImageRejectedError, NoSuchObjectError
from relook.registry.inspections import RecordId

THUMBNAIL_PX = 256
_QUALITY = 82
"""Of thumbnails: some 10 KB each, so that a page of sixty is well below a megabyte."""
_KEPT_S = 3600
"""A picture of one record never changes; its browser may keep it for an hour."""


def picture(request: Request) -> Response:
    """GET /pictures/{id}/{kind}: the image itself, a thumbnail of it, or what was painted about it."""
    console = console_of(request)
    record_id = RecordId.parse(request.path_params["id"])
    record = console.stack.inspections.get(record_id.key)
    if record is None:
        return _missing("There is no such inspection")
    kind = request.path_params["kind"]
    try:
        if kind in ("mask", "heat_map"):
            uri = record.get(f"{kind}_uri")
            return _png(console.stack.read(S3Uri.parse(uri))) if uri else _missing("This model gives none")
        version = str(record["object_version"]).rpartition("#")[0]
        uri = S3Uri.parse(record["image_uri"])
        if kind == "thumbnail":
            return jpeg(thumbnail(console, uri, version))
        data = console.stack.bucket(uri.bucket).read_version(uri.key, version)
        return _as_itself(data)
    except NoSuchObjectError:
        return _missing("The picture is no longer there")
    except ImageRejectedError as error:
        return _missing(error.message)


def thumbnail(console: Console, uri: S3Uri, version: str) -> bytes:
    """A JPEG of at most 256 pixels a side, made once and kept in the results bucket.

    Raises:
        NoSuchObjectError: the image is gone, and no thumbnail was made while it was there.
        ImageRejectedError: it is no image.
    """
    results = console.stack.bucket(console.stack.outputs["ResultsBucket"])
    project = uri.key.partition("/")[0]
    name = hashlib.sha256(f"{uri}\n{version}".encode()).hexdigest()
    key = f"{project}/thumbnails/{name}.jpg"
    try:
        return results.read(key)
    except NoSuchObjectError:
        data = console.stack.bucket(uri.bucket).read_version(uri.key, version)
        made = reduced(data, THUMBNAIL_PX)
        results.write(key, made, "image/jpeg")
        return made


def reduced(data: bytes, side: int) -> bytes:
    """An encoded image as a JPEG of at most `side` pixels a side.

    Raises:
        ImageRejectedError: it is no image.
    """
    picture = ImageOps.contain(Image.fromarray(decode(data)), (side, side))
    written = BytesIO()
    picture.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def _as_itself(data: bytes) -> Response:
    """An image under its own type; what is no image is never handed to a browser."""
    kind = read_header(data).content_type
    return Response(data, media_type=kind, headers=_CACHED)


def _png(data: bytes) -> Response:
    return Response(data, media_type="image/png", headers=_CACHED)


def jpeg(data: bytes) -> Response:
    """A JPEG of our own making as an answer."""
    return Response(data, media_type="image/jpeg", headers=_CACHED)


_CACHED = {"cache-control": f"private, max-age={_KEPT_S}"}


def _missing(why: str) -> Response:
    return PlainTextResponse(why, 404)
