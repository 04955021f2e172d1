"""What the server was asked to send, against what handlers want: the difference is the next request. So subscribing
works in every state, and a new connection needs nothing but an empty table."""

from __future__ import annotations

from typing import Collection, Dict, List, Tuple


class SubscriptionTable:
    def __init__(self) -> None:
        # Asked for on this connection, granted or denied; a dict for its order.
        self._asked: Dict[str, None] = {}
        self._granted: Dict[str, None] = {}

    def reset(self) -> List[str]:
        """A fresh session has no subscriptions; these the old one had."""
        granted = list(self._granted)
        self._asked.clear()
        self._granted.clear()
        return granted

    def grant(self, channels: Collection[str]) -> None:
        self._granted.update(dict.fromkeys(channels))

    def restore(self, subscribed: Collection[str], denied: Collection[str]) -> None:
        """A restored one has what it had: of what we asked for, the rest has to be asked for again."""
        self._asked = {channel: None for channel in self._asked if channel in subscribed or channel in denied}
        self._granted = dict.fromkeys(subscribed)

    def take(self, wanted: Collection[str]) -> Tuple[List[str], List[str]]:
        """What to subscribe to and to unsubscribe from; it counts as asked for from here on."""
        subscribe = [channel for channel in wanted if channel not in self._asked]
        unsubscribe = [channel for channel in self._asked if channel not in wanted]
        self._asked = dict.fromkeys(wanted)
        for channel in unsubscribe:
            self._granted.pop(channel, None)
        return subscribe, unsubscribe

    def forget(self, channels: Collection[str]) -> None:
        """They were not asked for after all."""
        for channel in channels:
            self._asked.pop(channel, None)
