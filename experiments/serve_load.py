"""`kerascnn serve` under load, beside onnxruntime alone on the same file, in one run: python -m experiments.serve_load IMAGE...

Writes an ONNX file of a network with fresh weights (no time here depends on them), then measures in this order: onnxruntime
alone; the server, whose clients send one photo, wait, and send the next, with bad requests among the good ones; onnxruntime alone
again. Every answer is compared with that of the same photo asked alone. Prints a page in Markdown; exits 1 where an answer was a
5xx or wrong.
"""

import argparse
import base64
import collections
import contextlib
import http.client
import json
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ALONE = """
import sys, time
import numpy as np
from pathlib import Path
from kerascnn import artefacts
predictor = artefacts.open(sys.argv[1])
seconds, files = float(sys.argv[2]), [Path(name).read_bytes() for name in sys.argv[3:]]
def rate(work, images):
    work(); count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        work(); count += images
    return count / (time.perf_counter() - start)
decoded = np.stack([predictor.decoded(one) for one in files[:16]]).astype("float32")
one = decoded[:1]
print(rate(lambda: predictor.infer(one), 1), rate(lambda: predictor.infer(decoded), len(decoded)),
      rate(lambda: predictor.decoded(files[0]), 1))
"""


class Request(NamedTuple):
    """One request, and the statuses that it may be answered with (None: the client goes away)."""

    path: str
    body: bytes
    kind: str
    statuses: tuple[int | None, ...]


class Outcome(NamedTuple):
    """What one request led to."""

    good: bool
    right: bool
    status: int | None
    seconds: float


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="+", help="JPEG or PNG files")
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--bad", type=int, default=1000, help="bad requests, spread over the time")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    photos = [path.read_bytes() for path in given.images]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        write(model, given.arch, given.image_size)
        before = alone(model, given.images)
        with server(model, given.workers) as (process, port):
            expected = [ask(http.client.HTTPConnection("127.0.0.1", port), good(photo)) for photo in photos]
            memory = [resident(process)]
            outcomes = load(port, photos, [row[1] for row in expected], given)
            time.sleep(2)
            memory.append(resident(process))
        after = alone(model, given.images)
    return report(given, outcomes, memory, before, after)


def write(path: Path, arch: str, size: int) -> None:
    """Writes the ONNX file, in a process of its own: this one only asks."""
    code = (
        "import sys; from pathlib import Path; from kerascnn import models; from kerascnn.artefacts import folding, onnx\n"
        "arch, size = sys.argv[2], int(sys.argv[3]); model = models.build(arch, (size, size, 3), 10)\n"
        "known = {'class_names': [str(n) for n in range(10)], 'image_size': size, 'resize': 'crop'}\n"
        "onnx.write(folding.served(folding.folded(model)), Path(sys.argv[1]), known)"
    )
    subprocess.run([sys.executable, "-c", code, str(path), arch, str(size)], check=True, stderr=subprocess.DEVNULL)


def alone(model: Path, images: list[Path], seconds: float = 5) -> list[float]:
    """Returns images a second of onnxruntime at batch 1 and 16, and of decoding in one thread."""
    command = [sys.executable, "-c", ALONE, str(model), str(seconds), *map(str, images)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(word) for word in said.split()]


