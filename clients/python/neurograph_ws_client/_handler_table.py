"""Handlers by name: of channels, and of what the client itself has to tell."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, Awaitable, Callable, Dict, KeysView, List, Optional, Set

from .errors import LimitError

#: Coroutines that have not ended, in all. Beyond it handlers are not called.
RUNNING_MAX = 10_000
HANDLERS_MAX = 1000

#: Gets the whole event. May be a coroutine function; what it returns is not looked at.
Handler = Callable[[Any], Any]


class HandlerTable:
    def __init__(
        self, failed: Callable[[str, BaseException, str], None], running_max: int = RUNNING_MAX
    ) -> None:
        """`failed` is told what handlers raise (message, cause, name), and must not raise itself."""
        self._handlers: Dict[str, List[Handler]] = {}
        self._failed = failed
        self._running_max = running_max
        self._running: "Set[asyncio.Task[None]]" = set()

    @property
    def names(self) -> KeysView[str]:
        return self._handlers.keys()

    @property
    def is_running(self) -> bool:
        return bool(self._running)

    def add(self, name: str, handler: Handler) -> None:
        handlers = self._handlers.get(name, [])
        if handler in handlers:
            return
        if len(handlers) >= HANDLERS_MAX or (not handlers and len(self._handlers) >= HANDLERS_MAX):
            raise LimitError("Too many handlers")
        self._handlers.setdefault(name, []).append(handler)

    def remove(self, name: str, handler: Optional[Handler] = None) -> None:
        """Without `handler`: all of that name."""
        handlers = self._handlers.get(name, [])
        if handler in handlers:
            handlers.remove(handler)
        if handler is None or not handlers:
            self._handlers.pop(name, None)

    def call(self, name: str, value: Any) -> None:
        """Calls the handlers in the order they were added."""
        # A handler may add and remove handlers: those that were there when the value came are called.
        for handler in tuple(self._handlers.get(name, ())):
            if len(self._running) >= self._running_max:
                text = f"{self._running_max} handlers are running: one of {name} was not called"
                self._failed(text, LimitError(text), name)
                continue
            try:
                result = handler(value)
                if inspect.isawaitable(result):
                    task = asyncio.get_running_loop().create_task(self._watch(name, result))
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
            except Exception as error:  # whatever it is, it stops nothing
                self._fail(name, error)

    async def _watch(self, name: str, result: Awaitable[Any]) -> None:
        try:
            await result
        except Exception as error:
            self._fail(name, error)

    def _fail(self, name: str, error: BaseException) -> None:
        self._failed(f"A handler of {name} failed: {error}", error, name)
