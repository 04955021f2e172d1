"""Runs scenarios: steps that every client of the hub must do alike. What a step means is said where it is done.

    python -m tests.scenario      reads {"scenarios", "surroundings", "packs", "unpack"} as JSON from standard input

Prints a line of JSON for each scenario: {"name", "error"?}; then {"packed": [hex], "unpacked": [message]}.
"""

import asyncio
import json
import sys
import time
import urllib.parse
import urllib.request

from neurograph_ws_client import HandshakeError, HubError, NeurographWSClient, binary_handler
from neurograph_ws_client.client import EVENTS

WAIT_S_MAX = 8.0
POLL_S = 0.005
RECONNECT_S = 0.02


class Actor:
    """A client and all it told."""

    def __init__(self, **options):
        self.client = NeurographWSClient(**options)
        self.events = []
        self.told = {name: [] for name in EVENTS}
        for name, values in self.told.items():
            self.client.on(name, values.append)


class Run:
    def __init__(self, surroundings):
        self.surroundings = surroundings
        self.actors = {}
        self.saved = {}
        # Of `feed`: the numbers go on through the scenario.
        self.fed = 0

    async def all(self, steps):
        for step in steps:
            try:
                await self.one(step)
            except Exception as error:
                raise AssertionError(f"{json.dumps(step)[:300]}: {error!r}") from error

    async def end(self):
        await self.control("up")
        await asyncio.gather(*(actor.client.close() for actor in self.actors.values()))

    async def one(self, step):
        wanted = step.get("fails")
        try:
            await self.perform(step)
        except (ConnectionError, asyncio.TimeoutError, HubError) as error:
            if wanted is None:
                raise
            expect({"kind": kind_of(error), "message": str(error), "status": getattr(error, "status", None)}, wanted)
            return
        assert wanted is None, "it was to fail"

    async def perform(self, step):
        if step["do"] == "open":
            await self.open(step)
        elif step["do"] == "repeat":
            for _ in range(step["count"]):
                await self.all(step["steps"])
        elif step["do"] == "control":
            await self.control(step["verb"])
        else:
            await getattr(self, f"do_{step['do']}")(step, self.actors[step.get("client", "it")])

    async def open(self, step):
        query = {name: self.saved.get(value, value) for name, value in step.get("query", {}).items()}
        url = self.surroundings["directUrl" if step.get("direct") else "url"]
        role = step.get("as")
        actor = Actor(
            url=f"{url}?{urllib.parse.urlencode(query)}" if query else url,
            token=step.get("token") if role is None else self.surroundings["tokens"][role],
            reconnect_delay=RECONNECT_S,
            **step.get("options", {}),
        )
        self.actors[step.get("client", "it")] = actor
        await actor.client.connect()

    async def control(self, verb):
        request = urllib.request.Request(f"{self.surroundings['controlUrl']}?verb={verb}", method="POST")
        await asyncio.get_running_loop().run_in_executor(None, lambda: urllib.request.urlopen(request).close())

    async def do_info(self, step, actor):
        info = actor.client.get_connection_info()
        expect({**vars(info), "connected": actor.client.is_connected()}, step["expect"])

    async def do_ping(self, _, actor):
        await actor.client.ping()

    async def do_send(self, step, actor):
        await actor.client.send(step["frame"])

    async def do_receive(self, step, actor):
        timeout = step.get("timeout_ms", WAIT_S_MAX * 1000) / 1000
        expect(await actor.client.receive(timeout, step.get("events", False)), step.get("expect"))

    async def do_subscribe(self, step, actor):
        actor.client.subscribe_multiple(step["channels"], actor.events.append)

    async def do_unsubscribe(self, step, actor):
        for channel in step["channels"]:
            actor.client.unsubscribe(channel)

    async def do_subscriptions(self, step, actor):
        expect(await actor.client.get_subscriptions(), step["expect"])

    async def do_token(self, step, actor):
        self.saved[f"${step['save']}"] = await actor.client.get_reconnection_token()

    async def do_broadcast(self, step, actor):
        count = await actor.client.broadcast(step["channel"], step["data"], step.get("event_type"))
        expect(count, step.get("expect"))

    async def do_close(self, _, actor):
        await actor.client.close()

    async def do_feed(self, step, actor):
        """Numbered events, one after the other."""
        for _ in range(step["count"]):
            number, self.fed = self.fed, self.fed + 1
            await actor.client.broadcast(step["channel"], {"n": number, "padding": "x" * step.get("padding", 0)})

    async def do_send_binary(self, step, actor):
        await actor.client.send(packed(step))

    async def do_wait(self, step, actor):
        """The next thing that handlers of `event` were told."""
        values = actor.told[step["event"]]
        await until(lambda: values)
        expect(plain(values.pop(0)), step.get("expect"))

    async def do_none(self, step, actor):
        expect(actor.told[step["event"]], [])

    async def do_events(self, step, actor):
        """All events so far: `field` of their data counts from 0, each once and in order."""
        await until(lambda: len(actor.events) >= step["count"])
        expect([event["data"].get(step["field"]) for event in actor.events], list(range(step["count"])))

    async def do_tally(self, step, actor):
        """So many control frames by type, each between two bounds."""
        tally = {}
        for _ in range(step["count"]):
            kind = (await actor.client.receive(WAIT_S_MAX))["type"]
            tally[kind] = tally.get(kind, 0) + 1
        for kind, (least, most) in step["expect"].items():
            assert least <= tally.get(kind, 0) <= most, tally


def kind_of(error):
    if isinstance(error, HandshakeError):
        return "refused"
    if isinstance(error, ConnectionError):
        return "closed"
    return "reply" if isinstance(error, HubError) else "timeout"


def packed(step):
    """The message that a step describes."""
    if "raw" in step:
        return bytes.fromhex(step["raw"])
    make = getattr(binary_handler, f"create_{step['type']}_message")
    content = step["json"] if "json" in step else bytes.fromhex(step.get("bytes", ""))
    return make(content, **step.get("metadata", {}))


def plain(value):
    if isinstance(value, dict) and isinstance(value.get("payload"), bytes):
        return {**value, "payload": value["payload"].hex()}
    return value


def expect(found, wanted):
    """Members that are not wanted may be there too, but not in lists. `$string`, `$number` stand for any of them."""
    assert wanted is None or matches(found, wanted), f"{found!r} is not {wanted!r}"


def matches(found, wanted):
    if wanted == "$string":
        return isinstance(found, str)
    if wanted == "$number":
        return isinstance(found, (int, float))
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return False
        return all(matches(one, other) for one, other in zip(found, wanted))
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(matches(found.get(name), value) for name, value in wanted.items())
    return bool(found == wanted)


async def until(is_true):
    deadline = time.monotonic() + WAIT_S_MAX
    while not is_true():
        assert time.monotonic() < deadline, f"not in {WAIT_S_MAX} s"
        await asyncio.sleep(POLL_S)


async def main():
    task = json.load(sys.stdin)
    for scenario in task["scenarios"]:
        run, result = Run(task["surroundings"]), {"name": scenario["name"]}
        try:
            try:
                await run.all(scenario["steps"])
            finally:
                await run.end()
        except Exception as error:
            result["error"] = str(error)
        print(json.dumps(result), flush=True)
    unpacked = [plain(binary_handler.parse_message(bytes.fromhex(one))) for one in task["unpack"]]
    print(json.dumps({"packed": [packed(step).hex() for step in task["packs"]], "unpacked": unpacked}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
