"""The parts that need no connection: pauses, URLs, queues, tables."""

import asyncio
import unittest

from neurograph_ws_client import HubError, LimitError, NeurographWSClient
from neurograph_ws_client._backoff import backoff_s
from neurograph_ws_client._frame_queue import FrameQueue
from neurograph_ws_client._handler_table import HandlerTable
from neurograph_ws_client._position_table import PositionTable
from neurograph_ws_client._recovery import HELD_MAX, Recovery
from neurograph_ws_client._request_table import RequestTable
from neurograph_ws_client._subscription_table import SubscriptionTable
from neurograph_ws_client._url import url_of


def event(offset, epoch="e1", channel="metrics"):
    return {"channel": channel, "timestamp": "t", "event_type": "x", "data": {}, "offset": offset, "epoch": epoch}


def url(address="ws://h/ws", token=None, resume=False, binary=False, compression="none", reconnection_token=None):
    return url_of(address, token, resume, binary, compression, reconnection_token)


class PartTest(unittest.IsolatedAsyncioTestCase):
    def test_the_pause_doubles_up_to_a_minute_and_20_percent_either_way(self):
        middle = [backoff_s(attempt, 3, lambda: 0.5) for attempt in (1, 2, 3, 5, 6, 10_000)]
        self.assertEqual(middle, [3, 6, 12, 48, 60, 60])
        for random, pause in ((0, 0.8), (1, 1.2)):
            self.assertAlmostEqual(backoff_s(1, 1, lambda random=random: random), pause)

    def test_what_the_user_wrote_in_the_url_stays_and_a_used_token_goes(self):
        self.assertEqual(url(resume=True), "ws://h/ws?offsets=1")
        self.assertEqual(url(), "ws://h/ws")
        self.assertEqual(url("ws://h/ws?a=1", token="j w"), "ws://h/ws?a=1&token=j%20w")
        given = url("ws://h/ws?binary=0#x", resume=True, binary=True, compression="gzip")
        self.assertEqual(given, "ws://h/ws?binary=0&compression=gzip&offsets=1")
        resuming = "ws://h/ws?reconnection_token=old&a=1"
        self.assertEqual(url(resuming), resuming)
        self.assertEqual(url(resuming, reconnection_token="new"), "ws://h/ws?a=1&reconnection_token=new")

    def test_nonsense_is_refused(self):
        for wrong in ({"reconnect_delay": -1}, {"max_reconnect_attempts": -1}, {"compression": "zip"}):
            with self.assertRaises(ValueError):
                NeurographWSClient(**wrong)
        with self.assertRaises(ValueError):
            NeurographWSClient().on("conected", print)

    async def test_receive_skips_events_and_takes_all_in_order_of_arrival_with_events(self):
        queue = FrameQueue()
        for frame in ({"channel": "a"}, {"type": "pong"}, {"channel": "b"}, {"type": "error"}):
            queue.push(frame, "type" not in frame, 1)
        self.assertEqual(await queue.receive(None, False, True), {"type": "pong"})
        self.assertEqual(await queue.receive(None, True, True), {"channel": "a"})
        self.assertEqual(await queue.receive(None, True, False), {"channel": "b"})
        self.assertEqual(await queue.receive(None, False, False), {"type": "error"})
        with self.assertRaises(ConnectionError):
            await queue.receive(None, False, False)

    async def test_who_waits_gets_the_next_of_its_kind_in_turn(self):
        queue = FrameQueue()
        loop = asyncio.get_running_loop()
        control = loop.create_task(queue.receive(None, False, True))
        both = loop.create_task(queue.receive(None, True, True))
        with self.assertRaises(asyncio.TimeoutError):
            await queue.receive(0.005, False, True)
        queue.push({"channel": "a"}, True, 1)
        queue.push({"type": "pong"}, False, 1)
        self.assertEqual([await control, await both], [{"type": "pong"}, {"channel": "a"}])
        queue.push({"type": "pong"}, False, 1)
        self.assertEqual(await queue.receive(0, False, True), {"type": "pong"}, "the expired one took nothing")
        last = loop.create_task(queue.receive(None, False, True))
        await asyncio.sleep(0)
        queue.fail(ConnectionError("gone"))
        with self.assertRaisesRegex(ConnectionError, "gone"):
            await last

    async def test_a_frame_for_one_that_is_cancelled_is_for_the_next(self):
        queue = FrameQueue()
        waiting = asyncio.get_running_loop().create_task(queue.receive(None, False, True))
        await asyncio.sleep(0)
        queue.push({"type": "pong"}, False, 1)
        waiting.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await waiting
        self.assertEqual(await queue.receive(0, False, True), {"type": "pong"})

    async def test_the_oldest_of_1001_goes_of_each_kind_and_so_does_what_is_too_large(self):
        queue = FrameQueue()
        queue.push({"type": "pong"}, False, 1)
        for number in range(1, 1002):
            queue.push({"channel": "a", "offset": number}, True, 1)
        self.assertEqual(await queue.receive(None, True, True), {"type": "pong"})
        self.assertEqual((await queue.receive(None, True, True))["offset"], 2)
        large = FrameQueue()
        for number in (1, 2, 3):
            large.push({"channel": "a", "offset": number}, True, 12 * 1024**2)
        self.assertEqual((await large.receive(None, True, True))["offset"], 3)
        with self.assertRaises(asyncio.TimeoutError):
            await large.receive(0, True, True)

    async def test_1000_may_wait_at_once(self):
        queue = FrameQueue()
        loop = asyncio.get_running_loop()
        waiting = [loop.create_task(queue.receive(None, False, True)) for _ in range(1000)]
        await asyncio.sleep(0)
        with self.assertRaises(LimitError):
            await queue.receive(None, False, True)
        queue.fail(ConnectionError("gone"))
        self.assertEqual(len(await asyncio.gather(*waiting, return_exceptions=True)), 1000)

    async def test_requests_settle_by_id_once(self):
        table, settled = RequestTable(), []
        first, second = table.add(settled.append), table.add(settled.append)
        self.assertFalse(table.settle({"type": "pong", "id": "mine"}))
        self.assertFalse(table.settle({"type": "pong", "id": 1}))
        limited = {"type": "error", "message": "Rate limit exceeded", "retry_after": 0.5, "id": second}
        self.assertTrue(table.settle(limited))
        self.assertTrue(table.settle({"type": "pong", "id": first}))
        self.assertTrue(table.settle({"type": "pong", "id": first}), "ours, and nobody waits any more")
        refused, reply = settled
        self.assertIsInstance(refused, HubError)
        self.assertEqual((refused.message, refused.retry_after), ("Rate limit exceeded", 0.5))
        self.assertEqual(reply, {"type": "pong", "id": first})

    async def test_requests_a_deadline_a_full_table_and_the_end_are_errors(self):
        table, settled = RequestTable(), []
        table.add(settled.append, 0.005)
        await asyncio.sleep(0.05)
        self.assertIsInstance(settled.pop(), asyncio.TimeoutError)
        for _ in range(1000):
            table.add(settled.append)
        with self.assertRaises(LimitError):
            table.add(settled.append)
        table.fail(ConnectionError("lost"))
        self.assertEqual([type(one) for one in settled], [ConnectionError] * 1000)

    def test_an_event_is_new_once(self):
        table = PositionTable()
        taken = [event(5), event(5), event(4), event(6), event(1, "e2"), event(1, "e2"), event(2, "e2")]
        self.assertEqual([table.advance(one) for one in taken], [True, False, False, True, True, False, True])
        for channel in ("metrics", "logs", None):
            table.step(channel)
        self.assertEqual(table.of(["logs", "metrics"]), {"metrics": {"epoch": "e2", "offset": 3}})
        self.assertTrue(table.advance({"channel": "logs"}))
        table.forget("metrics")
        self.assertEqual(table.of(["metrics"]), {})

    def test_the_difference_of_subscriptions_is_asked_for_once(self):
        table = SubscriptionTable()
        self.assertEqual(table.take(["a", "b"]), (["a", "b"], []))
        self.assertEqual(table.take(["b", "c"]), (["c"], ["a"]))
        self.assertEqual(table.take(["b", "c"]), ([], []))
        table.restore(["b", "z"], [])
        self.assertEqual(table.take(["b", "c"]), (["c"], []), "what is not ours stays")
        table.forget(["b"])
        self.assertEqual(table.take(["b", "c"]), (["b"], []))
        self.assertEqual(table.reset(), ["b", "z"])
        self.assertEqual(table.reset(), [])
        self.assertEqual(table.take(["b", "c"]), (["b", "c"], []))
        table.grant(["b", "c"])
        table.take(["b"])
        self.assertEqual(table.reset(), ["b"], "what was given up does not count")

    def test_what_was_missed_comes_before_what_waits_by_channel(self):
        position = {"epoch": "e", "offset": 1}
        recovery, delivered = Recovery({"metrics": position, "logs": position, "status": position}), []

        def take(channel, what):
            return recovery.take(channel, lambda: delivered.append(what))

        taken = [take("signals", 0), take(None, 0), take("metrics", "m4"), take("logs", "l2")]
        self.assertEqual(taken, [False, False, True, True])
        recovery.expect("metrics", 2)
        recovery.expect("logs", 0)
        recovery.expect("strange", 1)
        taken = [take("metrics", "m2"), take("logs", "l3"), take("metrics", "m3"), take("metrics", "m5")]
        self.assertEqual(taken, [True, False, True, False])
        self.assertEqual(delivered, ["l2", "m2", "m3", "m4"])
        self.assertFalse(recovery.is_over)
        for number in range(HELD_MAX + 1):
            self.assertTrue(take("status", number))
        recovery.release()
        self.assertEqual(delivered[4:], list(range(1, HELD_MAX + 1)), "the oldest goes")
        self.assertTrue(recovery.is_over)

    async def test_each_handler_is_called_whatever_the_others_raise_and_slow_ones_are_bounded(self):
        failures, calls = [], []
        table = HandlerTable(lambda text, cause, name: failures.append((text, type(cause), name)), 100)

        def raising(_):
            raise ValueError("ouch")

        async def rejecting(_):
            raise ValueError("ouch")

        for handler in (raising, rejecting, calls.append):
            table.add("a", handler)
        table.call("b", 1)
        table.call("a", 1)
        await asyncio.sleep(0.01)
        self.assertEqual(calls, [1])
        self.assertEqual(failures, [("A handler of a failed: ouch", ValueError, "a")] * 2)
        table.remove("a", raising)
        table.remove("a", rejecting)
        over = asyncio.Event()

        async def slow(_):
            await over.wait()

        table.add("a", slow)
        for number in range(101):
            table.call("a", number)
        # The last event finds no room, and then no handler is called.
        self.assertEqual((len(calls), len(failures), failures[2][1]), (101, 4, LimitError))
        over.set()
        await asyncio.sleep(0.01)
        self.assertFalse(table.is_running)
        table.remove("a")
        self.assertNotIn("a", table.names)


if __name__ == "__main__":
    unittest.main()
