"""Client of the Polyloop hub: channels, resumable sessions and binary messages, for asyncio."""

from .binary import BinaryHandler, binary_handler
from .channel import Channel
from .client import ConnectionInfo, NeurographWSClient
from .compression import AdaptiveCompressor, MessageCompressor, default_compressor
from .errors import HandshakeError, HubError, LimitError

__all__ = [
    "AdaptiveCompressor",
    "BinaryHandler",
    "Channel",
    "ConnectionInfo",
    "HandshakeError",
    "HubError",
    "LimitError",
    "MessageCompressor",
    "NeurographWSClient",
    "binary_handler",
    "default_compressor",
]
