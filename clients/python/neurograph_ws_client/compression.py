"""Compression of messages. No marker is added to the bytes; `deflate` is the raw form, `zlib` has a header."""

from __future__ import annotations

import json
import zlib
from typing import Any, Dict, Tuple, Union

#: What something may inflate to: the hub's own limit for compressed JSON.
INFLATED_BYTES_MAX = 16 * 1024**2
#: Less than a tenth saved is not worth the time of the reader.
_WORTH_RATIO = 0.9
_WINDOW_BITS: Dict[str, int] = {"gzip": 31, "zlib": 15, "deflate": -15}


def compress_bytes(data: bytes, algorithm: str = "gzip", level: int = 6) -> bytes:
    if algorithm == "none":
        return data
    compressor = zlib.compressobj(level, zlib.DEFLATED, _window_bits(algorithm))
    return compressor.compress(data) + compressor.flush()


def decompress_bytes(data: bytes, algorithm: str = "gzip", bytes_max: int = INFLATED_BYTES_MAX) -> bytes:
    """Raises ValueError when the bytes are damaged, or inflate to more than `bytes_max`."""
    if algorithm == "none":
        return data
    decompressor = zlib.decompressobj(_window_bits(algorithm))
    try:
        inflated = decompressor.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(inflated) > bytes_max:
        raise ValueError(f"More than {bytes_max} bytes when decompressed")
    if not decompressor.eof:
        raise ValueError("the compressed data is truncated")
    return inflated


def encode_json(obj: Any) -> bytes:
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


class MessageCompressor:
    def __init__(self, algorithm: str = "gzip", level: int = 6, threshold: int = 1024) -> None:
        if algorithm != "none":
            _window_bits(algorithm)
        self.algorithm = algorithm
        self.level = level
        #: Bytes from which compression is tried.
        self.threshold = threshold

    def compress_json(self, obj: Any) -> Tuple[bytes, bool]:
        """The bytes, and whether they are compressed: not when they are few, or less than a tenth is saved."""
        plain = encode_json(obj)
        if self.algorithm == "none" or len(plain) < self.threshold:
            return plain, False
        small = self.compress(plain)
        if len(small) > len(plain) * _WORTH_RATIO:
            return plain, False
        return small, True

    def decompress_json(self, data: bytes) -> Any:
        """Of either form: compressed bytes are never JSON. Raises ValueError."""
        try:
            return json.loads(data.decode())  # not of bytes: that would guess UTF-16 too
        except ValueError:
            if self.algorithm == "none":
                raise
            return json.loads(self.decompress(data).decode())

    def compress(self, data: bytes) -> bytes:
        return compress_bytes(data, self.algorithm, self.level)

    def decompress(self, data: bytes) -> bytes:
        return decompress_bytes(data, self.algorithm)


class AdaptiveCompressor:
    """Chooses by what the data is."""

    _CHOICES: Dict[str, Tuple[str, int, int]] = {
        # algorithm, level, bytes from which it is tried
        "text": ("gzip", 6, 512),
        "json": ("zlib", 5, 1024),
        "binary": ("zlib", 4, 2048),
    }

    def compress(self, data: Union[bytes, str], kind: str) -> Tuple[bytes, str]:
        """`kind` is text, json or binary. The bytes, and the algorithm: `none` when it does not pay."""
        if kind not in self._CHOICES:
            raise ValueError(f"Unknown kind of data: {kind}")
        algorithm, level, threshold = self._CHOICES[kind]
        plain = data.encode() if isinstance(data, str) else bytes(data)
        if len(plain) < threshold:
            return plain, "none"
        small = compress_bytes(plain, algorithm, level)
        if len(small) > len(plain) * _WORTH_RATIO:
            return plain, "none"
        return small, algorithm


def _window_bits(algorithm: str) -> int:
    bits = _WINDOW_BITS.get(algorithm)
    if bits is None:
        raise ValueError(f"Unsupported compression: {algorithm}")
    return bits


default_compressor = MessageCompressor()
