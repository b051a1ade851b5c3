"""The images of a request: a form with files, or one file as it is; bounded in bytes, number and pixels."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

import anyio
import numpy as np
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from kerascnn.data.transcode import probe_content
from kerascnn.serving.serve_config import Serve

_THROWN = 4  # times the limit that is read of a body that is too large, so that the client can read why
_HOW = "expected -F image=@photo.jpg, or a file with Content-Type: application/octet-stream"


async def read(request: Request, settings: Serve) -> bytes:
    """Returns the body; raises HTTPException where it is too large, too slow, or ends in the middle."""
    try:
        with anyio.fail_after(settings.time_limit):
            return await _read(request, settings.max_body * 1e6)
    except TimeoutError:
        raise HTTPException(408, f"the request did not arrive within {settings.time_limit:g} s") from None


async def _read(request: Request, most: float) -> bytes:
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size <= most:
                parts.append(part)
            elif size > _THROWN * most:
                break
    except ClientDisconnect:
        raise HTTPException(400, "the request ended in the middle") from None
    if size > most:
        raise HTTPException(413, f"a request may have {most:,.0f} bytes (--max-body)", {"Connection": "close"})
    return b"".join(parts)


async def files(kind: str, body: bytes, settings: Serve) -> list[tuple[str, bytes]]:
    """Returns (name, content) of each image.

    Args:
        kind: The request's Content-Type.
        body: Its body.
        settings: Limits.

    Raises:
        HTTPException: There is none, there are too many or too large ones, or it is not a form.
    """
    plain = kind.partition(";")[0].strip().lower()
    if plain == "multipart/form-data":
        found = await _of_form(kind, body, min(settings.max_images, settings.queue))
    elif plain.startswith("image/") or plain in ("", "application/octet-stream"):
        found = [("", body)]
    else:
        raise HTTPException(415, f"{_HOW}, got {plain[:80]!r}")
    if not found or not body:
        raise HTTPException(400, f"no image: {_HOW}")
    await check_pixels([content for _, content in found], settings)
    return found


async def check_pixels(images: Sequence[bytes | np.ndarray], settings: Serve) -> None:
    """Raises HTTPException where images, encoded or [H, W, 3], have too many pixels: by their headers, before decoding."""
    pixels = await asyncio.to_thread(lambda: sum(map(_pixels, images)))
    if pixels > settings.max_pixels * 1e6:
        raise HTTPException(413, f"a request may have {settings.max_pixels:g} megapixels, got {pixels:,} pixels")


def _pixels(image: bytes | np.ndarray) -> int:
    if isinstance(image, np.ndarray):
        return image.shape[0] * image.shape[1]
    probe = probe_content(image)
    return probe.height * probe.width


async def _of_form(kind: str, body: bytes, most: int) -> list[tuple[str, bytes]]:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(Headers({"Content-Type": kind}), whole(), max_files=most)
        parser.spool_max_size = len(body)  # the body is in memory already: nothing goes to the disk
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise HTTPException(413, f"a request may have {most} images (--max-images, --queue)") from None
        raise HTTPException(400, f"not a form: {error.message}") from None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(form.close)
        given = [one for one in form.getlist("image") if isinstance(one, UploadFile)]
        return [(one.filename or "", await one.read()) for one in given]
