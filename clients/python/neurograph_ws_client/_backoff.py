"""How long to wait before the next attempt to connect."""

from __future__ import annotations

from typing import Callable

_DELAY_S_MAX = 60.0
_JITTER = 0.2
# Beyond it every delay is over the maximum, and a power of two would only become a large number.
_DOUBLINGS_MAX = 64


def backoff_s(attempt: int, delay_s: float, random: Callable[[], float]) -> float:
    """delay × 2^(attempt − 1), at most a minute, ±20 % so that clients of one server do not come back together."""
    pause_s = min(delay_s * 2 ** min(attempt - 1, _DOUBLINGS_MAX), _DELAY_S_MAX)
    return float(pause_s * (1 - _JITTER + 2 * _JITTER * random()))
