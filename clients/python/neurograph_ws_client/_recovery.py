"""Channels whose missed events were, or are about to be, asked for. Until the answer is there whatever comes on them
waits: the server sends everything behind the position that was asked for, these included, after its answer."""

from __future__ import annotations

from collections import deque
from typing import Any, Callable, Deque

from ._position_table import Positions

#: Kept for the case that there is no answer; the oldest go first.
HELD_MAX = 1000


class Recovery:
    def __init__(self, positions: Positions) -> None:
        self.positions = positions
        self._held: Deque[Callable[[], None]] = deque(maxlen=HELD_MAX)

    def hold(self, channel: Any, deliver: Callable[[], None]) -> bool:
        """True: `deliver` waits."""
        if not isinstance(channel, str) or channel not in self.positions:
            return False
        self._held.append(deliver)
        return True

    def release(self) -> None:
        """Delivers what waited: it will not come again."""
        while self._held:
            self._held.popleft()()
