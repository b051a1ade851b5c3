"""Orientation of an encoded image, read from its bytes by standard TensorFlow ops, as TensorFlow's decoders ignore it.

The rules are Pillow's (`ImageOps.exif_transpose`): the tag Orientation of the first directory of the EXIF block, else that of
the XMP block. Sources: EXIF 2.32, section 4.6.5; TIFF 6.0, section 2; ITU-T T.81, annex B; PNG 3, section 11.3.
"""

import tensorflow as tf

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_TAG = b"tiff:Orientation"
_TAG = 0x0112
_SHORT, _LONG = 3, 4


# Reversed axes of the upright image, after the sides are swapped (from 5 on); one row per orientation from 0.
_BACKWARDS = [[0, 0], [0, 0], [0, 1], [1, 1], [1, 0], [0, 0], [0, 1], [1, 1], [1, 0]]


def of_jpeg(data):
    """Returns the orientation of a JPEG: scalar string -> scalar int32 from 1 to 8, or 0 if there is no valid one."""

    def given():
        tag = _tiff_orientation(_app1(data, _EXIF))
        tag = tf.cond(tf.equal(tag, 0), lambda: _xmp_orientation(_app1(data, _XMP)), lambda: tag)
        return tf.where((tag > 0) & (tag <= 8), tag, 0)

    # Most files have no such segment, and one search costs a tenth of a walk over the segments.
    return tf.cond(contains(data, b"\xff\xe1"), given, lambda: tf.constant(0))


def upright_jpeg(image, data):
    """Turns `image` [h, w, channels], the pixels of the JPEG `data` (scalar string), by its orientation."""
    return turned(image, of_jpeg(data))


def upright_shape(height, width, orientation):
    """Returns height and width, int32 [] each, of an image with this stored size after it is turned."""
    swapped = orientation >= 5
    return tf.where(swapped, width, height), tf.where(swapped, height, width)


def stored_window(window, height, width, orientation):
    """Maps a window of the upright image to the stored image: int32 [] top, left, height, width in both cases.

    `height` and `width` are those of the upright image.
    """
    top, left, rows, columns = window
    backwards = tf.gather(tf.cast(_BACKWARDS, tf.bool), orientation)
    top = tf.where(backwards[0], height - top - rows, top)
    left = tf.where(backwards[1], width - left - columns, left)
    swapped = orientation >= 5
    return tuple(
        tf.where(swapped, other, own) for own, other in ((top, left), (left, top), (rows, columns), (columns, rows))
    )


def upright_png(image, data):
    """Turns `image` [h, w, channels], the pixels of the PNG `data` (scalar string), by its eXIf chunk."""
    found = contains(data, b"eXIf")
    return tf.cond(found, lambda: turned(image, _tiff_orientation(_png_chunk(data, b"eXIf"))), lambda: image)


def turned(image, orientation):
    """Turns an image: 2-4 mirror and turn, 5-8 also swap the sides; any other orientation leaves `image` unchanged."""

    def turn():
        swapped = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        backwards = tf.gather(tf.cast(_BACKWARDS, tf.bool), orientation)
        return tf.raw_ops.Reverse(tensor=swapped, dims=tf.concat([backwards, [False]], 0))

    return tf.cond((orientation > 1) & (orientation <= 8), turn, lambda: image)


def contains(data, text: bytes):
    """Returns whether the scalar string `data` contains `text`, as a scalar bool (one C++ search, 0.4 ms per MB)."""
    return tf.size(tf.raw_ops.StringSplitV2(input=[data], sep=text, maxsplit=1).values) > 1


def _app1(data, identifier: bytes):
    """Returns the text after `identifier` in the first APP1 segment that begins with it, or "" if there is none before the
    scan.
    """
    length = tf.strings.length(data)
    head = 4 + len(identifier)

    def step(position, payload):
        marker = _bytes(data, position, 4)
        first, second, segment = marker[0], marker[1], marker[2] * 256 + marker[3]
        marked = tf.equal(first, 0xFF)
        match = tf.equal(tf.strings.substr(data, position + 4, len(identifier)), identifier)
        hit = marked & tf.equal(second, 0xE1) & match
        payload = tf.cond(
            hit, lambda: tf.strings.substr(data, position + head, tf.maximum(segment + 2 - head, 0)), lambda: payload
        )
        # Padding and junk are skipped byte by byte; TEM, RST and SOI have no length; SOS and EOI end the header.
        bare = tf.equal(second, 0) | tf.equal(second, 1) | ((second >= 0xD0) & (second <= 0xD8))
        last = hit | (marked & ((second == 0xDA) | (second == 0xD9)))
        hop = tf.where(~marked | tf.equal(second, 0xFF), 1, tf.where(bare, 2, 2 + segment))
        return tf.where(last, length, position + hop), payload

    return tf.while_loop(lambda position, _: position + head <= length, step, (2, b""), parallel_iterations=1)[1]


