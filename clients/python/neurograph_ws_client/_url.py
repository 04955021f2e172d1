"""Where a connection goes: what the user wrote, and what the options add."""

from __future__ import annotations

from typing import Dict, Optional
from urllib.parse import quote

_RECONNECTION_TOKEN = "reconnection_token"


def url_of(
    url: str,
    token: Optional[str],
    resume: bool,
    binary: bool,
    compression: str,
    reconnection_token: Optional[str],
) -> str:
    """With `reconnection_token`: in the place of one that the URL brought along, which was used."""
    wanted: Dict[str, Optional[str]] = {
        "token": token or None,
        "binary": "1" if binary else None,
        "compression": None if compression == "none" else compression,
        "offsets": "1" if resume else None,
        _RECONNECTION_TOKEN: reconnection_token,
    }
    address, _, query = url.partition("#")[0].partition("?")
    kept = [part for part in query.split("&") if part]
    if reconnection_token is not None:
        kept = [part for part in kept if part.partition("=")[0] != _RECONNECTION_TOKEN]
    # Parameters of the URL win, but for the token.
    named = {part.partition("=")[0] for part in kept}
    for name, value in wanted.items():
        if value is not None and (name == "token" or name not in named):
            kept.append(f"{name}={quote(value, safe='')}")
    return f"{address}?{'&'.join(kept)}" if kept else address
