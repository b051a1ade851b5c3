"""The images of a request: a form with files, or one file as it is; bounded in bytes, number and pixels."""

import python_multipart
from python_multipart.exceptions import ParseError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from kerascnn.data.transcode import probe_content
from kerascnn.serving.serve_config import Serve

_THROWN = 4  # times the limit that is read of a body that is too large, so that the client can read why
_HOW = "expected -F image=@photo.jpg, or a file with Content-Type: application/octet-stream"


async def read(request: Request, most: float) -> bytes:
    """Returns the body; raises HTTPException where it has more than `most` bytes or ends in the middle."""
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


def files(kind: str, body: bytes, settings: Serve) -> list[tuple[str, bytes]]:
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
        found = _of_form(kind, body, settings.max_images)
    elif plain.startswith("image/") or plain in ("", "application/octet-stream"):
        found = [("", body)]
    else:
        raise HTTPException(415, f"{_HOW}, got {plain[:80]!r}")
    if not found or not body:
        raise HTTPException(400, f"no image: {_HOW}")
    probes = [probe_content(content) for _, content in found]
    pixels = sum(probe.height * probe.width for probe in probes)
    if pixels > settings.max_pixels * 1e6:
        raise HTTPException(413, f"a request may have {settings.max_pixels:g} megapixels, got {pixels:,} pixels")
    return found


def _of_form(kind: str, body: bytes, most: int) -> list[tuple[str, bytes]]:
    _, options = python_multipart.multipart.parse_options_header(kind)
    boundary = options.get(b"boundary")
    if not boundary:
        raise HTTPException(400, "the form has no boundary")
    found: list[tuple[str, bytes]] = []
    header: list[bytes] = [b"", b""]
    state = {"disposition": b"", "content": bytearray()}

    def begin() -> None:
        state.update(disposition=b"", content=bytearray())

    def header_end() -> None:
        if header[0].lower() == b"content-disposition":
            state["disposition"] = header[1]
        header[:] = [b"", b""]

    def end() -> None:
        _, parts = python_multipart.multipart.parse_options_header(bytes(state["disposition"]))
        if parts.get(b"name") == b"image":
            if len(found) == most:
                raise HTTPException(413, f"a request may have {most} images (--max-images)")
            found.append((parts.get(b"filename", b"").decode(errors="replace"), bytes(state["content"])))

    def name(data: bytes, start: int, stop: int) -> None:
        header[0] += data[start:stop]

    def value(data: bytes, start: int, stop: int) -> None:
        header[1] += data[start:stop]

    def content(data: bytes, start: int, stop: int) -> None:
        state["content"] += data[start:stop]  # type: ignore[operator]

    callbacks = {
        "on_part_begin": begin,
        "on_part_data": content,
        "on_part_end": end,
        "on_header_field": name,
        "on_header_value": value,
        "on_header_end": header_end,
    }
    try:
        parser = python_multipart.MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except (ParseError, ValueError) as error:
        raise HTTPException(400, f"not a form: {error}") from None
    return found
