"""Frames as the hub sends them: JSON objects, of which nothing is believed before it was looked at."""

from __future__ import annotations

import json
from typing import Any, Dict, List

Frame = Dict[str, Any]


def frame_of(text: str) -> Frame:
    """Raises ValueError."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("A frame was no JSON object") from error
    if not isinstance(frame, dict):
        raise ValueError("A frame was no JSON object")
    return frame


def strings_of(value: Any) -> List[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
