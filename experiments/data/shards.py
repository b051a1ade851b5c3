"""Time and memory for many images in shards: the first start, which indexes them, a later one, and streaming.

    python -m experiments.data.shards PHOTOS FOLDER [IMAGES]

PHOTOS is a folder of class folders; its images are re-encoded as JPEGs of 64 px, and repeated under other names up to IMAGES
(default: 100,000). FOLDER receives them as ten tar files and as ten TFRecord files, and a tenth of them as one of each.
Prints a table in Markdown.
"""

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

PARTS, SIDE = 10, 64
STEPS, BATCH = 36, 256  # of streaming: as many of many images as of few, in random order
CHILD = """
import sys, time
began = time.perf_counter()
from pathlib import Path
from kerascnn import data
from kerascnn.config import Augment, Data
from kerascnn.data import pipeline
from kerascnn.devices import timing

imported = time.perf_counter() - began
loaded, before = time.process_time(), timing.peak_memory()
began = time.perf_counter()
section = Data(dataset=sys.argv[1], image_size=32, resize="squash", cache="off", val_fraction=0.01)
splits = data.load(section, data.Room(Path(sys.argv[2])))
seconds, cpu, listed = time.perf_counter() - began, time.process_time() - loaded, timing.peak_memory()
steps = int(sys.argv[3])
began, loaded = time.perf_counter(), time.process_time()
for _ in pipeline.training(splits, augment=Augment(augment=("none",)), seed=0, batch_size=256).take(steps) if steps else ():
    pass
took, used = time.perf_counter() - began, time.process_time() - loaded
print(len(splits.train.source), seconds, cpu, before, listed, took, used, timing.peak_memory())
"""


def images(photos: Path) -> list[tuple[str, bytes]]:
    """(class, JPEG) of all photos, small."""
    found = []
    for path in sorted(photos.glob("*/*.*")):
        out = io.BytesIO()
        Image.open(path).convert("RGB").resize((SIDE, SIDE)).save(out, "JPEG", quality=85)
        found.append((path.parent.name, out.getvalue()))
    return found


def rows(photos: list[tuple[str, bytes]], count: int) -> Iterator[tuple[str, str, bytes]]:
    """(name, class, JPEG); a comment of its own makes each image's content another one."""
    for place in range(count):
        label, content = photos[place % len(photos)]
        comment = f"{place:08d}".encode()
        yield f"{place:08d}.jpg", label, content[:2] + b"\xff\xfe\x00\x0a" + comment + content[2:]


def write(photos: list[tuple[str, bytes]], folder: Path, count: int, parts: int) -> None:
    """Writes the same images as tar files and as TFRecord files."""
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    tars = [tarfile.open(folder / f"photos-{part:02d}.tar", "w") for part in range(parts)]  # noqa: SIM115
    records = [tf.io.TFRecordWriter(str(folder / f"photos-{part:02d}.tfrecord")) for part in range(parts)]
    of = tf.train.Feature
    for place, (name, label, content) in enumerate(rows(photos, count)):
        for member, data in ((name, content), (f"{name[:8]}.cls", label.encode())):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tars[place % parts].addfile(info, io.BytesIO(data))
        texts = {"image/encoded": content, "image/filename": name.encode(), "image/class/text": label.encode()}
        features = {key: of(bytes_list=tf.train.BytesList(value=[value])) for key, value in texts.items()}
        example = tf.train.Example(features=tf.train.Features(feature=features))
        records[place % parts].write(example.SerializeToString())
    for file in (*tars, *records):
        file.close()


def measured(dataset: str, runs: Path, steps: int) -> list[float]:
    """Images, seconds and CPU seconds of the listing, peak bytes before and after, the same of some batches."""
    command = [sys.executable, "-c", CHILD, dataset, str(runs), str(steps)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(word) for word in output.split()]


def main() -> None:
    photos, folder = Path(sys.argv[1]), Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 100_000
    sets = ((folder / "few", count // PARTS, 1), (folder / "many", count, PARTS))
    if not (folder / "many").exists():
        small = images(photos)
        for place, number, parts in sets:
            write(small, place, number, parts)
    print(
        "| shards | images | first start | later starts | memory of the listing | streaming of images | peak memory |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|", flush=True)
    for form, suffix in (("wds", "tar"), ("tfrecord", "tfrecord")):
        for place, _, _ in sets:
            dataset, runs = f"{form}:{place}/*.{suffix}", place / f"runs-{form}"
            first, again = measured(dataset, runs, 0), measured(dataset, runs, STEPS)
            cells = [
                f"`{form}:`",
                f"{first[0]:,.0f}",
                f"{first[1]:.1f} s ({first[2]:.1f} s CPU)",
                f"{again[1]:.1f} s ({again[2]:.1f} s CPU)",
                f"{(first[4] - first[3]) / 1e6:.0f} MB, later {(again[4] - again[3]) / 1e6:.0f} MB",
                f"{STEPS * BATCH:,} in {again[5]:.0f} s ({again[6]:.0f} s CPU)",
                f"{again[7] / 1e6:.0f} MB",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
