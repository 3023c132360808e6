"""Records of TFRecord files by number: an index of their places, checksums tested when read.

The format, little-endian: length (uint64), masked CRC-32C of its 8 bytes (uint32), that many bytes
of data, masked CRC-32C of them (uint32); see TensorFlow's lib/io/record_writer.h.
"""

import numpy as np

from bert_tf.errors import UserError

_HEADER, _FOOTER = 12, 4
_MASK_DELTA = 0xA282EAD8


def _table():
    """CRC-32C (Castagnoli) of every byte."""
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, crc >> 1 ^ np.uint32(0x82F63B78), crc >> 1)
    return crc


_TABLE = _table()


def masked_crc32c(data, starts, lengths):
    """Returns uint32 [n]: TFRecord's checksums of n pieces of `data`, side by side.

    Args:
      data: uint8 array.
      starts, lengths: int64 [n] where each piece is.
    """
    order = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    width = int(lengths.max(initial=0))
    longer = np.searchsorted(-lengths, -np.arange(width), side="left")  # pieces with a byte there
    places = np.minimum(starts + np.arange(width)[:, None], len(data) - 1)
    columns = data[places].astype(np.uint32)  # [width, n]
    crc = np.full(len(starts), 0xFFFFFFFF, np.uint32)
    for column, count in zip(columns, longer.tolist(), strict=True):
        some = crc[:count]
        some[:] = _TABLE[(some ^ column[:count]) & 0xFF] ^ (some >> 8)
    crc = ~crc
    found = np.empty_like(crc)
    found[order] = (crc >> 15 | crc << 17) + np.uint32(_MASK_DELTA)
    return found


class TFRecordFile:
    """One file, memory-mapped.

    Args:
      path: the file.

    Attributes:
      path: as given.

    Raises:
      UserError: it is missing, empty, truncated, or no TFRecord file; the message names the record
        (from 1).
    """

    def __init__(self, path):
        self.path = path
        try:
            self._data = np.memmap(path, np.uint8, mode="r")
        except (OSError, ValueError) as e:
            raise UserError(
                f"{path}: cannot read, expected a TFRecord file: {getattr(e, 'strerror', 0) or e}"
            ) from e
        self._starts, self._lengths = self._index()
        headers = self._starts - _HEADER
        sound = self._is_sound(headers, np.full(len(headers), 8))
        if not sound.all():
            raise UserError(self._damage(int(np.argmin(sound))))
        if len(headers) == 0 or self._starts[-1] + self._lengths[-1] + _FOOTER != len(self._data):
            raise UserError(self._damage(len(headers)))

    def __len__(self):
        return len(self._starts)

    def read(self, numbers):
        """Returns (bytes [n] as an array of objects, sound bool [n]) of those records."""
        starts, lengths = self._starts[numbers], self._lengths[numbers]
        records = np.empty(len(starts), object)
        for i, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
            records[i] = self._data[start : start + length].tobytes()
        return records, self._is_sound(starts, lengths)

    @property
    def checksums(self):
        """The records' stored checksums, uint32 [n]; beside the headers, that are read anyway."""
        return self._stored(self._starts + self._lengths)

    def _index(self):
        """Where each whole record's data starts, and its length: int64 [n] both."""
        view, size = memoryview(self._data), len(self._data)
        starts, lengths, position = [], [], 0
        while position + _HEADER + _FOOTER <= size:
            length = int.from_bytes(view[position : position + 8], "little")
            if position + _HEADER + length + _FOOTER > size:
                break
            starts.append(position + _HEADER)
            lengths.append(length)
            position += _HEADER + length + _FOOTER
        return np.array(starts, np.int64), np.array(lengths, np.int64)

    def _is_sound(self, starts, lengths):
        """Whether what follows each piece is its checksum."""
        return masked_crc32c(self._data, starts, lengths) == self._stored(starts + lengths)

    def _stored(self, places):
        """The checksums at these places, uint32 [n]."""
        return np.ascontiguousarray(self._data[places[:, None] + np.arange(4)]).view("<u4")[:, 0]

    def _damage(self, number):
        return (
            f"{self.path}: record {number + 1} is truncated, or its length is corrupt; expected a"
            " TFRecord file without compression"
        )