@contextlib.contextmanager
def server(model: Path, workers: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server process and its port."""
    command = [sys.executable, "-m", "kerascnn.serve", f"photos={model}", "--port", "0", "--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            said = re.search(r":(\d+)( by|$)", process.stdout.readline().strip())
            assert said, "the server did not start"
            yield process, int(said[1])
        finally:
            process.terminate()


def resident(process: subprocess.Popen[str]) -> int:
    """Returns the resident memory of a process and its children in bytes."""
    pids = [process.pid]
    for pid in pids:
        pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    pages = [re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()) for pid in pids]
    return sum(1024 * int(found[1]) for found in pages if found)


def good(photo: bytes) -> Request:
    """A request for one photo's classes."""
    return Request("/predict?top=3", photo, "application/octet-stream", (200,))


def bad(draw: random.Random, photo: bytes) -> Request:
    """One of the mistakes that clients make, drawn anew each time."""
    cut = photo[: draw.randrange(1, len(photo))]
    header = b"IHDR" + (10**5).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + zlib.crc32(header).to_bytes(4, "big") + b"\0" * 40
    rows = {"instances": [{"b64": base64.b64encode(cut).decode()}]}
    ask, plain, words = "/predict", "application/octet-stream", draw.randbytes(draw.randrange(1, 5000))
    predict, as_json = "/v1/models/photos:predict", "application/json"
    return draw.choice(
        [
            Request(ask, cut, plain, (400, 413)),
            Request(ask, words, plain, (400, 413)),
            Request(ask, b"", plain, (400,)),
            Request(ask, huge, "image/png", (413,)),
            Request(ask, photo, "text/html", (415,)),
            Request(ask, cut, "multipart/form-data; boundary=x", (400,)),
            Request(f"{ask}?model=other", photo, plain, (404,)),
            Request(f"{ask}?top=-1", photo, plain, (400,)),
            Request(predict, json.dumps(rows).encode(), as_json, (400, 413)),
            Request(predict, words, as_json, (400,)),
            Request(predict, b'{"instances": [{"b64": "?"}]}', as_json, (400,)),
            Request(predict, b'{"signature_name": "images", "instances": [[[1, 2]]]}', as_json, (400,)),
            Request("/v1/models/photos/versions/9:predict", json.dumps(rows).encode(), as_json, (404,)),
            Request(ask, photo, plain, (None,)),
        ]
    )


def ask(connection: http.client.HTTPConnection, request: Request) -> tuple[int | None, list[tuple[str, float]]]:
    """Returns the status and the most probable classes; a request that may have no status ends in its middle."""
    if request.statuses == (None,):
        connection.putrequest("POST", request.path)
        connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body[: len(request.body) // 2])
        connection.close()
        return None, []
    connection.request("POST", request.path, request.body, {"Content-Type": request.kind})
    response = connection.getresponse()
    body = json.loads(response.read())
    if response.status != 200:
        return response.status, []
    return 200, [(row["class"], row["probability"]) for row in body["results"][0]["top"]]


def load(
    port: int, photos: list[bytes], expected: list[list[tuple[str, float]]], given: argparse.Namespace
) -> list[Outcome]:
    """Returns the outcomes of all clients."""
    start, lock, sent = time.perf_counter(), threading.Lock(), 0

    def due() -> bool:
        """Tells whether the next bad request has its time."""
        nonlocal sent
        with lock:
            share = (time.perf_counter() - start) / given.seconds
            found = sent < min(given.bad, given.bad * share)
            sent += found
        return found

    def client(number: int) -> list[Outcome]:
        draw, found = random.Random(number), []
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not (is_good := not due()) or time.perf_counter() - start < given.seconds:
            place = draw.randrange(len(photos))
            request = good(photos[place]) if is_good else bad(draw, photos[place])
            begin = time.perf_counter()
            try:
                status, top = ask(connection, request)
            except (OSError, http.client.HTTPException):
                status, top = -1, []  # no response
                connection.close()
            right = status in request.statuses and (not is_good or same(top, expected[place]))
            found.append(Outcome(is_good, right, status, time.perf_counter() - begin))
        return found

    with ThreadPoolExecutor(given.clients) as pool:
        return [one for found in pool.map(client, range(given.clients)) for one in found]


def same(top: list[tuple[str, float]], expected: list[tuple[str, float]]) -> bool:
    """Tells whether two answers agree: a batch of another size may change the last digits."""
    near = all(abs(mine[1] - yours[1]) < 1e-4 for mine, yours in zip(top, expected, strict=True))
    return near and (top[0][0] == expected[0][0] or abs(expected[0][1] - expected[1][1]) < 1e-4)


def report(
    given: argparse.Namespace, outcomes: list[Outcome], memory: list[int], before: list[float], after: list[float]
) -> int:
    """Prints the page; returns the exit code."""
    answered = [one for one in outcomes if one.good]
    times = [1000 * one.seconds for one in answered]
    cuts = statistics.quantiles(times, n=100)
    wrong = [one for one in outcomes if not one.right]
    rates = [(one + other) / 2 for one, other in zip(before, after, strict=True)]
    rate = len(answered) / given.seconds
    statuses = collections.Counter(("good" if one.good else "bad", str(one.status)) for one in outcomes)
    print("# kerascnn serve under load\n")
    print(f"    {' '.join(['python -m experiments.serve_load', *flags(given)])}\n")
    print(f"{given.arch}, {given.image_size} px, ONNX, {len(given.images)} photos, {given.workers} worker(s),", end=" ")
    print(f"{platform.machine()}, Python {platform.python_version()}.\n")
    print("| kind | status | requests |\n|---|---|--:|")
    for (kind, status), count in sorted(statuses.items()):
        print(f"| {kind} | {'the client went away' if status == 'None' else status} | {count:,} |")
    failed = sum(one.status is not None and one.status >= 500 for one in outcomes)
    among = sum(one.good for one in wrong)
    print(
        f"\n5xx: {failed}. Not as expected: {among} good and {len(wrong) - among} bad of {len(outcomes):,} requests.\n"
    )
    print("| | |\n|---|--:|")
    print(f"| good requests a second | {rate:.1f} |\n| p50 | {cuts[49]:.0f} ms |\n| p95 | {cuts[94]:.0f} ms |")
    print(f"| max | {max(times):.0f} ms |\n| memory before | {memory[0] / 1e6:.0f} MB |")
    print(f"| memory after | {memory[1] / 1e6:.0f} MB |\n")
    print("Images a second without a server, mean of before and after (each in parentheses):\n\n| | |\n|---|--:|")
    for name, mean, one, other in zip(("batch 1", "batch 16", "decoding, 1 thread"), rates, before, after, strict=True):
        label = name if "decoding" in name else f"onnxruntime, {name}, decoded images"
        print(f"| {label} | {mean:.1f} ({one:.1f}, {other:.1f}) |")
    print(f"\nThe server, which decodes too, has {rate / rates[1]:.2f} of onnxruntime's rate at batch 16.")
    return 1 if wrong else 0


def flags(given: argparse.Namespace) -> list[str]:
    """Returns the flags of the command, without the photos."""
    names = ("arch", "image_size", "clients", "seconds", "bad", "workers")
    return [f"--{name.replace('_', '-')} {getattr(given, name)}" for name in names] + ["IMAGE..."]


if __name__ == "__main__":
    sys.exit(main())
