"""The client of a hub: what the connection brings goes to handlers, to `receive` or to who asked for it, and what
handlers want is kept up over connections.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Awaitable, Dict, Iterable, List, Optional, Set, Union

from ._connector import Connector, Sink
from ._frame import Frame, frame_of, strings_of
from ._frame_queue import FrameQueue
from ._handler_table import Handler, HandlerTable
from ._link import End
from ._position_table import Positions, PositionTable
from ._recovery import Recovery
from ._request_table import RequestTable, Settle
from ._subscription_table import SubscriptionTable
from ._url import url_of
from .binary import binary_handler
from .compression import encode_json
from .errors import HubError

EVENTS = ("connected", "disconnected", "error", "pong", "restored", "subscribed", "binary")
#: Channels in one frame.
_NAMES_MAX = 64
_RENEWAL_S = 240.0
#: Of a token's life, before the next one is asked for.
_RENEWAL_SHARE = 0.8

_log = logging.getLogger("neurograph_ws_client")


@dataclass(frozen=True)
class ConnectionInfo:
    """Who the client is to the server; None before the first connection."""

    client_id: Optional[str] = None
    user_id: Optional[str] = None
    timestamp: Optional[str] = None


class NeurographWSClient:
    def __init__(
        self,
        url: str = "ws://localhost:8000/ws",
        token: Optional[str] = None,
        auto_reconnect: bool = True,
        reconnect_delay: float = 3.0,
        max_reconnect_attempts: int = 10,
        debug: bool = False,
        *,
        resume: bool = True,
        binary: bool = False,
        compression: str = "none",
    ) -> None:
        if not reconnect_delay >= 0:
            raise ValueError("reconnect_delay must be a number of seconds")
        if not max_reconnect_attempts >= 0:
            raise ValueError("max_reconnect_attempts must be a number")
        if compression not in ("gzip", "none"):
            raise ValueError("compression must be gzip or none")
        self.binary_handler = binary_handler
        self._url = url
        self._token = token
        self._resume = resume
        self._binary = binary
        self._compression = compression

        if debug:
            _log.setLevel(logging.DEBUG)
            if not _log.hasHandlers():
                _log.addHandler(logging.StreamHandler())

        sink = Sink(
            url=self._next_url,
            connected=self._welcome,
            data=self._take_data,
            is_busy=self._is_busy,
            lost=self._lost,
            finished=self._finished,
            say=self._say,
        )
        self._connector = Connector(sink, auto_reconnect, reconnect_delay, max_reconnect_attempts)
        self._tasks: "Set[asyncio.Task[Any]]" = set()

        self._queue = FrameQueue()
        self._requests = RequestTable()
        self._listeners = HandlerTable(self._listener_failed)
        self._channels = HandlerTable(lambda text, cause, _name: self._report(text, cause=cause))
        self._subscriptions = SubscriptionTable()
        self._positions = PositionTable()
        self._recoveries: List[Recovery] = []
        self._info = ConnectionInfo()
        self._reconnection_token: Optional[str] = None
        # Asks for the next token, as long as a connection is open.
        self._keeper: "Optional[asyncio.Task[None]]" = None
        # Between `connected` and `session_restored` nobody knows yet what is subscribed.
        self._is_restoring = False

    @property
    def client_id(self) -> Optional[str]:
        return self._info.client_id

    @property
    def user_id(self) -> Optional[str]:
        return self._info.user_id

    def is_connected(self) -> bool:
        return self._connector.is_open

    def get_connection_info(self) -> ConnectionInfo:
        return self._info

    async def connect(self) -> None:
        """Done at `connected`. Raises HandshakeError when the server refuses, ConnectionError when there is none."""
        await self._connector.connect()

    async def close(self) -> None:
        """Ends the connection for good; done when it has ended. `connect` begins a new session."""
        await self._connector.close()

    async def disconnect(self) -> None:
        await self.close()

    async def run_forever(self) -> None:
        """Connects if needed, and returns after `close` or the last attempt. Raises HandshakeError when refused."""
        await self._connector.run()

    async def send(self, frame: Union[Frame, bytes]) -> None:
        """Sends one JSON text frame, or bytes as one binary frame. Raises ConnectionError."""
        data = frame if isinstance(frame, (bytes, bytearray, memoryview)) else encode_json(frame).decode()
        await self._flush()
        await self._connector.send(data)

    async def receive(self, timeout: Optional[float] = None, events: bool = False) -> Frame:
        """The next control frame, with `events` also events. Raises asyncio.TimeoutError, or ConnectionError."""
        return await self._queue.receive(timeout, events, self._connector.is_alive)

    def subscribe(self, channel: str, handler: Handler) -> None:
        """Calls `handler` with each event of the channel, now and over all later connections."""
        # Whoever begins to listen does not want what was before.
        if channel not in self._channels.names:
            self._positions.forget(channel)
        self._channels.add(channel, handler)
        self._plan()

    def subscribe_multiple(self, channels: Iterable[str], handler: Handler) -> None:
        for channel in channels:
            self.subscribe(channel, handler)

    def unsubscribe(self, channel: str, handler: Optional[Handler] = None) -> None:
        """Without `handler`: all handlers of the channel."""
        self._channels.remove(channel, handler)
        self._plan()

    def on(self, event: str, handler: Handler) -> None:
        """`event` is one of EVENTS. Raises ValueError."""
        if event not in EVENTS:
            raise ValueError(f"Unknown event: {event}")
        self._listeners.add(event, handler)

    def off(self, event: str, handler: Handler) -> None:
        self._listeners.remove(event, handler)

    async def ping(self) -> None:
        """Done when the server has answered."""
        self._listeners.call("pong", await self._request("ping"))

    async def get_subscriptions(self) -> List[str]:
        """In order of subscription."""
        return strings_of((await self._request("get_subscriptions")).get("channels"))

    async def get_reconnection_token(self) -> str:
        """A token with which this session can be resumed, here or elsewhere, for as long as the server says."""
        token = (await self._request("get_reconnection_token")).get("token")
        if not isinstance(token, str):
            raise HubError("The reply has no token")
        self._reconnection_token = token
        return token

    async def broadcast(self, channel: str, data: Dict[str, Any], event_type: Optional[str] = None) -> int:
        """The number of subscribers it went to. Needs the right to broadcast."""
        named = {} if event_type is None else {"event_type": event_type}
        reply = await self._request("broadcast", {"channel": channel, **named, "data": data})
        subscribers = reply.get("subscribers")
        return subscribers if isinstance(subscribers, int) else 0

    # What the connector wants to know, and tells.

    def _next_url(self) -> str:
        token = self._reconnection_token
        return url_of(self._url, self._token, self._resume, self._binary, self._compression, token)

    def _is_busy(self) -> bool:
        return bool(self._tasks) or self._channels.is_running or self._listeners.is_running

    def _lost(self, end: End, again: bool) -> None:
        self._stop_keeper()
        # Positions stay where they are: what waited for an answer is asked for again.
        self._recoveries.clear()
        self._requests.fail(ConnectionError("The connection was lost"))
        self._say(f"lost: {end.code} {end.reason}")
        self._listeners.call("disconnected", {"code": end.code, "reason": end.reason, "reconnecting": again})

    def _finished(self, error: Exception, is_for_good: bool) -> None:
        self._stop_keeper()
        if is_for_good:
            self._reconnection_token = None
            self._positions.clear()
            self._subscriptions.reset()
        self._recoveries.clear()
        self._requests.fail(error)
        self._queue.fail(error)

    # What arrives.

    def _welcome(self, frame: Frame) -> None:
        self._info = ConnectionInfo(frame.get("client_id"), frame.get("user_id"), frame.get("timestamp"))
        self._say(f"connected as {self.client_id}")
        self._is_restoring = frame.get("reconnected") is True
        lost = [] if self._is_restoring else self._subscriptions.reset()
        self._listeners.call("connected", frame)
        # Nothing can be asked for where no event has ever told a position.
        known = self._positions.of(lost)
        unknown = [channel for channel in lost if channel in self._channels.names and channel not in known]
        if self._resume and unknown:
            self._report_lost(unknown)
        self._plan()
        if self._resume:
            self._keeper = asyncio.get_running_loop().create_task(self._keep_token())

    def _take_data(self, data: Union[str, bytes]) -> None:
        try:
            if isinstance(data, str):
                self._take(frame_of(data), len(data))
            else:
                self._take_binary(binary_handler.parse_message(data), len(data))
        except (ValueError, RecursionError) as error:
            self._report(str(error), cause=error)

    def _take(self, frame: Frame, characters: int) -> None:
        if "type" not in frame and isinstance(frame.get("channel"), str):
            self._take_event(frame, characters)
        elif not self._requests.settle(frame):
            self._take_control(frame, characters)

    def _take_control(self, frame: Frame, characters: int) -> None:
        kind = frame.get("type")
        if kind in ("ping", "connected"):
            return
        self._queue.push(frame, False, characters)
        if kind == "session_restored":
            self._restored(frame)
        elif kind == "disconnected" and isinstance(frame.get("reconnection_token"), str):
            self._reconnection_token = frame["reconnection_token"]
        elif kind in ("pong", "error"):
            self._listeners.call(str(kind), frame)

    def _take_event(self, event: Frame, characters: int) -> None:
        channel = event["channel"]

        def deliver() -> None:
            if self._positions.advance(event):
                self._queue.push(event, True, characters)
                self._channels.call(channel, event)

        if not self._hold(channel, deliver):
            deliver()

    def _take_binary(self, message: Dict[str, Any], characters: int) -> None:
        content = message.get("json_data")
        # The hub compresses events. What an admin made and the hub passed on unchanged may be anything.
        if isinstance(content, dict) and isinstance(content.get("channel"), str):
            self._take(content, characters)
            return
        channel = message["metadata"].get("channel")

        def deliver() -> None:
            self._positions.step(channel)
            self._listeners.call("binary", message)

        if not self._hold(channel, deliver):
            deliver()

    def _hold(self, channel: Any, deliver: Any) -> bool:
        for recovery in self._recoveries:
            if recovery.take(channel, deliver):
                self._recoveries = [one for one in self._recoveries if not one.is_over]
                return True
        return False

    def _restored(self, frame: Frame) -> None:
        channels, denied = strings_of(frame.get("channels")), strings_of(frame.get("denied"))
        self._is_restoring = False
        self._subscriptions.restore(channels, denied)
        if self._resume:
            # Also without any position: the server waits for it, for a while.
            self._spawn(self._recover(self._begin_recovery(self._positions.of(channels))))
        self._listeners.call("restored", frame)
        if denied:
            self._report_denied(frame, denied)
        self._plan()

    # What is sent.

    def _spawn(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _plan(self) -> None:
        """All changes of one turn become one request."""
        if self.is_connected() and not self._is_restoring:
            self._spawn(self._flush_quietly())

    async def _flush_quietly(self) -> None:
        try:
            await self._flush()
        except ConnectionError:
            pass  # the next connection asks again

    async def _flush(self) -> None:
        if not self.is_connected() or self._is_restoring:
            return
        subscribe, unsubscribe = self._subscriptions.take(list(self._channels.names))
        # All of them hold before the first is sent.
        requests = [(part, self._prepare(part)) for part in _parted(subscribe)]
        for part in _parted(unsubscribe):
            await self._ask("unsubscribe", {"channels": part}, self._done)
        for part, recovery in requests:
            await self._subscribe(part, recovery)

    async def _subscribe(self, channels: List[str], recovery: Optional[Recovery]) -> None:
        def settle(reply: Union[Frame, BaseException]) -> None:
            if isinstance(reply, ConnectionError):
                return  # what waits goes on waiting: the next connection asks again
            if isinstance(reply, BaseException):
                self._drop(recovery)
                self._subscriptions.forget(channels)
                if isinstance(reply, HubError) and reply.retry_after is not None:
                    asyncio.get_running_loop().call_later(reply.retry_after, self._plan)
                else:
                    self._done(reply)
                return
            self._subscriptions.grant(strings_of(reply.get("channels")))
            if recovery is not None:
                self._spawn(self._recover(recovery))
            self._listeners.call("subscribed", reply)
            denied = strings_of(reply.get("denied"))
            if denied:
                self._report_denied(reply, denied)

        await self._ask("subscribe", {"channels": channels}, settle)

    def _prepare(self, channels: Iterable[str]) -> Optional[Recovery]:
        """What was missed on these channels is going to be asked for."""
        positions = self._positions.of(channels) if self._resume else {}
        return self._begin_recovery(positions) if positions else None

    def _begin_recovery(self, positions: Positions) -> Recovery:
        recovery = Recovery(positions)
        self._recoveries.append(recovery)
        return recovery

    async def _recover(self, recovery: Recovery) -> None:
        def settle(reply: Union[Frame, BaseException]) -> None:
            if isinstance(reply, ConnectionError):
                return  # as above
            if isinstance(reply, BaseException):
                self._drop(recovery)
                if recovery.positions:
                    self._report_lost(list(recovery.positions), reply)
                return
            results = reply.get("channels")
            self._recovered(recovery, results if isinstance(results, dict) else {})

        try:
            await self._ask("recover", {"positions": recovery.positions}, settle)
        except ConnectionError:
            pass  # the next connection asks again

    def _recovered(self, recovery: Recovery, results: Dict[str, Any]) -> None:
        lost = []
        for channel in recovery.positions:
            result = results.get(channel)
            result = result if isinstance(result, dict) else {}
            if result.get("recovered") is not True:
                lost.append(channel)
                self._positions.forget(channel)
            missed = result.get("missed")
            recovery.expect(channel, missed if isinstance(missed, int) else 0)
        self._recoveries = [one for one in self._recoveries if not one.is_over]
        if lost:
            self._report_lost(lost)

    def _drop(self, recovery: Optional[Recovery]) -> None:
        if recovery is not None and recovery in self._recoveries:
            self._recoveries.remove(recovery)
            recovery.release()

    async def _keep_token(self) -> None:
        while True:
            pause_s = _RENEWAL_S
            try:
                reply = await self._request("get_reconnection_token")
                if isinstance(reply.get("token"), str):
                    self._reconnection_token = reply["token"]
                if isinstance(reply.get("expires_in"), (int, float)):
                    pause_s = min(pause_s, reply["expires_in"] * _RENEWAL_SHARE)
            except HubError as error:
                # A server that gives none is no error: then a lost connection means a new session.
                self._say(f"no reconnection token: {error}")
                pause_s = min(pause_s, error.retry_after or pause_s)
            except asyncio.TimeoutError as error:
                self._say(f"no reconnection token: {error}")
            except ConnectionError:
                return
            await asyncio.sleep(pause_s)

    def _stop_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None

    async def _request(self, kind: str, members: Optional[Dict[str, Any]] = None) -> Frame:
        future: "asyncio.Future[Frame]" = asyncio.get_running_loop().create_future()

        def settle(reply: Union[Frame, BaseException]) -> None:
            if future.done():
                return
            if isinstance(reply, BaseException):
                future.set_exception(reply)
            else:
                future.set_result(reply)

        await self._flush()
        await self._ask(kind, members or {}, settle)
        return await future

    async def _ask(self, kind: str, members: Dict[str, Any], settle: Settle) -> None:
        """What goes wrong with it is told to `settle` and nowhere else, but for a value that has no JSON form."""
        request_id = ""
        try:
            request_id = self._requests.add(settle)
        except HubError as error:
            settle(error)
            return
        try:
            await self._connector.send(encode_json({"type": kind, **members, "id": request_id}).decode())
        except ConnectionError as error:
            self._requests.reject(request_id, error)
        except (TypeError, ValueError):
            self._requests.discard(request_id)
            raise

    # What is told.

    def _done(self, reply: Union[Frame, BaseException]) -> None:
        # Without a connection there is nothing to put right: the next one begins anew.
        if isinstance(reply, BaseException) and not isinstance(reply, ConnectionError):
            self._report(str(reply), cause=reply)

    def _report_denied(self, frame: Frame, denied: List[str]) -> None:
        text = frame.get("message") or f"Permission denied for channels: {', '.join(denied)}"
        self._report(str(text), denied=denied)

    def _report_lost(self, lost: List[str], cause: Optional[BaseException] = None) -> None:
        self._report(f"Events may be missing on channels: {', '.join(lost)}", lost=lost, cause=cause)

    def _report(self, message: str, **members: Any) -> None:
        self._say(message)
        told = {name: value for name, value in members.items() if value is not None}
        self._listeners.call("error", {"type": "error", "message": message, **told})

    def _listener_failed(self, text: str, cause: BaseException, name: str) -> None:
        if name == "error":  # then nobody is left to tell
            self._say(text)
        else:
            self._report(text, cause=cause)

    def _say(self, text: str) -> None:
        _log.debug(text)


def _parted(channels: List[str]) -> List[List[str]]:
    return [channels[start : start + _NAMES_MAX] for start in range(0, len(channels), _NAMES_MAX)]
