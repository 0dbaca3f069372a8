"""Deaths under load, again and again: no request ends twice or never, nothing is left."""
import random
import threading
import time

from daemon import Daemon, until


def test_engines_killed_under_load():
    with Daemon("--active-permits", "4", "--queue-depth", "64") as d:
        admin = d.admin()
        admin.await_status("ready")
        over = threading.Event()
        problems, ends = [], []

        def talk(n):
            client = d.client(f"c{n}")
            try:
                for i in range(1_000_000):
                    if over.is_set():
                        return
                    client.ask(f"{n}.{i}", f"say {n} {i} " + "more " * 20)
                    last = client.frames(f"{n}.{i}")[-1]
                    ends.append(last["type"])
                    if last["type"] == "error":
                        assert last["code"] == "backend_unavailable", last
                    else:
                        assert last["content"].startswith(f"{n} {i} "), last
            except BaseException as e:
                problems.append(f"c{n}: {e!r}")

        threads = [threading.Thread(target=talk, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for _ in range(5):
            served = ends.count("done")
            until(lambda: ends.count("done") > served + 20 or problems, "requests are served")
            d.kill_engine()
            admin.await_status("restarting")
            admin.await_status("ready")
        over.set()
        for t in threads:
            t.join()
        assert not problems, problems
        assert "error" in ends and "done" in ends


def test_daemons_killed_at_any_moment():
    """Each takes over from the one before, wherever that one was."""
    chance = random.Random(7)
    with Daemon() as first:
        first.kill()
        for _ in range(20):
            d = Daemon(within=first, ready=False)
            time.sleep(chance.random() * 0.08)  # the fault's own moment, nobody waits for it
            d.kill()
        with Daemon(within=first) as last, last.client() as c:
            c.ask("1", "say hi")
            assert c.answer("1") == "hi"
            engines = last.engines()
            assert len(engines) == 1
        first.expected_to_end = True


def holds(client):
    """Does it get a slot?  Not while the daemon has yet to notice who left."""
    client.ask("1", "hold")
    frame = client.receive()
    return frame.get("content") == "held" or frame["code"] != "queue_full"


def test_clients_that_come_and_go():
    """Random goodbyes at random moments; what remains is answered, and all slots are free."""
    chance = random.Random(3)
    with Daemon("--active-permits", "3", "--queue-depth", "10") as d:
        clients = []
        for i in range(400):
            c = d.client(f"c{i}")
            d.clients.remove(c)
            c.ask("1", chance.choice(("hold", "say a b c", "babble 1000 1000", "drop")))
            if chance.random() < 0.3:
                c.shut()
            clients.append(c)
            if len(clients) > 12:
                clients.pop(chance.randrange(len(clients))).close()
        for c in clients:
            c.close()
        d.settle()
        holders = [d.client(f"h{i}") for i in range(3)]
        for h in holders:
            until(lambda: holds(h), "a slot for each of three")
        for h in holders:
            h.close()
