"""Time and memory for a table of many rows: parsing it, reading its files once, and knowing them again.

    python -m experiments.data.million_rows FOLDER [ROWS]

FOLDER receives the images (hard links to a thousand small PNGs), the tables and what is remembered. Prints a table in Markdown.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from PIL import Image

CLASSES, IMAGES = 100, 1000
CHILD = """
import sys, time
from pathlib import Path
from kerascnn.config import Data
from kerascnn.data import table, table_columns, table_reading
from kerascnn.data.room import Room
from kerascnn.devices import timing

path, what, memory = Path(sys.argv[1]), sys.argv[2], timing.peak_memory()
section, began = Data(dataset=str(path), image_size=8), time.perf_counter()
if what == "parsed":
    form = table_reading.form_of(path)
    rows, names = table._rows(path, str(path), form, table_columns.chosen(form, section, path.name), section, [])
    count = len(rows.ids)
else:
    count = len(table.listing(section, 8, "squash", Room(path.parent / "runs")).source)
print(count, time.perf_counter() - began, memory, timing.peak_memory())
"""


def make(folder: Path, rows: int) -> list[Path]:
    """Writes the images and the tables; a folder that is there already is used again."""
    tables = [folder / "paths.csv", folder / "paths.jsonl", folder / "bytes.parquet"]
    if tables[-1].exists():
        return tables
    names = [f"images/{place // 1000:04d}/{place % 1000:03d}.png" for place in range(rows)]
    rng, kept = np.random.default_rng(0), []
    for place, name in enumerate(names):
        path = folder / name
        if place % 1000 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        if place < IMAGES:
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(path)
            kept.append(path.read_bytes())
        else:
            os.link(folder / names[place % IMAGES], path)
    labels = [f"class {place % CLASSES}" for place in range(rows)]
    table = pa.table({"path": names, "label": labels})
    pyarrow.csv.write_csv(table, tables[0])
    with tables[1].open("w") as file:
        file.writelines(
            f'{{"path": "{name}", "label": "{label}"}}\n' for name, label in zip(names, labels, strict=True)
        )
    content = [kept[place % IMAGES] for place in range(rows)]
    pq.write_table(pa.table({"image": content, "id": names, "label": labels}), tables[2], compression="none")
    return tables


def main(folder: Path, rows: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tables = make(folder, rows)
    print("| table | what | rows | seconds | peak memory, of which before |\n|---|---|---:|---:|---:|")
    for table in tables:
        for what in ("parsed", "read once", "known again"):
            if what == "read once":
                for kept in (folder / "runs").rglob("*.npz"):
                    kept.unlink()
            command = [sys.executable, "-c", CHILD, str(table), what]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            count, seconds, before, peak = map(float, out.split()[-4:])
            size = f"{peak / 1e9:.2f} GB, {before / 1e9:.2f} GB"
            print(
                f"| {table.name}, {table.stat().st_size / 1e6:.0f} MB | {what} | {count:,.0f} | {seconds:.1f} | {size} |",
                flush=True,
            )
            time.sleep(2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
