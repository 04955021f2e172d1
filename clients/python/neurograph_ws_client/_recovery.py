"""Channels whose missed events were, or are about to be, asked for. What comes on them waits until the answer is there,
which says how many were missed, and until so many have come: the server sends those first, and nothing twice."""

from __future__ import annotations

from collections import deque
from typing import Any, Callable, Deque, Dict, Optional

from ._position_table import Positions

#: Of a channel; the oldest go first.
HELD_MAX = 1000


class _Lane:
    def __init__(self) -> None:
        self.held: Deque[Callable[[], None]] = deque(maxlen=HELD_MAX)
        #: Missed events that are still to come; None: nobody has said how many.
        self.left: Optional[int] = None


class Recovery:
    def __init__(self, positions: Positions) -> None:
        self.positions = positions
        self._lanes: Dict[str, _Lane] = {channel: _Lane() for channel in positions}

    @property
    def is_over(self) -> bool:
        """Nothing waits, and nothing will."""
        return not self._lanes

    def take(self, channel: Any, deliver: Callable[[], None]) -> bool:
        """True: `deliver` is called in its time, perhaps at once."""
        lane = self._lanes.get(channel) if isinstance(channel, str) else None
        if lane is None:
            return False
        if lane.left is None:
            lane.held.append(deliver)
            return True
        lane.left -= 1
        deliver()
        if lane.left == 0:
            self._release(channel)
        return True

    def expect(self, channel: str, missed: int) -> None:
        """So many of that channel were missed, and come now."""
        lane = self._lanes.get(channel)
        if lane is None:
            return
        lane.left = missed
        if missed <= 0:
            self._release(channel)

    def release(self) -> None:
        """There is no answer: what waited is all there is."""
        for channel in list(self._lanes):
            self._release(channel)

    def _release(self, channel: str) -> None:
        for deliver in self._lanes.pop(channel).held:
            deliver()
