"""The page in a real browser, on real networks and photos: nothing leaves its origin, nothing breaks its policy."""

import csv
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kerascnn import artefacts, models

pytest.importorskip("fastapi", reason="needs the extra serve")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra test)")
from tests.serving.page_server import PageServer, page_of  # noqa: E402

CHROMIUM = Path(os.environ.get("KERASCNN_CHROMIUM", "/usr/bin/chromium"))
AXE = "KERASCNN_AXE"  # the path of axe-core's axe.min.js
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
FLAGS += " --disable-component-update --disable-sync"
NAMES = ("ant", "bee", "<b>wasp</b>")
EVIL = "<img src=x onerror=alert(1)>.png"

pytestmark = [
    pytest.mark.training,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}: KERASCNN_CHROMIUM names another"),
]


@pytest.fixture(scope="module")
def predictors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, artefacts.Predictor]:
    """Two untrained networks: what they answer is not the page's business."""
    folder, found = tmp_path_factory.mktemp("networks"), {}
    for name, width in (("narrow", 0.25), ("wide", 0.5)):
        file = folder / f"{name}.keras"
        models.build("resnet20", (32, 32, 3), 3, width=width).save(file)
        found[name] = artefacts.open(str(file), class_names=NAMES, resize="crop")
    return found


@pytest.fixture
def server(predictors: dict[str, artefacts.Predictor]) -> Iterator[PageServer]:
    with page_of(predictors) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, server: PageServer) -> Iterator[Any]:
    """The open page; at its end there was no request to another origin, no violation and no error of a script."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    opened, strangers, said = context.new_page(), [], []
    opened.on("request", lambda one: strangers.append(one.url) if foreign(one.url, server.url) else None)
    opened.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)
    opened.on("pageerror", lambda one: said.append(str(one)))
    opened.on("dialog", lambda one: said.append(f"dialog: {one.message}"))
    opened.goto(server.url)
    opened.locator("#about", has_text="3 classes").wait_for()
    yield opened
    context.close()
    assert strangers == []
    # The browser itself reports refused and failed requests on the console; the tests that make them look at the page.
    assert [one for one in said if not one.startswith("Failed to load resource")] == []


def foreign(address: str, own: str) -> bool:
    return not address.startswith((own, "blob:", "data:"))


def photo(place: int = 0, side: int = 48) -> bytes:
    content = io.BytesIO()
    pixels = np.random.default_rng(place).integers(0, 256, (side, side, 3), "uint8")
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def file(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/png", "buffer": content}


def choose(page: Any, *files: Any) -> None:
    page.locator("#files").set_input_files(list(files))


def done(page: Any, text: str) -> None:
    page.locator("#progress-label", has_text=text).wait_for(timeout=120_000)


def saved(page: Any) -> list[list[str]]:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    return list(csv.reader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))


def test_images_a_broken_one_and_a_table(page: Any, predictors: dict[str, artefacts.Predictor]) -> None:
    """The quick one: three files with hostile names, the answers of the predictor, sorting, CSV, the class map."""
    choose(page, file(EVIL, photo(0)), file("=1+1.png", photo(1)), file("broken.png", b"no image"))
    done(page, "3 images done")
    pixels = np.asarray(Image.open(io.BytesIO(photo(0))))
    expected = predictors["narrow"].predict(pixels)[0]
    table = saved(page)
    assert table[1][:2] == [EVIL, "narrow"]
    assert table[1][3] == NAMES[int(expected.argmax())]
    assert float(table[1][4]) == pytest.approx(float(expected.max()), abs=1e-5)
    assert table[2][0] == "'=1+1.png"
    assert "not an image" in table[3][-1]
    assert page.locator("#detail h2").inner_text() == EVIL
    page.locator(".heat").wait_for()
    page.get_by_role("slider").press("End")
    assert page.locator(".heat").evaluate("heat => getComputedStyle(heat).opacity") == "1"
    page.get_by_role("button", name="Probability").click()
    shown = page.locator("#batch tbody td:nth-child(3)").all_inner_texts()
    assert shown[-1] == ""
    assert [float(one.split()[0]) for one in shown[:2]] == sorted(
        (float(one.split()[0]) for one in shown[:2]), reverse=True
    )


@pytest.mark.slow
def test_paste_and_drop(page: Any) -> None:
    for event, field in (("paste", "clipboardData"), ("drop", "dataTransfer")):
        page.evaluate(
            """([event, field, content]) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(content)], `${event}.png`, {type: "image/png"}));
                const made = event === "paste"
                    ? new ClipboardEvent(event, {[field]: transfer, bubbles: true, cancelable: true})
                    : new DragEvent(event, {[field]: transfer, bubbles: true, cancelable: true});
                document.dispatchEvent(made);
            }""",
            [event, field, list(photo(side=16))],
        )
        page.locator("#detail h2", has_text=f"{event}.png").wait_for()
    done(page, "2 images done")


@pytest.mark.slow
def test_two_models_side_by_side(page: Any, predictors: dict[str, artefacts.Predictor]) -> None:
    choose(page, file("one.png", photo()))
    done(page, "1 image done")
    page.get_by_label("Compare with").select_option("wide")
    page.locator(".heat").nth(1).wait_for()
    pixels = np.asarray(Image.open(io.BytesIO(photo())))
    first = [NAMES[int(predictor.predict(pixels)[0].argmax())] for predictor in predictors.values()]
    said = page.locator(".differences .headline").inner_text()
    assert ("They agree" in said) == (first[0] == first[1])
    assert all(name in said for name in first)


@pytest.mark.slow
def test_a_photo_is_upright(page: Any) -> None:
    content, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((120, 200, 3), "uint8")).save(content, "JPEG", exif=exif)
    choose(page, {"name": "turned.jpg", "mimeType": "image/jpeg", "buffer": content.getvalue()})
    done(page, "1 image done")
    page.locator(".heat").wait_for()
    photo_box, part = page.locator(".photo").bounding_box(), page.locator(".part").bounding_box()
    assert photo_box["height"] > photo_box["width"]
    assert part["width"] == pytest.approx(part["height"], rel=0.03)  # the network sees a square of it


@pytest.mark.slow
def test_fifty_photos_while_the_server_is_busy(page: Any, server: PageServer, real_data: Path) -> None:
    photos = sorted((real_data / "hymenoptera" / "val").rglob("*.jpg"))[:50]
    server.busy = 10
    choose(page, *photos)
    done(page, "50 images done")
    table = saved(page)
    assert len(table) == 51
    assert [row[0] for row in table[1:]] == [path.name for path in photos]
    assert all(row[3] in NAMES for row in table[1:])


@pytest.mark.slow
def test_cancel_and_again(page: Any, server: PageServer) -> None:
    server.seconds = 0.3
    choose(page, *(file(f"{i}.png", photo(i)) for i in range(20)))
    page.locator("#progress-label", has_text="4 of 20").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.locator("#status", has_text="Canceled").wait_for()
    server.seconds = 0
    page.get_by_role("button", name="Try the failed ones again").click()
    done(page, "20 images done")


@pytest.mark.slow
def test_a_slow_network(page: Any) -> None:
    session = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 400, "downloadThroughput": 20_000, "uploadThroughput": 20_000}
    session.send("Network.emulateNetworkConditions", slow)
    choose(page, *(file(f"{i}.png", photo(i)) for i in range(3)))
    page.get_by_role("progressbar").wait_for()
    done(page, "3 images done")


@pytest.mark.slow
def test_the_server_stops_in_the_middle(page: Any, server: PageServer) -> None:
    server.seconds = 0.2
    choose(page, *(file(f"{i}.png", photo(i)) for i in range(30)))
    page.locator("#progress-label", has_text=re.compile(r"^[4-9] of 30")).wait_for()
    server.stop()
    page.locator("#alert", has_text="does not answer").wait_for(timeout=30_000)
    page.get_by_role("button", name="Try the failed ones again").wait_for(timeout=5_000)
    said = page.locator("#progress-label").inner_text()
    assert re.fullmatch(r"\d+ images? done, \d+ not", said)
    assert int(said.split()[0]) >= 4  # what was done stays


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_accessibility(page: Any, scheme: str, width: int) -> None:
    if not os.environ.get(AXE):
        pytest.skip(f"{AXE} is not set: it names axe-core's axe.min.js")
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 800})
    script = Path(os.environ[AXE]).read_text(encoding="utf-8")
    steps: tuple[Callable[[], object], ...] = (
        lambda: None,
        lambda: (choose(page, file(EVIL, photo())), done(page, "1 image done")),
        lambda: (choose(page, file("two.png", photo(1)), file("bad.png", b"no")), done(page, "3 images done")),
        lambda: (page.get_by_label("Compare with").select_option("wide"), done(page, "3 images done")),
    )
    for step in steps:
        step()
        page.wait_for_timeout(500)
        page.evaluate(script)
        found = page.evaluate("axe.run().then(found => found.violations)")
        serious = [
            (one["id"], [node["html"][:120] for node in one["nodes"]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
