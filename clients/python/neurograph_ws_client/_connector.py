"""Keeps one connection: opens it, reads it, and opens the next one when it was lost.

            connect()               `connected`
   closed ─────────────▶ connecting ───────────▶ open
     ▲ ▲                   │  ▲  │                 │ lost
     │ └── refused, or ────┘  │  └── failed ──┐    │
     │     never was open     │ pause is over ▼    ▼
     │                        └────────────── waiting
     └── close(); close code 4500–4999; 403; the last attempt failed
"""

from __future__ import annotations

import asyncio
import random
from typing import Callable, NamedTuple, Optional, Tuple, Union

from ._backoff import backoff_s
from ._frame import Frame, frame_of
from ._link import End, Link
from .errors import HandshakeError

#: For the handshake and the first frame together.
_CONNECT_S_MAX = 15.0
_FINAL_CODES = range(4500, 5000)
_FORBIDDEN = 403
_GONE = "Not connected"


class Sink(NamedTuple):
    """Who wants the connection. None of it may raise."""

    #: Where the next connection goes.
    url: Callable[[], str]
    #: The state is `open`; every message from here on goes to `data`.
    connected: Callable[[Frame], None]
    data: Callable[[Union[str, bytes]], None]
    #: What a message began waits for its turn.
    is_busy: Callable[[], bool]
    #: A connection that was open is gone; True: another one will be tried.
    lost: Callable[[End, bool], None]
    #: The state is `closed`: nothing will come before the next `connect`. True: one side wanted it to end.
    finished: Callable[[Exception, bool], None]
    say: Callable[[str], None]


class Connector:
    def __init__(
        self, sink: Sink, auto_reconnect: bool, reconnect_delay: float, max_reconnect_attempts: int
    ) -> None:
        self._sink = sink
        self._auto_reconnect = auto_reconnect
        self._reconnect_delay = reconnect_delay
        self._max_reconnect_attempts = max_reconnect_attempts
        self._state = "closed"
        self._link: Optional[Link] = None
        self._is_closing = False
        # The life from connect() to the state closed, and who waits for `connected`.
        self._life: "Optional[asyncio.Task[None]]" = None
        self._ready: "Optional[asyncio.Future[None]]" = None

    @property
    def is_open(self) -> bool:
        """Messages can be sent."""
        return self._state == "open" and not self._is_closing

    @property
    def is_alive(self) -> bool:
        return self._life is not None

    async def connect(self) -> None:
        """Done at `connected`. Raises HandshakeError when the server refuses, ConnectionError when there is none."""
        if self._is_closing:  # what ends has to end first
            await self.close()
        if self._state == "open":
            return
        ready = self._await_ready()
        is_first = self._life is None
        if is_first:
            self._begin(False)
        try:
            await asyncio.shield(ready)
        except asyncio.CancelledError:
            if is_first and not ready.done():
                await self.close()
            raise

    async def close(self) -> None:
        life = self._life
        if life is None:
            return
        self._is_closing = True
        if self._state == "open" and self._link is not None:
            await self._link.close()
        else:
            life.cancel()
        await asyncio.wait([life])

    async def run(self) -> None:
        """Connects if needed, and returns after `close` or the last attempt. Raises HandshakeError when refused."""
        life = self._life
        ready = None
        if life is None:
            ready = self._await_ready()
            life = self._begin(True)
        try:
            await asyncio.shield(life)
        except asyncio.CancelledError:
            await self.close()
            raise
        if ready is not None and isinstance(ready.exception(), HandshakeError):
            await ready

    async def send(self, data: Union[str, bytes]) -> None:
        """Raises ConnectionError."""
        if self._link is None or not self.is_open:
            raise ConnectionError(_GONE)
        await self._link.send(data)

    def _await_ready(self) -> "asyncio.Future[None]":
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            # Not everybody looks at it, and an exception nobody has seen would be logged.
            self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        return self._ready

    def _begin(self, is_patient: bool) -> "asyncio.Task[None]":
        self._is_closing = False
        self._life = asyncio.get_running_loop().create_task(self._run(is_patient))
        return self._life

    async def _run(self, is_patient: bool) -> None:
        """`is_patient`: also a first attempt that fails is followed by others."""
        attempt = 0
        end = End(reason="closed")
        try:
            while True:
                self._state = "connecting"
                end, was_open = await self._live()
                is_patient = is_patient or was_open
                attempt = 0 if was_open else attempt
                again = is_patient and self._may_return(end) and attempt < self._max_reconnect_attempts
                self._state = "waiting" if again else "closed"
                if was_open:
                    self._sink.lost(end, again)
                if not again:
                    return
                attempt += 1
                pause_s = backoff_s(attempt, self._reconnect_delay, random.random)
                self._sink.say(f"attempt {attempt} in {pause_s:.3f} s")
                await asyncio.sleep(pause_s)
        except asyncio.CancelledError:  # by close(), or the loop ends
            end = End(reason="closed")
        finally:
            self._finish(end, attempt)

    def _may_return(self, end: End) -> bool:
        return self._auto_reconnect and not self._is_closing and not _is_final(end)

    async def _live(self) -> Tuple[End, bool]:
        """One connection from its handshake to its end."""
        url = self._sink.url()
        # Without the query: tokens are nobody's business.
        self._sink.say(f"connecting to {url.partition('?')[0]}")
        try:
            link, frame = await asyncio.wait_for(self._open(url), _CONNECT_S_MAX)
        except HandshakeError as error:
            return End(status=error.status, error=error), False
        except (ConnectionError, asyncio.TimeoutError, ValueError) as error:
            return End(reason=str(error) or "no answer in time", error=error), False
        if self._is_closing:
            await link.close()
            return End(reason="closed"), False
        self._link = link
        try:
            self._state = "open"
            self._welcome(frame)
            while True:
                data = await link.receive()
                if data is None:
                    return link.end, True
                self._sink.data(data)
                # Messages that are there already are read without a pause: what they began gets its turn here.
                if self._sink.is_busy():
                    await asyncio.sleep(0)
        finally:
            self._link = None

    async def _open(self, url: str) -> Tuple[Link, Frame]:
        """A connection and its first frame. Raises ConnectionError when it ends before it."""
        link = await Link.open(url)
        try:
            # A cancellation may be lost in asyncio.wait_for, before Python 3.12: so close() is looked for as well.
            while not self._is_closing:
                data = await link.receive()
                if data is None:
                    raise ConnectionError(_text_of(link.end, 0))
                frame = frame_of(data) if isinstance(data, str) else {}
                if frame.get("type") == "connected":
                    return link, frame
            raise asyncio.CancelledError
        except BaseException:
            await link.close()
            raise

    def _welcome(self, frame: Frame) -> None:
        ready, self._ready = self._ready, None
        if ready is not None and not ready.done():
            ready.set_result(None)
        self._sink.connected(frame)

    def _finish(self, end: End, attempts: int) -> None:
        self._state = "closed"
        self._life = None
        is_for_good = self._is_closing or _is_final(end)
        self._is_closing = False
        error = end.error if isinstance(end.error, ConnectionError) else ConnectionError(_text_of(end, attempts))
        self._sink.finished(error, is_for_good)
        ready, self._ready = self._ready, None
        if ready is not None and not ready.done():
            ready.set_exception(error)


def _is_final(end: End) -> bool:
    """The server does not want this client back."""
    return end.status == _FORBIDDEN or end.code in _FINAL_CODES


def _text_of(end: End, attempts: int) -> str:
    tried = f" after {attempts} attempts" if attempts else ""
    return f"{_GONE}{tried}: closed with {end.code} {end.reason}".rstrip()