def _png_chunk(data, name: bytes):
    """Returns the content of the first chunk `name`, or an empty string."""
    length = tf.strings.length(data)

    def step(position, payload):
        size = tf.tensordot(_bytes(data, position, 4), [1 << 24, 1 << 16, 1 << 8, 1], 1)
        hit = tf.equal(tf.strings.substr(data, position + 4, 4), name)
        payload = tf.cond(hit, lambda: tf.strings.substr(data, position + 8, tf.maximum(size, 0)), lambda: payload)
        # A chunk that exceeds the file (or has a negative size) ends the walk; so does an overflow of the sum.
        last = hit | (size < 0) | (size > length)
        return tf.where(last, length, position + 12 + size), payload

    return tf.while_loop(lambda position, _: position + 12 <= length, step, (8, b""), parallel_iterations=1)[1]


def _tiff_orientation(tiff):
    """Returns the tag Orientation in the first directory of a TIFF block, or 0."""
    # Some writers put the identifier of JPEG into PNG chunks as well.
    named = tf.equal(_part(tiff, 0, len(_EXIF)), _EXIF)
    tiff = tf.cond(named, lambda: _part(tiff, len(_EXIF), tf.strings.length(tiff)), lambda: tiff)
    length = tf.strings.length(tiff)
    order = _part(tiff, 0, 4)
    little = tf.equal(order, b"II*\0")

    def number(octets):
        """Returns octets [..., n] as numbers [...], in the byte order of the block."""
        weights = [1 << 8 * place for place in range(octets.shape[-1])]
        return tf.reduce_sum(octets * tf.where(little, weights, weights[::-1]), -1)

    def directory():
        start = number(_padded(_bytes(tiff, 4, 4), 4))
        start = tf.where((start < 0) | (start > length), length, start)
        count = number(_padded(_bytes(tiff, start, 2), 2))
        entries = _bytes(tiff, start + 2, 12 * count)
        entries = tf.reshape(entries[: tf.size(entries) // 12 * 12], [-1, 12])
        tag, kind, values = number(entries[:, :2]), number(entries[:, 2:4]), number(entries[:, 4:8])
        value = tf.where(tf.equal(kind, _SHORT), number(entries[:, 8:10]), number(entries[:, 8:12]))
        # Four bytes hold two short values or a long one; the first counts. More values would be stored elsewhere.
        fits = (tf.equal(kind, _SHORT) & (values <= 2)) | (tf.equal(kind, _LONG) & (values <= 1))
        usable = tf.equal(tag, _TAG) & (values >= 1) & fits
        # If a tag occurs twice, the last one counts, as in Pillow.
        return tf.concat([[0], tf.boolean_mask(value, usable)], 0)[-1]

    return tf.cond(little | tf.equal(order, b"MM\0*"), directory, lambda: tf.constant(0))


def _xmp_orientation(xmp):
    """Returns the digit after `tiff:Orientation="` or `tiff:Orientation>`, or 0."""
    digits = [tf.constant([ord("0")])]
    for mark in (_XMP_TAG + b'="', _XMP_TAG + b">"):
        parts = tf.raw_ops.StringSplitV2(input=[xmp], sep=mark, maxsplit=1).values[1:]
        digits.append(_bytes(tf.strings.reduce_join(parts), 0, 1))
    return tf.concat(digits, 0)[-1] - ord("0")


def _part(data, start, count):
    """Returns `count` bytes of a string from `start`, or fewer at its end."""
    return tf.strings.substr(data, tf.minimum(start, tf.strings.length(data)), count)


def _bytes(data, start, count):
    """Returns `count` bytes from `start` as int32 [count], or fewer at the string's end."""
    return tf.cast(tf.io.decode_raw(_part(data, start, count), tf.uint8), tf.int32)


def _padded(octets, count: int):
    return tf.ensure_shape(tf.concat([octets, tf.zeros([count], tf.int32)], 0)[:count], [count])
