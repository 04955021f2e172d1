"""What can go wrong beside ConnectionError and asyncio.TimeoutError. Branch on classes and attributes, show messages."""

from __future__ import annotations

from typing import Optional


class HubError(Exception):
    """The server answered a request with an error, or refused to go on."""

    def __init__(self, message: str, retry_after: Optional[float] = None) -> None:
        super().__init__(message)
        self.message = message
        #: Seconds, when the rate limit was the reason.
        self.retry_after = retry_after


class LimitError(HubError):
    """Too much is waiting in the client already."""


class HandshakeError(ConnectionError):
    """The server refused the connection; `status` is its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"The server refused the connection: HTTP {status}")
        self.status = status
