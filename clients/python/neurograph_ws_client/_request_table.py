"""Requests that wait for the reply with their id, each with a deadline."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Dict, Tuple, Union

from .errors import HubError, LimitError

REQUESTS_MAX = 1000
_REQUEST_S_MAX = 10.0
# Marks ids as ours: a reply that is late is dropped, not taken for one to a frame that the user sent.
_PREFIX = "nws-"

Frame = Dict[str, Any]
# Called once, with the reply or the error; at once when the reply comes, before the frame behind it is looked at.
Settle = Callable[[Union[Frame, BaseException]], None]


class RequestTable:
    def __init__(self) -> None:
        self._pending: Dict[str, Tuple[Settle, asyncio.TimerHandle]] = {}
        self._count = 0

    def add(self, settle: Settle, deadline_s: float = _REQUEST_S_MAX) -> str:
        """The id to send. Raises LimitError."""
        if len(self._pending) >= REQUESTS_MAX:
            raise LimitError("Too many requests are waiting")
        self._count += 1
        request_id = f"{_PREFIX}{self._count}"
        late = asyncio.TimeoutError(f"No reply in {deadline_s} s")
        timer = asyncio.get_running_loop().call_later(deadline_s, self.reject, request_id, late)
        self._pending[request_id] = (settle, timer)
        return request_id

    def settle(self, frame: Frame) -> bool:
        """True if the frame was a reply to a request of this table, waiting or given up."""
        request_id = frame.get("id")
        if not isinstance(request_id, str) or not request_id.startswith(_PREFIX):
            return False
        self._finish(request_id, _error_of(frame) if frame.get("type") == "error" else frame)
        return True

    def reject(self, request_id: str, error: BaseException) -> None:
        self._finish(request_id, error)

    def discard(self, request_id: str) -> None:
        """It was not sent after all."""
        pending = self._pending.pop(request_id, None)
        if pending is not None:
            pending[1].cancel()

    def fail(self, error: Exception) -> None:
        for request_id in list(self._pending):
            self._finish(request_id, error)

    def _finish(self, request_id: str, outcome: Union[Frame, BaseException]) -> None:
        pending = self._pending.pop(request_id, None)
        if pending is None:
            return
        settle, timer = pending
        timer.cancel()
        settle(outcome)


def _error_of(frame: Frame) -> HubError:
    retry_after = frame.get("retry_after")
    message = frame.get("message")
    return HubError(
        message if isinstance(message, str) else "The server answered with an error",
        float(retry_after) if isinstance(retry_after, (int, float)) else None,
    )
