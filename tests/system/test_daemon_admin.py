"""The admin socket: what a subscriber hears, and that many can listen."""
import json

from daemon import SCRIPTED

TWO = {"backends": [{**SCRIPTED, "name": "zebra"}, {**SCRIPTED, "name": "ant"}]}


def test_the_frames_of_a_start(start):
    d = start(ready=False, config={"backends": [{**SCRIPTED, "load_delay_ms": 200}]})
    admin = d.admin()
    seen = []
    while not seen or seen[-1]["status"] != "ready":
        seen.append(admin.receive())
    for frame in seen:
        assert frame["id"] == "admin" and frame["type"] == "status"
    order = [f["status"] for f in seen]
    assert set(order) <= {"starting", "loading_model", "capabilities", "ready"}
    assert order == sorted(order, key=["starting", "loading_model", "capabilities", "ready"].index)
    assert "loading_model" in order
    loading = [f for f in seen if f["status"] == "loading_model"]
    assert loading[0]["phase"] == "checking_local" and loading[0]["path"] == "(mock)"
    assert order.count("capabilities") == 1


def test_the_capabilities(start):
    d = start()
    frame = d.admin().await_status("capabilities")
    assert frame["backend"] == "mock"
    for flag in ("v2", "vision", "audio", "tools", "thinking", "embed"):
        assert isinstance(frame[flag], bool), flag
    assert frame["accelerator"] == "cpu"
    assert frame["gpu_layers"] == 0


def test_a_late_subscriber_hears_how_things_are(start):
    d = start(config=TWO)
    early = d.admin()
    known = {early.await_status("capabilities")["backend"] for _ in TWO["backends"]}
    assert known == {"ant", "zebra"}
    late = d.admin()
    first = [late.receive() for _ in range(3)]
    assert [f["status"] for f in first] == ["capabilities", "capabilities", "ready"]
    assert [f["backend"] for f in first[:2]] == ["ant", "zebra"]


def test_keys_are_in_alphabetical_order(start):
    admin = start().admin()
    for _ in range(2):
        frame = admin.receive()
        assert list(frame) == sorted(frame)


def test_the_life_of_an_engine(start):
    d = start()
    admin = d.admin()
    admin.await_status("ready")
    d.kill_engine()
    order = []
    while not order or order[-1] != "ready":
        order.append(admin.receive()["status"])
    distinct = [s for i, s in enumerate(order) if s != "capabilities" and s not in order[:i]]
    assert distinct == ["restarting", "loading_model", "ready"]
    d.signal()
    admin.await_status("draining")
    admin.expect_end()
    assert d.wait() == 0


def test_many_subscribers(start):
    d = start()
    admins = [d.admin(f"admin{i}") for i in range(100)]
    for a in admins:
        a.await_status("ready")
    gone = admins[::2]
    for a in gone:
        a.close()
    d.kill_engine()
    for a in admins[1::2]:
        a.await_status("restarting")
        a.await_status("ready")
    c = d.client()
    c.ask("1", "say hi")
    assert c.answer("1") == "hi"


def test_a_subscriber_that_never_reads_harms_nobody(start):
    d = start()
    d.admin("lazy")
    admin = d.admin()
    admin.await_status("ready")
    d.kill_engine()
    admin.await_status("ready")
    c = d.client()
    c.ask("1", "say hi")
    assert c.answer("1") == "hi"


def test_what_subscribers_say_harms_nobody(start):
    d = start()
    talker = d.admin("talker")
    talker.socket.setblocking(False)
    try:
        for _ in range(1000):
            talker.send(b"\xff\x00{" * 10_000)
    except (BrokenPipeError, ConnectionResetError, BlockingIOError):
        pass  # it need not listen to that
    admin = d.admin()
    admin.await_status("ready")
    c = d.client()
    c.ask("1", "say hi")
    assert c.answer("1") == "hi"


def test_a_subscriber_may_shut_its_side(start):
    """`socat - UNIX:admin.sock </dev/null` listens until the end."""
    d = start()
    admin = d.admin()
    admin.shut()
    admin.await_status("ready")
    d.kill_engine()
    admin.await_status("restarting")
    admin.await_status("ready")
    d.signal()
    admin.await_status("draining")
    admin.expect_end()
    assert d.wait() == 0


def test_nothing_of_a_request_is_told(start):
    """Subscribers learn nothing of what others ask."""
    d = start()
    admin = d.admin()
    admin.await_status("ready")
    c = d.client()
    c.ask("secret-id", "say secret-word")
    c.answer("secret-id")
    d.kill_engine()
    said = []
    while not said or said[-1]["status"] != "ready":
        said.append(admin.receive())
    assert "secret" not in json.dumps(said)
    assert "secret" not in d.stderr()


def test_the_socket_outlives_a_burst_of_visitors(start):
    d = start()
    for _ in range(300):
        d.admin().close()
    d.admin().await_status("ready")
