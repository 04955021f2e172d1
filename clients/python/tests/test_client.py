"""The client against a scripted hub: life of a connection, and what goes where."""

import asyncio
import gzip
import json
import socket
import unittest

from neurograph_ws_client import HandshakeError, HubError, NeurographWSClient, binary_handler
from neurograph_ws_client.binary import pack

from .scripted_hub import ScriptedHub

TOLD_S_MAX = 5


def event(offset, channel="metrics", epoch="e1"):
    data = {"offset": offset}
    return {"channel": channel, "timestamp": "t", "event_type": "x", "data": data, "offset": offset, "epoch": epoch}


def offsets_of(calls):
    return [one["offset"] for one in calls]


def nothing(_):
    return None


class ClientTest(unittest.IsolatedAsyncioTestCase):
    async def pair(self, **options):
        hub = ScriptedHub()
        await hub.__aenter__()
        self.addAsyncCleanup(hub.__aexit__)
        client = NeurographWSClient(hub.url, **{"reconnect_delay": 0.001, **options})
        self.addAsyncCleanup(client.close)
        return hub, client

    async def open(self, frame=None, **options):
        hub, client = await self.pair(**options)
        peer, _ = await asyncio.gather(hub.accept(**(frame or {})), client.connect())
        return hub, client, peer

    async def told(self, client, name):
        """The next thing that the client tells its handlers of `name`."""
        future = asyncio.get_running_loop().create_future()

        def handler(value):
            client.off(name, handler)
            future.set_result(value)

        client.on(name, handler)
        return await asyncio.wait_for(future, TOLD_S_MAX)

    def telling(self, client, name):
        return asyncio.get_running_loop().create_task(self.told(client, name))

    async def test_connects_knows_who_it_is_and_closes(self):
        _, client, peer = await self.open({"user_id": "ada"}, token="jwt", binary=True)
        self.assertEqual(peer.query, {"token": "jwt", "binary": "1", "offsets": "1"})
        info = client.get_connection_info()
        self.assertEqual((info.client_id, info.user_id, info.timestamp), ("c-1", "ada", "t"))
        self.assertEqual((client.client_id, client.user_id, client.is_connected()), ("c-1", "ada", True))
        await client.connect()  # nothing to do
        gone = self.telling(client, "disconnected")
        await asyncio.sleep(0)
        await client.close()
        self.assertEqual(await gone, {"code": 1000, "reason": "", "reconnecting": False})
        self.assertFalse(client.is_connected())
        with self.assertRaises(ConnectionError):
            await client.send({"type": "ping"})
        with self.assertRaises(ConnectionError):
            await client.receive()
        await client.close()  # nothing to do

    async def test_a_refused_handshake_raises_with_its_status_and_is_not_tried_again(self):
        hub, client = await self.pair()
        hub.status = 403
        for attempt in (client.connect, client.run_forever):
            with self.assertRaises(HandshakeError) as refused:
                await attempt()
            self.assertEqual(refused.exception.status, 403)
        hub.status = 101
        await asyncio.gather(hub.accept(), client.connect())

    async def test_where_nobody_listens_connect_raises_at_once_and_run_forever_tries_on(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        client = NeurographWSClient(f"ws://127.0.0.1:{port}/ws", reconnect_delay=0.001, max_reconnect_attempts=3)
        with self.assertRaises(ConnectionError):
            await client.connect()
        await client.run_forever()
        with self.assertRaisesRegex(ConnectionError, "Cannot connect"):
            await client.receive()
        with self.assertRaises(ConnectionError):
            await NeurographWSClient("what?").connect()

    async def test_comes_back_after_a_cut_with_its_token_and_asks_for_what_was_missed(self):
        hub, client, peer = await self.open()
        calls = []
        client.subscribe("metrics", calls.append)
        await peer.answer("subscribe", channels=["metrics"])
        await peer.send(event(7), event(8))
        for offset in (7, 8):
            self.assertEqual((await client.receive(1, events=True))["offset"], offset)
        gone = self.telling(client, "disconnected")
        await asyncio.sleep(0)
        peer.cut()
        self.assertEqual(await gone, {"code": 1006, "reason": "", "reconnecting": True})

        again = await hub.next()
        self.assertEqual(again.query["reconnection_token"], "token-1")
        restored = {"type": "session_restored", "reconnected": True, "channels": ["metrics"], "missed": 2}
        await again.send({"type": "connected", "client_id": "c-2", "reconnected": True}, restored, event(10))
        await again.answer("get_reconnection_token", token="token-2", expires_in=300)
        request = await again.request("recover")
        self.assertEqual(request["positions"], {"metrics": {"epoch": "e1", "offset": 8}})
        channels = {"metrics": {"recovered": True, "missed": 1}}
        await again.send({"type": "recovered", "channels": channels, "id": request["id"]})
        await again.send(event(9), event(11), {"type": "pong"})
        self.assertEqual((await client.receive(1))["type"], "session_restored")
        self.assertEqual((await client.receive(1))["type"], "pong")
        self.assertEqual(offsets_of(calls), [7, 8, 9, 10, 11])
        await again.close(1012)
        self.assertEqual((await hub.next()).query["reconnection_token"], "token-2")

    async def test_a_session_that_was_not_restored_is_built_again_and_then_recovered(self):
        hub, client, peer = await self.open()
        calls, reports = [], []
        client.on("error", reports.append)
        client.subscribe_multiple(["metrics", "status"], calls.append)
        request = await peer.answer("subscribe", channels=["metrics", "status"])
        self.assertEqual(request["channels"], ["metrics", "status"])
        await peer.send(event(1), event(1, "status"))
        for _ in range(2):
            await client.receive(1, events=True)
        peer.cut()

        again = await hub.next()
        await again.send({"type": "connected", "client_id": "c-2", "reconnected": False})
        named = await again.requests(2)
        await again.send({"type": "reconnection_token", "token": "t", "id": named["get_reconnection_token"]["id"]})
        # An event may overtake the reply.
        reply = {"type": "subscribed", "channels": ["metrics", "status"], "id": named["subscribe"]["id"]}
        await again.send(event(4), reply, event(5))
        request = await again.request("recover")
        channels = {"metrics": {"recovered": True, "missed": 2}, "status": {"recovered": False, "missed": 0}}
        await again.send({"type": "recovered", "channels": channels, "id": request["id"]})
        await again.send(*map(event, (2, 3)), event(3, "status", "e2"), {"type": "pong"})
        await client.receive(1)
        found = [(one["channel"], one["offset"]) for one in calls]
        metrics = [("metrics", offset) for offset in (2, 3, 4, 5)]
        self.assertEqual(found, [("metrics", 1), ("status", 1), *metrics, ("status", 3)])
        self.assertEqual([one["lost"] for one in reports], [["status"]])
        self.assertEqual(reports[0]["message"], "Events may be missing on channels: status")

    async def test_where_no_event_told_a_position_a_new_session_may_have_lost_some_and_that_is_told(self):
        hub, client, peer = await self.open()
        client.subscribe("metrics", nothing)
        client.subscribe("logs", nothing)
        await peer.answer("subscribe", channels=["metrics"], denied=["logs"])
        await peer.send({"type": "pong"})
        await client.receive(1)
        report = self.telling(client, "error")
        await asyncio.sleep(0)
        peer.cut()
        await (await hub.next()).send({"type": "connected", "reconnected": False})
        self.assertEqual((await report)["lost"], ["metrics"])

    async def test_when_nothing_can_be_recovered_what_waited_is_delivered_and_the_gap_is_told(self):
        hub, client, peer = await self.open()
        calls = []
        client.subscribe("metrics", calls.append)
        await peer.answer("subscribe", channels=["metrics"])
        await peer.send(event(1))
        await client.receive(1, events=True)
        peer.cut()
        again = await hub.next()
        restored = {"type": "session_restored", "channels": ["metrics"]}
        await again.send({"type": "connected", "reconnected": True}, restored, event(3), event(4))
        await again.answer("get_reconnection_token", token="token-2", expires_in=300)
        report = self.telling(client, "error")
        request = await again.request("recover")
        unknown = {"type": "error", "message": "Unknown message type: recover", "id": request["id"]}
        await again.send(unknown, event(5), {"type": "pong"})
        self.assertEqual((await report)["lost"], ["metrics"])
        for _ in range(2):
            await client.receive(1)
        self.assertEqual(offsets_of(calls), [1, 3, 4, 5])

    async def test_a_question_that_could_not_be_sent_is_asked_on_the_next_connection(self):
        hub, client, peer = await self.open()
        calls, reports = [], []
        client.on("error", reports.append)
        client.subscribe("metrics", calls.append)
        await peer.answer("subscribe", channels=["metrics"])
        await peer.send(event(1))
        await client.receive(1, events=True)

        def welcome(_):
            async def send(_):
                raise ConnectionError("gone, and nobody has told")

            client._connector._link.send = send

        client.on("connected", welcome)
        restored = {"type": "session_restored", "channels": ["metrics"]}
        peer.cut()
        again = await hub.next()
        await again.send({"type": "connected", "reconnected": True}, restored, event(3))
        self.assertEqual((await client.receive(1))["type"], "session_restored")
        await asyncio.sleep(0.02)
        self.assertEqual((offsets_of(calls), reports), ([1], []))
        client.off("connected", welcome)
        again.cut()
        third = await hub.next()
        await third.send({"type": "connected", "reconnected": True}, restored)
        requests = await third.requests(2)
        self.assertEqual(requests["recover"]["positions"], {"metrics": {"epoch": "e1", "offset": 1}})

    async def test_a_first_frame_that_is_none_is_a_failed_attempt(self):
        hub, client, peer = await self.open()
        peer.cut()
        await (await hub.next()).send("no JSON")  # told nobody, and not the end of it
        again = await hub.accept()
        await again.close(4500)
        other = NeurographWSClient(hub.url)
        connecting = asyncio.create_task(other.connect())
        await (await hub.next()).send("[]")
        with self.assertRaises(ConnectionError):
            await connecting

    async def test_what_changed_while_there_was_no_connection_is_put_right(self):
        hub, client, peer = await self.open()
        client.subscribe("metrics", nothing)
        client.subscribe("status", nothing)
        await peer.answer("subscribe", channels=["metrics", "status"])
        gone = self.telling(client, "disconnected")
        await asyncio.sleep(0)
        peer.cut()
        await gone
        client.unsubscribe("metrics")
        client.subscribe("logs", nothing)
        again = await hub.next()
        restored = {"type": "session_restored", "channels": ["metrics", "status"]}
        await again.send({"type": "connected", "reconnected": True}, restored)
        requests = await again.requests(4)
        self.assertEqual(requests["recover"]["positions"], {}, "there was no event")
        self.assertEqual(requests["unsubscribe"]["channels"], ["metrics"])
        self.assertEqual(requests["subscribe"]["channels"], ["logs"])

    async def test_stays_away_after_close_codes_4500_to_4999_403_and_its_own_close(self):
        hub, client, peer = await self.open()
        gone = self.telling(client, "disconnected")
        await asyncio.sleep(0)
        await peer.close(4500, "session resumed elsewhere")
        self.assertEqual(
            await gone, {"code": 4500, "reason": "session resumed elsewhere", "reconnecting": False}
        )
        with self.assertRaisesRegex(ConnectionError, "4500"):
            await client.receive()
        second, _ = await asyncio.gather(hub.accept(), client.connect())
        self.assertNotIn("reconnection_token", second.query, "that session is over")
        hub.status = 403
        second.cut()
        with self.assertRaises(HandshakeError):
            await client.receive(5)
        hub.status = 101
        third, _ = await asyncio.gather(hub.accept(), client.connect())
        await third.close(4499)
        fourth, _ = await asyncio.gather(hub.accept(), self.told(client, "connected"))
        gone = self.telling(client, "disconnected")
        await asyncio.sleep(0)
        fourth.cut()
        await gone
        await client.close()  # while it waits
        with self.assertRaisesRegex(ConnectionError, "closed"):
            await client.receive()

    async def test_gives_up_after_the_last_attempt(self):
        hub, client, peer = await self.open(max_reconnect_attempts=3)
        running = asyncio.get_running_loop().create_task(client.run_forever())
        hub.status = 503
        peer.cut()
        with self.assertRaises(HandshakeError) as refused:
            await client.receive(5)
        self.assertEqual(refused.exception.status, 503)
        await asyncio.wait_for(running, 1)
        _, never, other = await self.open(auto_reconnect=False)
        other.cut()
        with self.assertRaisesRegex(ConnectionError, "1006"):
            await never.receive(5)

    async def test_close_ends_an_attempt_and_so_does_one_who_waits_no_longer(self):
        hub, client = await self.pair()
        connecting = asyncio.get_running_loop().create_task(client.connect())
        await hub.next()  # it never hears a word
        await client.close()
        with self.assertRaises(ConnectionError):
            await connecting
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(client.connect(), 0.05)
        await hub.next()
        with self.assertRaises(ConnectionError):
            await client.receive()
        await asyncio.gather(hub.accept(), client.connect())
        self.assertTrue(client.is_connected())

    async def test_run_forever_ends_with_close_and_closes_when_it_is_cancelled(self):
        hub, client = await self.pair()
        running = asyncio.get_running_loop().create_task(client.run_forever())
        await hub.accept()
        await client.close()
        await asyncio.wait_for(running, 1)
        running = asyncio.get_running_loop().create_task(client.run_forever())
        await hub.accept()
        running.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await running
        self.assertFalse(client.is_connected())

    async def test_replies_find_who_asked_and_everything_else_is_received(self):
        _, client, peer = await self.open(resume=False)
        subscriptions, _ = await asyncio.gather(
            client.get_subscriptions(), peer.answer("get_subscriptions", channels=["a", "b"])
        )
        self.assertEqual(subscriptions, ["a", "b"])
        token, _ = await asyncio.gather(
            client.get_reconnection_token(), peer.answer("get_reconnection_token", token="T")
        )
        self.assertEqual(token, "T")
        count, request = await asyncio.gather(
            client.broadcast("signals", {"a": 1}, "signal.x"), peer.answer("broadcast", subscribers=3)
        )
        self.assertEqual(count, 3)
        self.assertIsInstance(request.pop("id"), str)
        sent = {"type": "broadcast", "channel": "signals", "event_type": "signal.x", "data": {"a": 1}}
        self.assertEqual(request, sent)
        text = "Permission denied: broadcast to signals"
        refused = asyncio.get_running_loop().create_task(client.broadcast("signals", {}))
        await peer.answer("broadcast", type="error", message=text)
        with self.assertRaisesRegex(HubError, text):
            await refused
        pong = self.telling(client, "pong")
        await asyncio.gather(client.ping(), peer.answer("ping"))
        self.assertEqual((await pong)["type"], "pong")

        await client.send({"type": "ping", "id": "mine"})
        await peer.request("ping")
        await peer.send(event(1), {"type": "ping"}, {"type": "pong", "id": "mine"}, {"type": "error", "message": "x"})
        self.assertEqual(await client.receive(1), {"type": "pong", "id": "mine"})
        self.assertEqual(await client.receive(1), {"type": "error", "message": "x"})
        lost = asyncio.get_running_loop().create_task(client.get_subscriptions())
        await peer.request("get_subscriptions")
        peer.cut()
        with self.assertRaises(ConnectionError):
            await lost
        with self.assertRaises(TypeError):
            await (await self.open())[1].broadcast("signals", {"a": object()})

    async def test_subscriptions_of_one_turn_are_one_request_ahead_of_what_is_sent_behind_them(self):
        _, client, peer = await self.open(resume=False)
        client.subscribe("metrics", nothing)
        client.subscribe("metrics", print)
        client.subscribe("status", nothing)
        await client.send({"type": "ping"})
        report = self.telling(client, "error")
        request = await peer.answer("subscribe", channels=["metrics"], denied=["status"])
        self.assertEqual(request["channels"], ["metrics", "status"])
        await peer.request("ping")
        message = "Permission denied for channels: status"
        self.assertEqual(await report, {"type": "error", "message": message, "denied": ["status"]})
        client.unsubscribe("metrics", nothing)
        client.unsubscribe("metrics", print)
        self.assertEqual((await peer.answer("unsubscribe"))["channels"], ["metrics"])
        client.subscribe("metrics", nothing)
        await peer.answer("subscribe", type="error", message="Rate limit exceeded", retry_after=0.02)
        request = await peer.answer("subscribe", channels=["metrics"])
        self.assertEqual(request["channels"], ["metrics"], "it tries again")

    async def test_handlers_may_be_coroutines_and_ask_the_server(self):
        _, client, peer = await self.open(resume=False)
        order = []

        async def handler(one):
            await client.ping()
            order.append(one["offset"])

        client.subscribe("metrics", handler)
        await peer.answer("subscribe", channels=["metrics"])
        await peer.send(event(1))
        await peer.answer("ping")
        await peer.send({"type": "pong"})
        await client.receive(1)
        self.assertEqual(order, [1])

    async def test_handlers_that_fail_are_told_and_stop_nothing(self):
        _, client, peer = await self.open(resume=False)

        def failing(_):
            raise ValueError("ouch")

        client.subscribe("metrics", failing)
        client.on("error", failing)
        report = self.telling(client, "error")
        await peer.send(event(1), {"type": "pong"})
        self.assertEqual((await client.receive(1))["type"], "pong")
        self.assertEqual((await report)["message"], "A handler of metrics failed: ouch")
        self.assertIsInstance((await report)["cause"], ValueError)

    async def test_compressed_events_are_events_and_other_binary_messages_go_to_their_handlers(self):
        _, client, peer = await self.open(resume=False, binary=True)
        order = []

        def compressed(value):
            return pack("COMPRESSED_JSON", {"compression": "gzip"}, gzip.compress(json.dumps(value).encode()))

        client.on("binary", lambda one: order.append((one["type"], one.get("json_data"))))
        client.on("error", lambda one: order.append(one["message"][:23]))
        client.subscribe("metrics", lambda one: order.append(one["offset"]))
        image = binary_handler.create_image_message(b"\x01", channel="metrics")
        await peer.send(compressed(event(1)), event(2), compressed(event(3)), image, compressed([1]), event(5))
        await peer.send(b"\x09", pack("COMPRESSED_JSON", {}, b"\x01"), "no json", "[]", {"type": "pong"})
        await client.receive(1)
        errors = ["Binary message too shor", "Invalid compressed JSON"] + ["A frame was no JSON obj"] * 2
        self.assertEqual(order, [1, 2, 3, ("IMAGE", None), ("COMPRESSED_JSON", [1]), 5, *errors])
        await client.send(image)
        self.assertEqual(await peer.next_binary(), image)

    async def test_a_binary_frame_moves_its_channel_on_by_one(self):
        hub, client, peer = await self.open(binary=True)
        client.subscribe("metrics", nothing)
        await peer.answer("subscribe", channels=["metrics"])
        await peer.send(event(1), binary_handler.create_binary_data_message(b"", channel="metrics"), {"type": "pong"})
        await client.receive(1)
        peer.cut()
        again = await hub.next()
        await again.send({"type": "connected", "reconnected": True})
        await again.send({"type": "session_restored", "channels": ["metrics"]})
        await again.answer("get_reconnection_token", token="token-2")
        request = await again.request("recover")
        self.assertEqual(request["positions"], {"metrics": {"epoch": "e1", "offset": 2}})

    async def test_the_token_of_a_server_that_goes_away_is_the_one_to_come_back_with(self):
        hub, client, peer = await self.open()
        await peer.send({"type": "disconnected", "reconnection_token": "last", "expires_in": 300})
        self.assertEqual((await client.receive(1))["type"], "disconnected")
        await peer.close(1001, "server shutting down")
        self.assertEqual((await hub.next()).query["reconnection_token"], "last")


if __name__ == "__main__":
    unittest.main()
