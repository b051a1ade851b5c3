"""The flags of `kerascnn serve`. No TensorFlow."""

import re
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field, field_validator

from kerascnn.config.section import Section


class Serve(Section):
    """The flags of `kerascnn serve`."""

    artefacts: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="ARTEFACT...")] = Field(
        (), description="runs, SavedModels, or .onnx, .xml, .tflite and .keras files; NAME=PATH chooses a name"
    )
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 can be reached from other machines")
    port: int = Field(8501, ge=0, le=65535, description="port to listen on; 0 chooses a free one and prints it")
    workers: int = Field(
        1, ge=1, description="processes that answer, each with its own copy of the models and share of CPUs"
    )
    max_batch: int = Field(16, ge=1, description="images of one call of a network")
    max_wait: float = Field(2.0, ge=0, description="milliseconds that an image waits for others that are being decoded")
    queue: int = Field(256, ge=1, description="images of a model that may wait; more are answered with 429")
    time_limit: float = Field(30.0, gt=0, description="seconds that a request may take; then the answer is 408 or 504")
    max_body: float = Field(
        32.0, gt=0, description="megabytes that a request may have; a larger one is answered with 413"
    )
    max_images: int = Field(64, ge=1, description="images that a request may have")
    max_pixels: float = Field(100.0, gt=0, description="megapixels that the images of a request may have together")
    watch: float = Field(
        2.0, ge=0, description="seconds between looks for a new version in the folder of a model; 0 never looks"
    )
    allow_origin: tuple[str, ...] = Field(
        (), description="origins whose pages may ask from a browser, as https://example.org; * for all; default: none"
    )
    token_file: Path | None = Field(
        None,
        description="file with a token: requests of predictions must bring it as Authorization: Bearer",
        json_schema_extra={"metavar": "FILE"},
    )

    @field_validator("allow_origin")
    @classmethod
    def _origins(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for origin in given:
            if origin != "*" and not re.fullmatch(r"https?://([\w.-]+|\[[0-9a-f:]+\])(:\d+)?", origin):
                raise ValueError(f"expected an origin as https://example.org or http://localhost:3000, got {origin!r}")
        return given
