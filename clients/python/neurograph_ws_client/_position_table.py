"""Where each channel's reader stands: epoch and offset of the last event that was delivered. With it a new connection
goes on exactly behind it, and what comes twice is recognised."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Tuple

_CHANNELS_MAX = 1000

Positions = Dict[str, Dict[str, Any]]


class PositionTable:
    def __init__(self) -> None:
        self._positions: Dict[str, Tuple[str, int]] = {}

    def advance(self, event: Dict[str, Any]) -> bool:
        """False: it was delivered before. Events without a place are always new."""
        channel, epoch, offset = event["channel"], event.get("epoch"), event.get("offset")
        if not isinstance(epoch, str) or not isinstance(offset, int):
            return True
        last = self._positions.get(channel)
        if last is not None and last[0] == epoch and offset <= last[1]:
            return False
        if last is not None or len(self._positions) < _CHANNELS_MAX:
            self._positions[channel] = (epoch, offset)
        return True

    def step(self, channel: Any) -> None:
        """A binary frame has a place too, but does not say it: the next one of its channel."""
        last = self._positions.get(channel) if isinstance(channel, str) else None
        if last is not None:
            self._positions[channel] = (last[0], last[1] + 1)

    def of(self, channels: Iterable[str]) -> Positions:
        """Of those channels that have one."""
        found: Positions = {}
        for channel in channels:
            position = self._positions.get(channel)
            if position is not None:
                found[channel] = {"epoch": position[0], "offset": position[1]}
        return found

    def forget(self, channel: str) -> None:
        self._positions.pop(channel, None)

    def clear(self) -> None:
        self._positions.clear()
