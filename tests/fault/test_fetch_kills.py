"""A download that is killed over and over loses next to nothing."""
import random
import threading

from fetching import MIB, certificate, content_of, fetch, server, servers  # noqa: F401

SIZE = 256 * MIB
KILLS = 20


def test_twenty_kills_cost_less_than_a_tenth(server, fetch):
    content = content_of(SIZE)
    server.serve(content)

    def answer(q):
        reply = server.file(q)
        # Slow enough that what a kill loses is the program's and not that of full sockets.
        reply.pace = 10 * MIB
        return reply
    server.answer = answer

    chance = random.Random(20)
    reached = threading.Event()
    instants = sorted(chance.randrange(MIB, SIZE) for _ in range(KILLS))
    for instant in instants:
        reached.clear()
        server.on_sent = lambda sent, at=instant: sent >= at and reached.set()
        p = fetch.start(content, server.url())
        assert reached.wait(120), "it does not get there"
        p.kill()
        fetch.finish(p)
        assert not fetch.blob(content).exists()
    server.on_sent = lambda sent: None
    assert fetch(content, server.url()).code == 0 and fetch.has(content)
    print(f"{server.sent / SIZE:.3f} of the file were sent")
    assert server.sent <= 1.1 * SIZE
