"""The page in a real browser, on the real server and real networks: nothing leaves its origin, nothing breaks its policy."""

import contextlib
import csv
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import kerascnn
from kerascnn.artefacts import savedmodel
from kerascnn.runs import finding
from tests.artefacts import networks

uvicorn = pytest.importorskip("uvicorn", reason="needs the extra serve")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra test)")
from kerascnn.serving import app  # noqa: E402
from kerascnn.serving.serve_config import Serve  # noqa: E402
from kerascnn.serving.served_model import ServedModel  # noqa: E402

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
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras file as an export has it, of classes with a hostile name."""
    folder = tmp_path_factory.mktemp("tiny") / "1"
    (folder / "assets").mkdir(parents=True)
    for name, content in savedmodel.describe(NAMES, 32, "crop", {"arch": "resnet20"}).items():
        (folder / "assets" / name).write_bytes(content)
    networks.tiny(classes=3).save(folder / "model.keras")
    return folder / "model.keras"


@pytest.fixture(scope="module")
def demo() -> Iterator[ServedModel]:
    with ThreadPoolExecutor(2) as decoders:
        yield ServedModel("demo", finding.find("demo"), Serve(), decoders)


@pytest.fixture(scope="module")
def address(demo: ServedModel) -> Iterator[str]:
    """The real server, in a thread."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        application = app.create_app({"demo": demo}, Serve(), None)
        server = uvicorn.Server(uvicorn.Config(application, log_level="critical", ws="none"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


@contextlib.contextmanager
def process(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`kerascnn serve` as a user starts it."""
    command = [sys.executable, "-m", "kerascnn.serve", *words, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        said = re.search(r"http://\S+", server.stdout.readline())
        assert said
        try:
            yield server, f"{said[0]}/"
        finally:
            server.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        yield chromium
        chromium.close()


@contextlib.contextmanager
def opened(browser: Any, address: str, **device: Any) -> Iterator[Any]:
    """The open page; at its end there was no request to another origin, no violation and no error of a script."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **device})
    page, strangers, said = context.new_page(), [], []
    page.on("request", lambda one: strangers.append(one.url) if foreign(one.url, address) else None)
    page.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda one: said.append(str(one)))
    page.on("dialog", lambda one: said.append(f"dialog: {one.message}"))
    page.goto(address)
    yield page
    context.close()
    assert strangers == []
    # The browser itself reports refused and failed requests on the console; the tests that make them look at the page.
    assert [one for one in said if not one.startswith("Failed to load resource")] == []


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    with opened(browser, address) as one:
        one.locator("#about", has_text="10 classes").wait_for()
        yield one


@pytest.fixture(scope="module")
def of_two(tiny: Path) -> Iterator[str]:
    """The address of a server of two models."""
    with process(f"tiny={tiny}", "demo") as (_, address):
        yield address


@pytest.fixture
def page_of_two(browser: Any, of_two: str) -> Iterator[Any]:
    with opened(browser, of_two) as one:
        one.locator("#about", has_text="3 classes").wait_for()
        yield one


def late(page: Any, milliseconds: int, bytes_per_second: int = -1) -> None:
    """Makes the connection slow."""
    facts = {"offline": False, "latency": milliseconds}
    facts |= {"downloadThroughput": bytes_per_second, "uploadThroughput": bytes_per_second}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", facts)


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


def test_images_a_broken_one_and_a_table(page: Any, demo: ServedModel) -> None:
    """The quick one: three files with hostile names, the answers of the predictor, sorting, CSV, the class map."""
    choose(page, file(EVIL, photo(0)), file("=1+1.png", photo(1)), file("broken.png", b"no image"))
    done(page, "3 images done")
    pixels = np.asarray(Image.open(io.BytesIO(photo(0))))
    expected = demo.predictor.predict(pixels)[0]
    table = saved(page)
    assert table[1][:2] == [EVIL, "demo"]
    assert table[1][3] == demo.predictor.class_names[int(expected.argmax())]
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
def test_two_models_side_by_side(page_of_two: Any, tiny: Path) -> None:
    page = page_of_two
    choose(page, file("one.png", photo()))
    done(page, "1 image done")
    page.get_by_label("Compare with").select_option("demo")
    page.locator(".heat").nth(1).wait_for()
    pixels = np.asarray(Image.open(io.BytesIO(photo())))
    said = page.locator(".differences .headline").inner_text()
    assert said.startswith("≠ They differ: ")
    for name, path in (("tiny", tiny), ("demo", "demo")):
        predictor = kerascnn.load(path)
        rows = predictor.predict([pixels])[0]
        assert f"{name} says {predictor.class_names[int(rows.argmax())]}" in said
        bars = page.get_by_label(name, exact=True).locator(".bars .number").all_inner_texts()
        assert bars[0] in (f"{100 * rows.max():.1f} %", "> 99.9 %")


@pytest.mark.slow
def test_a_phone(browser: Any, of_two: str) -> None:
    """The camera stays within reach, and the differences fit its width."""
    phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
    with opened(browser, of_two, **phone) as page:
        page.get_by_role("button", name="Take a photo").wait_for()
        choose(page, file("one.png", photo()))
        done(page, "1 image done")
        page.get_by_label("Compare with").select_option("demo")
        table = page.locator(".differences .wide")
        table.wait_for()
        assert table.evaluate("one => one.scrollWidth <= one.clientWidth")
        assert page.get_by_role("button", name="Take a photo").is_visible()


@pytest.mark.slow
def test_a_photo_is_upright(page_of_two: Any) -> None:
    page = page_of_two
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
def test_fifty_photos_while_the_server_is_busy(
    page: Any, demo: ServedModel, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has room for two images, and the page sends four at once."""
    photos = sorted((real_data / "hymenoptera" / "val").rglob("*.jpg"))[:50]
    monkeypatch.setattr(demo.batcher, "room", 2)
    refused: list[int] = []
    page.on("response", lambda one: refused.append(one.status) if one.status == 429 else None)
    choose(page, *photos)
    done(page, "50 images done")
    assert refused
    table = saved(page)
    assert len(table) == 51
    assert [row[0] for row in table[1:]] == [path.name for path in photos]
    assert all(row[3] in demo.predictor.class_names for row in table[1:])


@pytest.mark.slow
def test_cancel_and_again(page: Any) -> None:
    late(page, 300)
    choose(page, *(file(f"{i}.png", photo(i)) for i in range(20)))
    page.locator("#progress-label", has_text=re.compile(r"^[4-9] of 20")).wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.locator("#status", has_text="Canceled").wait_for()
    late(page, 0)
    page.get_by_role("button", name="Try the failed ones again").click()
    done(page, "20 images done")


@pytest.mark.slow
def test_a_slow_network(page: Any) -> None:
    late(page, 400, 20_000)
    choose(page, *(file(f"{i}.png", photo(i)) for i in range(3)))
    page.get_by_role("progressbar").wait_for()
    done(page, "3 images done")


@pytest.mark.slow
def test_the_server_stops_in_the_middle(browser: Any) -> None:
    with process("demo") as (server, address), opened(browser, address) as page:
        page.locator("#about", has_text="10 classes").wait_for()
        late(page, 200)
        choose(page, *(file(f"{i}.png", photo(i)) for i in range(30)))
        page.locator("#progress-label", has_text=re.compile(r"^[4-9] of 30")).wait_for()
        server.send_signal(signal.SIGTERM)
        page.locator("#alert", has_text="does not answer").wait_for(timeout=30_000)
        page.get_by_role("button", name="Try the failed ones again").wait_for(timeout=5_000)
        said = page.locator("#progress-label").inner_text()
        assert re.fullmatch(r"\d+ images? done, \d+ not", said)
        assert int(said.split()[0]) >= 4  # what was done stays


@pytest.mark.slow
def test_a_token_is_asked_for(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n", encoding="utf-8")
    with process("demo", "--token-file", str(tmp_path / "token")) as (_, address), opened(browser, address) as page:
        for token, answer in (("other", "#alert:visible"), ("secret", "#about:has-text('10 classes')")):
            page.get_by_label("This server wants a token").fill(token)
            page.get_by_role("button", name="Use it").click()
            page.locator(answer).wait_for()
        choose(page, file("one.png", photo()))
        done(page, "1 image done")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_accessibility(page_of_two: Any, scheme: str, width: int) -> None:
    page = page_of_two
    if not os.environ.get(AXE):
        pytest.skip(f"{AXE} is not set: it names axe-core's axe.min.js")
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 800})
    script = Path(os.environ[AXE]).read_text(encoding="utf-8")
    steps: tuple[Callable[[], object], ...] = (
        lambda: None,
        lambda: (choose(page, file(EVIL, photo())), done(page, "1 image done")),
        lambda: (choose(page, file("two.png", photo(1)), file("bad.png", b"no")), done(page, "3 images done")),
        lambda: (page.get_by_label("Compare with").select_option("demo"), done(page, "3 images done")),
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
