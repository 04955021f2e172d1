"""One WebSocket, by `websockets` of whatever age: from version 13 on its new client, before that the only one."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple, Optional, Union

from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException

try:
    from websockets.asyncio.client import connect as _connect
except ImportError:  # before 13
    from websockets.legacy.client import connect as _connect  # type: ignore[assignment]

from .errors import HandshakeError

#: The hub's limit for binary messages, with head and metadata.
_MESSAGE_BYTES_MAX = 16 * 1024**2 + 8 + 0xFFFF
#: Messages read ahead of the client. Beyond it the connection is not read, and the server waits.
_MESSAGES_MAX = 64
_CONNECT_S_MAX = 15.0
_CLOSE_S_MAX = 5.0
#: A protocol ping so often, and the connection is dead when none is answered for as long.
_PING_S = 20.0
_CODE_NONE = 1006


class End(NamedTuple):
    """How a connection ended, or why there was none."""

    #: 1006 when there was no close frame.
    code: int = _CODE_NONE
    reason: str = ""
    #: The HTTP status of a refused handshake.
    status: Optional[int] = None
    error: Optional[BaseException] = None


class Link:
    def __init__(self, socket: Any) -> None:
        self._socket = socket

    @staticmethod
    async def open(url: str) -> "Link":
        """Raises HandshakeError or ConnectionError."""
        try:
            socket = await _connect(
                url,
                open_timeout=_CONNECT_S_MAX,
                close_timeout=_CLOSE_S_MAX,
                ping_interval=_PING_S,
                ping_timeout=_PING_S,
                max_size=_MESSAGE_BYTES_MAX,
                max_queue=_MESSAGES_MAX,
            )
        except (OSError, asyncio.TimeoutError, WebSocketException, InvalidURI, ValueError) as error:
            status = _status_of(error)
            if status is not None:
                raise HandshakeError(status) from error
            raise ConnectionError(f"Cannot connect to {url.partition('?')[0]}: {error}") from error
        return Link(socket)

    async def receive(self) -> Optional[Union[str, bytes]]:
        """None when the connection has ended."""
        try:
            data: Union[str, bytes] = await self._socket.recv()
            return data
        except ConnectionClosed:
            return None

    async def send(self, data: Union[str, bytes]) -> None:
        try:
            await self._socket.send(data)
        except ConnectionClosed as error:
            raise ConnectionError("Not connected") from error

    async def close(self) -> None:
        """A polite good-bye, which the other side has five seconds to answer."""
        await self._socket.close()

    @property
    def end(self) -> End:
        code = self._socket.close_code
        return End(_CODE_NONE if code is None else code, self._socket.close_reason or "")


def _status_of(error: BaseException) -> Optional[int]:
    """Of InvalidStatus, and of InvalidStatusCode before 13."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None:
        status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None
