"""A hub that does what a test says, for what a real one does too rarely: cut connections, odd frames, certain orders."""

import asyncio
import http
import json
from urllib.parse import parse_qs, urlparse

import websockets

try:
    from websockets.asyncio.server import serve
except ImportError:  # before 13
    from websockets.legacy.server import serve

ANSWER_S_MAX = 5
REPLIES = {
    "ping": "pong",
    "subscribe": "subscribed",
    "unsubscribe": "unsubscribed",
    "get_subscriptions": "subscriptions",
    "get_reconnection_token": "reconnection_token",
    "broadcast": "broadcast_ack",
    "recover": "recovered",
}


class Peer:
    def __init__(self, socket, path):
        self._socket = socket
        self.query = {name: values[0] for name, values in parse_qs(urlparse(path).query).items()}
        self.frames = asyncio.Queue()
        self.binary = asyncio.Queue()

    async def welcome(self, token="token-1", **frame):
        """`connected`, and the answer to the request for a token."""
        base = {"type": "connected", "client_id": "c-1", "user_id": None, "reconnected": False, "timestamp": "t"}
        await self.send({**base, **frame})
        if "offsets" in self.query:
            await self.answer("get_reconnection_token", token=token, expires_in=300)

    async def request(self, kind):
        """The next request, which must be of that type."""
        frame = await asyncio.wait_for(self.frames.get(), ANSWER_S_MAX)
        assert frame["type"] == kind, f"{kind} was to come, and not {frame}"
        return frame

    async def requests(self, count):
        """The next ones by type, whatever their order."""
        frames = [await asyncio.wait_for(self.frames.get(), ANSWER_S_MAX) for _ in range(count)]
        return {frame["type"]: frame for frame in frames}

    async def answer(self, kind, **members):
        """Answers the next request; the reply has that name unless `type` is among its members."""
        request = await self.request(kind)
        await self.send({"type": REPLIES[kind], **members, "id": request["id"]})
        return request

    async def next_binary(self):
        return await asyncio.wait_for(self.binary.get(), ANSWER_S_MAX)

    async def send(self, *frames):
        for frame in frames:
            await self._socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def close(self, code, reason=""):
        await self._socket.close(code, reason)

    def cut(self):
        """Without a close frame."""
        self._socket.transport.abort()


class ScriptedHub:
    def __init__(self):
        #: The status of handshakes that come; 101 accepts them.
        self.status = 101
        self._peers = asyncio.Queue()

    async def __aenter__(self):
        self._server = await serve(self._serve, "127.0.0.1", 0, process_request=self._process, close_timeout=0.2)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/ws"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def next(self):
        """The next connection."""
        return await asyncio.wait_for(self._peers.get(), ANSWER_S_MAX)

    async def accept(self, **frame):
        peer = await self.next()
        await peer.welcome(**frame)
        return peer

    async def _process(self, connection, request):
        if self.status == 101:
            return None
        if hasattr(connection, "respond"):
            return connection.respond(http.HTTPStatus(self.status), "no")
        return http.HTTPStatus(self.status), [], b"no"  # before 13

    async def _serve(self, socket, *_):
        path = socket.request.path if hasattr(socket, "request") else socket.path
        peer = Peer(socket, path)
        self._peers.put_nowait(peer)
        try:
            async for data in socket:
                if isinstance(data, bytes):
                    peer.binary.put_nowait(data)
                else:
                    peer.frames.put_nowait(json.loads(data))
        except websockets.ConnectionClosed:
            pass  # that is what tests do
