"""Every odd file gives Pillow's pixels or its reason; resizing is what TensorFlow and Pillow do in several steps."""

import functools
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from kerascnn.data import decode
from tests.data import odd_files

PATH = [tf.TensorSpec([], tf.string)]
read_and_decode = tf.function(lambda path: decode.decode(decode.read(path)), input_signature=PATH)
decode_bytes = tf.function(decode.decode, input_signature=PATH)


@functools.cache
def window_of(size: int, large: int = decode.LARGE) -> Callable:
    """`decode.window` of bytes and a place, int32 [4], as the pipeline has it: in a graph."""
    inputs = [*PATH, tf.TensorSpec([4], tf.int32)]
    return tf.function(
        lambda data, place: decode.window(data, lambda *_: tf.unstack(place), size, large), input_signature=inputs
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[odd_files.OddFile]:
    return odd_files.make(tmp_path_factory.mktemp("odd"))


def name_of(path: Path) -> bytes:
    return bytes(path)


def difference(expected: np.ndarray, got: np.ndarray) -> int | str:
    if expected.shape != got.shape:
        return f"shape {got.shape} instead of {expected.shape}"
    return int(np.abs(expected.astype(int) - got).max())


def test_odd_files_give_the_pixels_of_pillow(corpus: list[odd_files.OddFile]) -> None:
    wrong = {}
    for odd in corpus:
        if odd.reason is None:
            found = difference(odd.pixels, read_and_decode(name_of(odd.path)).numpy())
            if isinstance(found, str) or found > odd.tolerance:
                wrong[odd.path.name] = found
    assert wrong == {}


def test_odd_files_are_usable_or_have_a_reason(corpus: list[odd_files.OddFile]) -> None:
    wrong = {}
    for odd in corpus:
        reason = decode.problem(odd.path)
        if (reason is None) != (odd.reason is None) or (odd.reason is not None and odd.reason not in reason):
            wrong[odd.path.name] = reason
    assert wrong == {}


def test_a_header_tells_what_it_can(corpus: list[odd_files.OddFile]) -> None:
    probes = [(odd, decode.probe(odd.path)) for odd in corpus]
    for odd, probe in probes:
        if odd.reason is None:
            assert {probe.height, probe.width} == set(odd.pixels.shape[:2]), odd.path.name
            assert probe.native == (probe.format in ("jpeg", "png")), odd.path.name
            assert probe.problem is None, odd.path.name
    # Only damage within the image data needs a decoder; a bomb must never meet one.
    unseen = {odd.path.name for odd, probe in probes if odd.reason is not None and probe.problem is None}
    assert {name for name in unseen if not name.startswith("half.")} == {"bad_sum.png", "real_numbers.tif"}


WINDOWS = ((0.0, 0.0, 1.0, 1.0), (0.2, 0.35, 0.5, 0.3), (0.7, 0.6, 0.01, 0.4))  # top, left, height, width as shares


def test_a_window_is_a_part_of_the_decoded_image(corpus: list[odd_files.OddFile]) -> None:
    """To the bit, but for a border of one pixel, whose colours libjpeg interpolates from within the window only."""
    wrong = {}
    for odd in corpus:
        if odd.reason is not None:
            continue
        data = decode.read(name_of(odd.path))
        whole = decode_bytes(data).numpy()
        for shares in WINDOWS:
            top, left, rows, columns = (
                int(share * side) for share, side in zip(shares, whole.shape[:2] * 2, strict=True)
            )
            place = top, left, max(rows, 1), max(columns, 1)
            expected = whole[top : top + place[2], left : left + place[3]]
            part = window_of(4096, large=1)(data, place).numpy()
            cut = slice(None) if shares == WINDOWS[0] else slice(1, -1)
            found = difference(expected, part)
            if isinstance(found, str) or (abs(expected.astype(int) - part)[cut, cut] > 0).any():
                wrong[odd.path.name, shares] = found
    assert wrong == {}


def test_a_window_of_a_small_image_is_cut_from_the_whole() -> None:
    """In all its pixels, where a large one's window may be decoded at a half of the size."""
    content = io.BytesIO()
    odd_files.photo().save(content, "JPEG", quality=90)
    data, place = tf.constant(content.getvalue()), (3, 5, 30, 40)
    whole = decode_bytes(data).numpy()
    pixels = whole.shape[0] * whole.shape[1]
    assert pixels < decode.LARGE
    np.testing.assert_array_equal(window_of(4)(data, place), whole[3:33, 5:45])
    assert window_of(4, large=pixels)(data, place).shape == (15, 20, 3)


@pytest.mark.parametrize("orientation", range(9))
def test_a_large_window_is_decoded_smaller(orientation: int) -> None:
    """Upright, at the scale that leaves twice the pixels that are wanted, and almost the same once it is resized."""
    exif, content = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    photo = odd_files.photo().resize((1232, 912), Image.Resampling.BICUBIC)
    photo.save(content, "JPEG", quality=90, **({"exif": exif} if orientation else {}))
    data = tf.constant(content.getvalue())
    exact = decode_bytes(data).numpy()[160:720, 240:880]
    for size, scale in ((32, 8), (60, 4), (200, 1)):
        part = window_of(size)(data, (160, 240, 560, 640))
        assert part.shape == (560 // scale, 640 // scale, 3)
        resized, wanted = (decode.resize(image, size, "squash").numpy().astype(int) for image in (part, exact))
        assert abs(resized - wanted).mean() < (1 if scale > 1 else 1e-3), size


def test_formats_are_told_by_content() -> None:
    image = odd_files.photo()
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA", "ICO", "PCX", "SGI"):
        assert decode.sniff(odd_files.encode(image, kind)[:64]) == kind.lower()
    assert decode.sniff(b"") is None
    assert decode.sniff(b"RIFF\0\0\0\0WAVE") is None


def test_the_graph_decodes_bytes_without_python(corpus: list[odd_files.OddFile]) -> None:
    """What a SavedModel carries: standard ops only, the same pixels for every JPEG and PNG but two kinds of text chunks."""
    graph = decode_bytes.get_concrete_function().graph.as_graph_def()
    ops = {node.op for node in graph.node} | {node.op for f in graph.library.function for node in f.node_def}
    assert not [op for op in ops if "Py" in op]
    different = set()
    for odd in corpus:
        if odd.reason is None and decode.probe(odd.path).native:
            found = difference(odd.pixels, decode_bytes(odd.path.read_bytes()).numpy())
            if isinstance(found, str) or found > odd.tolerance:
                different.add(odd.path.name)
    assert different == {"exif_as_text.png", "xmp.png"}


@pytest.mark.parametrize(
    ("name", "message"),
    [("animated.gif", "JPEG or PNG"), ("text.jpg", "JPEG or PNG"), ("bomb.jpg", "pixels"), ("bomb.png", "pixels")],
)
def test_the_graph_refuses_before_it_decodes(corpus: list[odd_files.OddFile], name: str, message: str) -> None:
    content = next(odd.path for odd in corpus if odd.path.name == name).read_bytes()
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode_bytes(content)
    with pytest.raises(tf.errors.InvalidArgumentError, match="JPEG or PNG"):
        decode_bytes(b"")


def test_every_alpha_over_white_is_exact() -> None:
    color, alpha = np.meshgrid(np.arange(256), np.arange(256))
    content = odd_files.png(np.stack([color, 255 - color, color // 2, alpha], -1), 8, 6)
    assert difference(odd_files.pillow_pixels(content), decode_bytes(content).numpy()) == 0


def test_sixteen_bit_is_divided_by_257() -> None:
    levels = np.arange(65536).reshape(256, 256, 1)
    got = decode_bytes(odd_files.png(levels, 16, 0)).numpy()
    np.testing.assert_array_equal(got[..., 0], np.rint(levels[..., 0] / 257))


def test_real_photos_are_exact(real_data: Path) -> None:
    paths = sorted((real_data / "hymenoptera" / "train").rglob("*.jpg"))[::6]
    assert len(paths) > 30
    for path in paths:
        with Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        assert difference(expected, read_and_decode(name_of(path)).numpy()) == 0, path.name


def test_damaged_images_are_left_out_of_a_stream(corpus: list[odd_files.OddFile]) -> None:
    files = [odd for odd in corpus if odd.path.is_file()]
    images = tf.data.Dataset.from_tensor_slices([name_of(odd.path) for odd in files])
    images = images.map(lambda path: decode.preprocess(decode.read(path), 16, "crop"), 2).ignore_errors()
    assert len(list(images.as_numpy_iterator())) == sum(odd.reason is None for odd in files)


# height, width: the usual ones, one pixel, 1:50 both ways, and smaller than the result.
SHAPES = [(375, 500), (500, 333), (1, 1), (10, 500), (500, 10), (9, 13), (64, 64)]


def image_of(height: int, width: int) -> np.ndarray:
    return np.asarray(odd_files.photo(width, height))


@pytest.mark.parametrize("shape", SHAPES)
def test_crop_is_resize_then_centre(shape: tuple[int, int]) -> None:
    image, short = image_of(*shape), min(shape)
    height, width = (int(side * 73 / short + 0.5) for side in shape)  # 64 / 0.875 = 73
    large = tf.image.resize(image, (height, width), antialias=True)
    top, left = (height - 64) // 2, (width - 64) // 2
    expected = np.rint(large[top : top + 64, left : left + 64].numpy())
    got = decode.resize(image, 64, "crop")
    assert got.dtype == tf.uint8
    # An op that jumps straight to the window may round another way where the exact value is a half.
    assert difference(expected, got.numpy()) <= 1
    assert np.mean(expected != got.numpy()) < 0.01


@pytest.mark.parametrize("shape", [*SHAPES, (1, 900), (900, 1)])
def test_pad_shows_the_whole_image_in_a_black_frame(shape: tuple[int, int]) -> None:
    image = np.maximum(image_of(*shape), 1)
    got = decode.resize(image, 64, "pad").numpy()
    height, width = (max(1, int(side * 64 / max(shape) + 0.5)) for side in shape)
    top, left = (64 - height) // 2, (64 - width) // 2
    inside = np.zeros((64, 64), bool)
    inside[top : top + height, left : left + width] = True
    np.testing.assert_array_equal(got.max(-1) > 0, inside)
    expected = np.rint(tf.image.resize(image, (height, width), antialias=True))
    assert difference(expected, got[top : top + height, left : left + width]) <= 1


@pytest.mark.parametrize("shape", SHAPES)
def test_squash_is_antialiased_like_pillow(shape: tuple[int, int]) -> None:
    image = image_of(*shape)
    expected = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR))
    assert difference(expected, decode.resize(image, 64, "squash").numpy()) <= 1


def test_resize_takes_batches_and_floats_of_any_size() -> None:
    images = np.stack([image_of(40, 30), image_of(40, 30)[::-1]])
    for mode in ("crop", "pad", "squash"):
        batch = decode.resize(images, 16, mode)
        assert batch.shape == (2, 16, 16, 3)
        single = tf.stack([decode.resize(image, 16, mode) for image in images])
        np.testing.assert_array_equal(batch, single)
        np.testing.assert_array_equal(batch, decode.resize(images.astype("float32"), 16, mode))
    unknown = tf.function(lambda x: decode.resize(x, 16, "crop")).get_concrete_function(
        tf.TensorSpec([None, None, None, 3], tf.float32)
    )
    assert unknown.structured_outputs.shape.as_list() == [None, 16, 16, 3]
    np.testing.assert_array_equal(decode.resize(image_of(16, 16), 16, "squash"), image_of(16, 16))
    np.testing.assert_array_equal(decode.resize(image_of(16, 16), 16, "pad"), image_of(16, 16))


@pytest.mark.parametrize(("height", "width"), [(28, 28), (32, 29), (31, 32)])
def test_squash_frames_what_is_a_little_smaller(height: int, width: int) -> None:
    image, got = image_of(height, width), decode.resize(image_of(height, width), 32, "squash").numpy()
    top, left = (32 - height) // 2, (32 - width) // 2
    bottom, right = 32 - height - top, 32 - width - left
    np.testing.assert_array_equal(got, np.pad(image, ((top, bottom), (left, right), (0, 0))))
    enlarged = decode.resize(image_of(27, 32), 32, "squash").numpy()
    assert enlarged[0].max() > 0
    assert enlarged[-1].max() > 0


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(ValueError, match="expected crop, pad or squash as the resize mode, got 'auto'"):
        decode.resize(image_of(4, 4), 4, "auto")


def test_preprocess_is_both_steps() -> None:
    content = odd_files.with_exif(odd_files.encode(odd_files.photo(), "JPEG"), odd_files.exif(6))
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    np.testing.assert_array_equal(decode.preprocess(content, 16, "crop"), decode.resize(upright, 16, "crop"))


@pytest.mark.parametrize("mode", ["crop", "pad", "squash"])
@pytest.mark.parametrize(("height", "width"), [(300, 200), (200, 300), (31, 30), (64, 64)])
def test_the_part_that_is_seen_is_where_the_pixels_come_from(height, width, mode) -> None:
    """The image's colors say where each of its pixels is: red from the left, green from the top."""
    down, across = np.mgrid[:height, :width]
    image = np.stack([255 * (across + 0.5) / width, 255 * (down + 0.5) / height, np.full((height, width), 255)], -1)
    pixels = decode.resize(image.astype("float32"), 32, mode).numpy() / 255
    left, top, wide, tall = decode.seen(height, width, 32, mode)
    places = (np.arange(32) + 0.5) / 32
    inside = pixels[..., 2] > 0.99
    expected = np.stack(np.broadcast_arrays((left + wide * places)[None, :], (top + tall * places)[:, None]), -1)
    np.testing.assert_allclose(pixels[inside][:, :2], expected[inside], atol=0.03)
    assert inside.mean() == pytest.approx(min(1, 1 / wide) * min(1, 1 / tall), abs=0.07)
