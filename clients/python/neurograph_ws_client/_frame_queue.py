"""What `receive` takes from: control frames and events in arrival order, each kind bounded, so that a flood of events
that nobody receives cannot push out a reply."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Deque, Dict, Optional, Tuple

from .errors import LimitError

#: Of each kind; the oldest goes first.
FRAMES_MAX = 1000
#: Of each kind, in characters of JSON: a thousand events may be a gigabyte. The newest stays in any case.
CHARACTERS_MAX = 16 * 1024**2
RECEIVERS_MAX = 1000

Frame = Dict[str, Any]
# Arrival over both kinds, characters, frame.
_Entry = Tuple[int, int, Frame]


class _Lane:
    def __init__(self) -> None:
        self.entries: Deque[_Entry] = deque()
        self._characters = 0

    def push(self, entry: _Entry) -> None:
        self.entries.append(entry)
        self._characters += entry[1]
        while len(self.entries) > FRAMES_MAX or (self._characters > CHARACTERS_MAX and len(self.entries) > 1):
            self.shift()

    def put_back(self, entry: _Entry) -> None:
        self.entries.appendleft(entry)
        self._characters += entry[1]

    def shift(self) -> _Entry:
        entry = self.entries.popleft()
        self._characters -= entry[1]
        return entry


class FrameQueue:
    def __init__(self) -> None:
        self._control = _Lane()
        self._events = _Lane()
        # In order of arrival: a dict, because one leaves from anywhere.
        self._receivers: "Dict[asyncio.Future[_Entry], bool]" = {}
        self._order = 0
        self._failure: Exception = ConnectionError("Not connected")

    def push(self, frame: Frame, is_event: bool, characters: int) -> None:
        entry = (self._order, characters, frame)
        self._order += 1
        # Whoever waits has found nothing of its kind, so the first that takes this kind gets the oldest frame.
        for receiver, events in self._receivers.items():
            if (events or not is_event) and not receiver.done():
                del self._receivers[receiver]
                receiver.set_result(entry)
                return
        (self._events if is_event else self._control).push(entry)

    async def receive(self, timeout: Optional[float], events: bool, is_open: bool) -> Frame:
        """Raises asyncio.TimeoutError, LimitError, or what `fail` said last."""
        entry = self._take(events)
        if entry is not None:
            return entry[2]
        if not is_open:
            raise self._failure
        if len(self._receivers) >= RECEIVERS_MAX:
            raise LimitError("Too many are receiving")
        receiver: "asyncio.Future[_Entry]" = asyncio.get_running_loop().create_future()
        self._receivers[receiver] = events
        try:
            return (await asyncio.wait_for(receiver, timeout))[2]
        except asyncio.CancelledError:
            # It may have got a frame in the turn in which it was cancelled: that one is for the next.
            if receiver.done() and not receiver.cancelled() and receiver.exception() is None:
                lane = self._events if "type" not in receiver.result()[2] else self._control
                lane.put_back(receiver.result())
            raise
        finally:
            self._receivers.pop(receiver, None)

    def fail(self, error: Exception) -> None:
        """Whoever waits waits in vain, and so will those who come when it is not open."""
        self._failure = error
        for receiver in self._receivers:
            if not receiver.done():
                receiver.set_exception(error)
        self._receivers.clear()

    def _take(self, events: bool) -> Optional[_Entry]:
        control, event = self._control.entries, self._events.entries
        if events and event and (not control or event[0][0] < control[0][0]):
            return self._events.shift()
        return self._control.shift() if control else None
