"""Pictures, by way of this server: the person's credentials never reach the browser, and no bucket is named to it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

from PIL import Image, ImageOps
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from cli.console.pages import console_of, record_of
from cli.pictures import as_seen, regions_layer, with_mask
from cli.regions import regions_of_version
from cli.stack import Stack
from relook.aws.bucket import S3Uri
from relook.detection.image import read_header, read_reach
from relook.detection.regions import Regions
from relook.errors import ImageRejectedError, NoSuchObjectError, PackageError, ResourceNotFoundError
from relook.quality.records import InspectionStatus
from relook.registry.inspections import image_digest, image_of, verdict_of
from relook.registry.packages import load_manifest

_THUMBNAIL_PX, _PAINTED_PX = 256, 480  # a card is 208 wide or somewhat more; a painted picture stands alone
_QUALITY = 82
"""Of thumbnails: some 10 KB each, so that a page of sixty is well below a megabyte."""
_KEPT_S = 3600
"""A picture of one record never changes; its browser may keep it for an hour."""


def picture(request: Request) -> Response:
    """GET /pictures/{id}/{kind}: the image itself, a thumbnail of it, what was painted about it, what was ignored, or
    the normal image most like it."""
    console = console_of(request)
    record = record_of(console, request.path_params["id"])
    kind = request.path_params["kind"]
    try:
        if kind in ("mask", "heat_map"):
            uri = record.get(f"{kind}_uri")
            return as_png(console.stack.read(S3Uri.parse(uri))) if uri else _missing("This model gives none")
        if kind == "regions":
            regions = ignored_regions(console.stack, record)
            return as_png(_layer(regions, record)) if regions else _missing("This model ignores none")
        if kind == "thumbnail":
            return jpeg(thumbnail(console.stack, record))
        if kind == "painted":
            return jpeg(painted(console.stack, record))
        if kind == "nearest":
            nearest = console.normals.of(record) if record["status"] == InspectionStatus.INSPECTED else None
            if nearest is None:
                return _missing("No normal image is known to be like it")
            return as_itself(
                console.stack,
                record["project"],
                record.get("model_version"),
                console.stack.read(S3Uri.parse(nearest.name)),
            )
        return as_itself(
            console.stack, record["project"], record.get("model_version"), console.stack.read_upload(record)
        )
    except (NoSuchObjectError, ResourceNotFoundError, PackageError, ValueError):  # trained where no bucket was
        return _missing("The picture is no longer there")
    except ImageRejectedError as error:
        return _missing(error.message)


def thumbnail(stack: Stack, record: Mapping[str, Any]) -> bytes:
    """A JPEG of at most 256 pixels a side, made once and kept in the results bucket.

    Raises:
        NoSuchObjectError: the image is gone, and no thumbnail was made while it was there.
        ImageRejectedError: it is no image.
    """
    results = stack.bucket(stack.outputs["ResultsBucket"])
    project = image_of(record)[0].key.partition("/")[0]
    key = f"{project}/thumbnails/{image_digest(record)}.jpg"
    try:
        return results.read(key)
    except NoSuchObjectError:
        made = reduced(as_model_sees(stack, project, record.get("model_version"), stack.read_upload(record)))
        results.write(key, made, "image/jpeg", tags=stack.retention.tags(verdict_of(record)))
        return made


def painted(stack: Stack, record: Mapping[str, Any]) -> bytes:
    """A JPEG of an inspected image with its mask, if it has one, painted on: what a report shows.

    Raises:
        NoSuchObjectError: the image or its mask is gone.
        ImageRejectedError: it is no image.
    """
    picture = as_model_sees(stack, record["project"], record.get("model_version"), stack.read_upload(record))
    picture.thumbnail((_PAINTED_PX, _PAINTED_PX))
    if "mask_uri" in record:
        picture = with_mask(picture, stack.read(S3Uri.parse(record["mask_uri"])))
    return _as_jpeg(picture)


def ignored_regions(stack: Stack, record: Mapping[str, Any]) -> Regions | None:
    """What the model version of an inspection ignores; none where no model has looked."""
    version = record.get("model_version")
    return None if version is None else regions_of_version(stack, record["project"], version)


def _layer(regions: Regions, record: Mapping[str, Any]) -> bytes:
    written = BytesIO()
    regions_layer(regions, (int(record["width"]), int(record["height"]))).save(written, "PNG", compress_level=1)
    return written.getvalue()


def as_model_sees(stack: Stack, project: str, version: str | None, data: bytes) -> Image.Image:
    """An encoded image; one of 16 bits a channel at the levels of the model version that looks at it, if it is there.

    Raises:
        ImageRejectedError: it is no image, or not one of that model's.
    """
    levels = None
    if version and read_reach(data):
        with suppress(PackageError):
            levels = load_manifest(stack.models, project, version).view.levels
    return as_seen(data, levels)


def reduced(picture: Image.Image) -> bytes:
    """A JPEG of at most 256 pixels a side."""
    return _as_jpeg(ImageOps.contain(picture, (_THUMBNAIL_PX, _THUMBNAIL_PX)))


def _as_jpeg(picture: Image.Image) -> bytes:
    written = BytesIO()
    picture.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def as_itself(stack: Stack, project: str, version: str | None, data: bytes) -> Response:
    """An image under its own type; what is no image is never handed to a browser.

    One of 16 bits a channel as its model sees it: browsers show the upper eight bits, which of twelve are nearly black.
    """
    kind = read_header(data).content_type
    if read_reach(data) is None:
        return Response(data, media_type=kind, headers=_CACHED)
    written = BytesIO()
    shown = as_model_sees(stack, project, version, data)
    shown.save(written, "PNG", compress_level=1)  # at once rather than small: it does not go far
    return as_png(written.getvalue())


def as_png(data: bytes, *, is_kept: bool = True) -> Response:
    """A PNG of our own making as an answer.

    Args:
        is_kept: the browser may show it again without asking.
    """
    return Response(data, media_type="image/png", headers=_CACHED if is_kept else None)


def jpeg(data: bytes) -> Response:
    """A JPEG of our own making as an answer."""
    return Response(data, media_type="image/jpeg", headers=_CACHED)


_CACHED = {"cache-control": f"private, max-age={_KEPT_S}"}


def _missing(why: str) -> Response:
    return PlainTextResponse(why, 404)
