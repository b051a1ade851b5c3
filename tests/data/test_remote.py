"""Data that are not local: fsspec's memory, a server on this machine, moto's S3; identities, retries, caches, credentials."""

import hashlib
import http.server
import io
import os
import tarfile
import threading
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from kerascnn import data
from kerascnn.config import Config, Data
from kerascnn.config.addresses import has_secrets, without_secrets
from kerascnn.config.section import FieldError
from kerascnn.data import existing, pipeline, remote
from kerascnn.data.disk_cache import DiskCache
from kerascnn.data.room import Missing, Room
from kerascnn.errors import Stopped, UserError


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder; counts what is asked for, and fails where it is told to."""

    def __init__(self, root: Path, etags: bool = True) -> None:
        self.root, self.etags, self.asked, self.failing = root, etags, Counter[str](), Counter[str]()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def gets(self, suffix: str = "") -> int:
        return sum(count for asked, count in self.asked.items() if asked.startswith("GET") and asked.endswith(suffix))


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Server

    def __init__(self, request, address, server: Server) -> None:
        super().__init__(request, address, server, directory=str(server.root))

    def end_headers(self) -> None:
        path = Path(self.translate_path(self.path))
        if self.server.etags and path.is_file():
            self.send_header("ETag", f'"{hashlib.sha256(path.read_bytes()).hexdigest()}"')
        super().end_headers()

    def do_GET(self) -> None:
        self.server.asked[f"GET {self.path}"] += 1
        if self.server.failing[self.path]:
            self.server.failing[self.path] -= 1
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"cut off")
            self.close_connection = True
            return
        super().do_GET()

    def log_message(self, *words) -> None:
        pass


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("made") / "photos"
    rng = np.random.default_rng(0)
    for label in ("ant", "bee"):
        (root / label).mkdir(parents=True)
        for place in range(8):
            pixels = rng.integers(0, 255, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(root / label / f"{place} a#b.{'jpg' if place % 2 else 'webp'}")
    rows = "".join(f"{name},{name.split('/')[0]}\n" for name in names(root))
    (root / "t.csv").write_text(f"path,label\n{rows}")
    return root


@pytest.fixture
def photos(made, tmp_path) -> Path:
    root = tmp_path / "photos"
    for name in (*names(made), "t.csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((made / name).read_bytes())
    return root


@pytest.fixture
def server(photos) -> Iterator[Server]:
    found = Server(photos)
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch) -> None:
    monkeypatch.setattr(remote, "WAIT", 0.001)


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.glob("*/*"))


def load(dataset: str | Path, runs: Path | None = None, **options) -> data.Splits:
    return data.load(Data(dataset=str(dataset), image_size=16, **options), Room(runs))


def same(found: data.Splits, expected: data.Splits) -> None:
    assert found.fingerprint == expected.fingerprint
    assert found.rows() == expected.rows()
    images = [splits.test.source.fetch(splits.test.indices).numpy() for splits in (found, expected)]
    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("place", ["photos", "photos/t.csv"])
def test_memory_whose_files_have_no_identity(photos, place, tmp_path):
    memory = fsspec.filesystem("memory")
    for name in (*names(photos), "t.csv"):
        memory.pipe_file(f"/photos/{name}", (photos / name).read_bytes())
    same(load(f"memory://{place}", tmp_path / "runs"), load(photos))
    # Of the same size: only the content tells.
    old = memory.cat_file("/photos/ant/1 a#b.jpg")
    memory.pipe_file("/photos/ant/1 a#b.jpg", old[:-60] + bytes(58) + old[-2:])
    assert load(f"memory://{place}", tmp_path / "runs").fingerprint != load(photos).fingerprint
    memory.rm("/photos", recursive=True)


@pytest.mark.training
@pytest.mark.parametrize("place", ["", "/t.csv"])
def test_a_server_with_etags_is_read_once(photos, server, place, tmp_path):
    runs, cache = tmp_path / "runs", f"disk:{tmp_path / 'cache'}"
    existing.check(Data(dataset=server.url + place))
    found = load(server.url + place, runs, cache=cache)
    same(found, load(photos))
    assert found.name == ("t" if place else f"127.0.0.1_{server.server_port}")
    for _ in pipeline.scoring(found.val, found, 4):
        pass
    assert {server.asked[f"GET /{urllib.parse.quote(name)}"] for name in names(photos)} == {1}
    server.asked.clear()
    again = load(server.url + place, runs, cache=cache)
    same(again, found)
    assert server.gets("jpg") == server.gets("webp") == server.gets("csv") == 0, "ETags are those of the first start"
    (photos / "ant" / "1 a#b.jpg").write_bytes((photos / "ant" / "3 a#b.jpg").read_bytes())
    assert load(server.url + place, runs, cache=cache).fingerprint == load(photos).fingerprint != found.fingerprint
    assert server.gets("jpg") == 1


def test_a_server_without_etags_is_read_at_each_start(photos, server, tmp_path):
    server.etags = False
    first = load(f"{server.url}/t.csv", tmp_path / "runs")
    server.asked.clear()
    same(load(f"{server.url}/t.csv", tmp_path / "runs"), first)
    assert server.gets("jpg") >= 8


def test_an_interrupted_read_is_tried_again_then_named(photos, server, tmp_path):
    path = "/ant/1%20a%23b.jpg"
    server.failing[path] = 2
    same(load(f"{server.url}/t.csv", tmp_path / "runs"), load(photos))
    assert server.asked[f"GET {path}"] >= 3
    server.failing["/t.csv"] = server.failing[path] = 1000
    with pytest.raises(Stopped, match=rf"(?s){server.url}/t.csv failed 5 times: .*the same command continues"):
        load(f"{server.url}/t.csv")
    server.failing["/t.csv"] = 0
    with pytest.raises(Stopped, match=rf"(?s){server.url}{path} failed 5 times"):
        load(f"{server.url}/t.csv")


@pytest.mark.training
def test_an_image_that_changes_or_goes_away_in_mid_training_stops_it(photos, server, tmp_path):
    for change in ("changed", "gone"):
        found = load(f"{server.url}/t.csv", tmp_path / change, cache="off")
        name = found.train.ids()[0]
        if change == "changed":
            (photos / name).write_bytes((photos / found.train.ids()[1]).read_bytes())
        else:
            (photos / name).unlink()
        batches = pipeline.scoring(found.val, found, 4)  # others are still read
        assert sum(float(weights.numpy().sum()) for *_, weights in batches) > 0
        with pytest.raises(
            Stopped, match=r"(?s)cannot be read.*(has changed since it was listed|No such file|not found|http)"
        ):
            pipeline.scoring(found.train, found, 4)


def test_missing_things_are_one_message(photos, server, tmp_path):
    with pytest.raises(Missing, match=r"there is no http.*/none\.csv"):
        existing.check(Data(dataset=f"{server.url}/none.csv"))
    with pytest.raises(Missing, match=r"there is no .*none\.csv"):
        load(f"{server.url}/none.csv")
    (photos / "ant" / "0 a#b.webp").unlink()
    with pytest.raises(Missing, match=r"/t.csv names a file that is missing, in row 2: 'ant/0 a#b.webp'"):
        load(f"{server.url}/t.csv")
    with pytest.raises(UserError, match=r"/t.csv: --label-column|--label-column x: t.csv has no such column"):
        load(f"{server.url}/t.csv", label_column=("x",))
    with pytest.raises(UserError, match="nothing:// cannot be read"):
        load("nothing://photos")
    server.shutdown()
    server.server_close()
    with pytest.raises(Stopped, match="failed 5 times"):
        load(f"{server.url}/t.csv")


def test_a_local_table_of_addresses_needs_allow_outside(photos, server, tmp_path):
    table = tmp_path / "t.csv"
    rows = [
        f"{server.url}/{name.replace(' ', '%20').replace('#', '%23')},{name.split('/')[0]}" for name in names(photos)
    ]
    table.write_text("\n".join(["path,label", *rows]))
    with pytest.raises(UserError, match="lie outside of the table's folder"):
        load(table)
    found = load(table, allow_outside=True)
    assert found.class_names == ("ant", "bee")
    assert len(found.rows()) == 16
    table.write_text("path,label\nhttp://me:word@127.0.0.1/a.jpg,x\n")
    with pytest.raises(UserError, match="row 2: an address with credentials") as error:
        load(table, allow_outside=True)
    assert "word" not in str(error.value)


def test_parquet_and_shards_are_copied_once(photos, server, tmp_path, monkeypatch):
    rows = [{"bytes": (photos / name).read_bytes(), "path": name} for name in names(photos)]
    labels = [name.split("/")[0] for name in names(photos)]
    pq.write_table(pa.table({"image": rows, "label": labels}), photos / "p.parquet", compression="none")
    with tarfile.open(photos / "s-0.tar", "w") as tar:
        for place, name in enumerate(names(photos)):
            for suffix, content in (
                (name.rpartition(".")[2], (photos / name).read_bytes()),
                ("cls", str(place % 2).encode()),
            ):
                info = tarfile.TarInfo(f"{place:04d}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    cache = f"disk:{tmp_path / 'cache'}"
    same(load(f"{server.url}/p.parquet", tmp_path / "runs", cache=cache), load(photos / "t.csv"))
    for pattern in ("s-{0..0}.tar", "s-0.tar"):
        same(load(f"wds:{server.url}/{pattern}", tmp_path / "runs", cache=cache), load(f"wds:{photos}/s-0.tar"))
    server.asked.clear()
    load(f"{server.url}/p.parquet", tmp_path / "runs", cache=cache)
    load(f"wds:{server.url}/s-0.tar", tmp_path / "runs", cache=cache)
    assert server.gets() == 0
    monkeypatch.setattr(remote, "LARGEST", 10)
    with pytest.raises(UserError, match="give --cache disk:DIR"):
        load(f"{server.url}/p.parquet", tmp_path / "other")


def test_a_file_comes_in_parts(photos, server, tmp_path, monkeypatch):
    """This server answers a request for a part with the whole; memory gives parts."""
    monkeypatch.setattr(remote, "PART", 100)
    content = (photos / "t.csv").read_bytes()
    assert len(content) > 300
    assert remote.local(f"{server.url}/t.csv", "auto", Room(tmp_path), 1 << 20).read_bytes() == content
    fsspec.filesystem("memory").pipe_file("/t.csv", content)
    assert remote.local("memory://t.csv", "auto", Room(tmp_path), 1 << 20).read_bytes() == content


@pytest.mark.training
def test_s3(photos, tmp_path, monkeypatch):
    moto = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("s3fs")
    store = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDWRITTENNOWHERE",
        "AWS_SECRET_ACCESS_KEY": "secret-written-nowhere",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        for name in (*names(photos), "t.csv"):
            client.put_object(Bucket="bucket", Key=f"photos/{name}", Body=(photos / name).read_bytes())
        for place in ("s3://bucket/photos", "s3://bucket/photos/t.csv"):
            same(load(place, tmp_path / "runs", cache=f"disk:{tmp_path / 'cache'}"), load(photos))
            assert remote.status("s3://bucket/photos/t.csv").identity.startswith("ETag=")
        with pytest.raises(UserError, match=r"there is no .*none|no access"):
            load("s3://bucket/none.csv")
        kept = b"".join(path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file())
        assert b"NOWHERE" not in kept.upper().replace(b"WRITTEN", b"")
    finally:
        store.stop()


def test_credentials_are_refused_before_anything_is_written():
    for address in (
        "https://me:word@host/t.csv",
        "table:https://word@host/t.csv",
        "s3://key:word@bucket/photos",
        "https://host/t.csv?X-Amz-Signature=word",
        "wds:https://host/a.tar?sig=word&x=1",
    ):
        assert has_secrets(address)
        with pytest.raises(FieldError, match="was given with credentials") as error:
            Config(data={"dataset": address})
        assert "word" not in str(error.value)
    assert not has_secrets("https://host/t.csv?version=3")
    assert without_secrets("no https://a:b@host/x?token=c&d=e, then") == "no https://host/x?token=...&d=e, then"
    with pytest.raises(FieldError, match="expected auto, memory, off or disk:DIR, got 'disk:'"):
        Data(cache="disk:")


def test_the_cache_on_disk_stays_within_its_bound(tmp_path):
    cache = DiskCache(tmp_path / "cache", most=1000)
    for place in range(30):
        cache.add(bytes([place]) * 16, bytes(100))
        os.utime(tmp_path / "cache" / (bytes([place]) * 16).hex(), (place, place))
    held = list((tmp_path / "cache").glob("?" * 32))
    assert sum(path.stat().st_size for path in held) <= 1000
    assert cache.find(bytes([29]) * 16) == bytes(100)
    assert cache.find(bytes([0]) * 16) is None
    cache.add(b"x" * 16, bytes(2000))
    assert cache.find(b"x" * 16) is None, "larger than the bound"
