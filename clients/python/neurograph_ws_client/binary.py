"""Binary messages, version 1, big-endian; what follows the payload is ignored.

      0         1      2          4          8            8 + M
    | version | type | M: u16   | P: u32   | metadata   | payload (P bytes) |
"""

from __future__ import annotations

import json
import struct
from typing import Any, Dict, Optional

from .compression import compress_bytes, decompress_bytes, encode_json

TYPES = {"IMAGE": 1, "AUDIO": 2, "VIDEO": 3, "BINARY_DATA": 4, "COMPRESSED_JSON": 5}
_NAMES = {number: name for name, number in TYPES.items()}
_HEAD = struct.Struct(">BBHI")
_VERSION = 1
_METADATA_BYTES_MAX = 0xFFFF
_PAYLOAD_BYTES_MAX = 0xFFFFFFFF


class BinaryHandler:
    """Makes and reads binary messages. Raises ValueError."""

    def create_image_message(
        self,
        data: bytes,
        format: str = "jpeg",
        width: Optional[int] = None,
        height: Optional[int] = None,
        **metadata: Any,
    ) -> bytes:
        return pack("IMAGE", {"format": format, "width": width, "height": height, **metadata}, data)

    def create_audio_message(
        self,
        data: bytes,
        format: str = "wav",
        sample_rate: Optional[int] = None,
        channels: Optional[int] = None,
        **metadata: Any,
    ) -> bytes:
        return pack("AUDIO", {"format": format, "sample_rate": sample_rate, "channels": channels, **metadata}, data)

    def create_video_message(
        self,
        data: bytes,
        format: str = "mp4",
        width: Optional[int] = None,
        height: Optional[int] = None,
        fps: Optional[float] = None,
        **metadata: Any,
    ) -> bytes:
        return pack("VIDEO", {"format": format, "width": width, "height": height, "fps": fps, **metadata}, data)

    def create_binary_data_message(self, data: bytes, **metadata: Any) -> bytes:
        return pack("BINARY_DATA", metadata, data)

    def create_compressed_json_message(self, obj: Any, compression: str = "gzip", **metadata: Any) -> bytes:
        """The hub knows `gzip` only."""
        plain = encode_json(obj)
        payload = compress_bytes(plain, compression)
        sizes = {"original_size": len(plain), "compressed_size": len(payload)}
        return pack("COMPRESSED_JSON", {"compression": compression, **sizes, **metadata}, payload)

    def parse_message(self, data: bytes) -> Dict[str, Any]:
        """`type` by name, `payload`, `metadata`, and `json_data` of COMPRESSED_JSON."""
        if len(data) < _HEAD.size:
            raise ValueError("Binary message too short")
        version, number, metadata_bytes, payload_bytes = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise ValueError(f"Unsupported binary message version: {version}")
        name = _NAMES.get(number)
        if name is None:
            raise ValueError(f"Invalid binary message type: {number}")
        start = _HEAD.size + metadata_bytes
        end = start + payload_bytes
        if len(data) < start:
            raise ValueError("Binary message truncated (metadata)")
        if len(data) < end:
            raise ValueError("Binary message truncated (payload)")
        metadata = _metadata_of(bytes(data[_HEAD.size : start]))
        message: Dict[str, Any] = {"type": name, "payload": bytes(data[start:end]), "metadata": metadata}
        if name == "COMPRESSED_JSON":
            message["json_data"] = _json_of(message["payload"], metadata)
        return message


def pack(name: str, metadata: Dict[str, Any], payload: bytes) -> bytes:
    head = encode_json(metadata)
    if len(head) > _METADATA_BYTES_MAX:
        raise ValueError(f"Binary metadata too large: {len(head)} bytes")
    if len(payload) > _PAYLOAD_BYTES_MAX:
        raise ValueError(f"Binary payload too large: {len(payload)} bytes")
    return b"".join((_HEAD.pack(_VERSION, TYPES[name], len(head), len(payload)), head, payload))


binary_handler = BinaryHandler()


def _metadata_of(data: bytes) -> Dict[str, Any]:
    try:
        # Not json.loads(bytes): that would guess UTF-16 too.
        metadata = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"Invalid metadata JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise ValueError("Invalid metadata JSON: expected an object")
    return metadata


def _json_of(payload: bytes, metadata: Dict[str, Any]) -> Any:
    try:
        return json.loads(decompress_bytes(payload, str(metadata.get("compression") or "gzip")).decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"Invalid compressed JSON: {error}") from error
