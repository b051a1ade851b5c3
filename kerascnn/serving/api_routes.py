"""The description of the server for programs and for people. The page has no script and loads its own style sheet alone."""

from pathlib import Path

import jinja2
from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

from kerascnn.serving.api_document import document

DOCS, DOCUMENT, STYLE = "/docs", "/openapi.json", "/docs/style.css"
_PAGE = Path(__file__).parent / "api_page"


def add(app: FastAPI) -> None:
    """Adds the routes."""
    described = document()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    page = environment.from_string((_PAGE / "page.html").read_text(encoding="utf-8")).render(described)

    async def openapi() -> Response:
        return JSONResponse(described)

    async def docs() -> Response:
        return HTMLResponse(page)

    async def style() -> Response:
        return FileResponse(_PAGE / "style.css")

    app.get(DOCUMENT)(openapi)
    app.get(DOCS)(docs)
    app.get(STYLE)(style)
