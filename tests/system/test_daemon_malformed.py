"""
Input that is no request: a typed error, and nobody else is concerned.

The short kinds are conversations in tests/wire; here are those that are large, many,
or random.
"""
import json
import random
import threading

import pytest

from daemon import MAX_LINE, PATIENCE, request

HEAD = b'{"id":"big","messages":[{"role":"user","content":"say '
TAIL = b'"}]}'


def refused(client, code="invalid_request"):
    """One error without an id, then the end."""
    error = client.error("")
    assert error["code"] == code
    client.expect_end()
    return error["message"]


def patient(daemon):
    """A client for what takes seconds to parse, and longer where others compute, too."""
    client = daemon.client()
    client.socket.settimeout(6 * PATIENCE)
    return client


def still_serves(daemon):
    with daemon.client("witness") as c:
        c.ask("w", "say hi")
        assert c.answer("w") == "hi"


def send_large(client, data):
    """Write as far as the daemon listens: it may refuse before it has heard everything."""
    try:
        client.send(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


def test_a_line_of_64_MiB_is_accepted(start):
    c = patient(start())
    line = HEAD + b"x" * (MAX_LINE - len(HEAD) - len(TAIL)) + TAIL
    assert len(line) == MAX_LINE
    c.send(line.replace(b"say ", b"fail") + b"\n")
    # Whatever the engine makes of it, it came as far as the engine.
    assert c.error("big")["code"] == "invalid_request"
    c.ask("1", "say hi")
    assert c.answer("1") == "hi"


def test_a_short_answer_to_a_line_of_64_MiB(start):
    c = patient(start())
    blank = b" " * (MAX_LINE - len(HEAD) - len(TAIL) - 2)
    c.send(HEAD + b"hi" + TAIL + blank + b"\n")
    assert c.answer("big") == "hi"


def test_one_byte_more_is_not(start):
    d = start()
    c = d.client()
    send_large(c, HEAD + b"x" * (MAX_LINE + 1 - len(HEAD) - len(TAIL)) + TAIL + b"\n")
    assert str(MAX_LINE) in refused(c, "frame_too_large")
    still_serves(d)


def test_too_long_does_not_wait_for_the_newline(start):
    d = start()
    c = d.client()
    send_large(c, HEAD + b"x" * (MAX_LINE + 1 - len(HEAD)))
    refused(c, "frame_too_large")


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_a_hundred_thousand_deep(start, opening):
    d = start()
    c = d.client()
    send_large(c, b'{"id":"1","x":' + opening * 100_000)
    refused(c)
    still_serves(d)


@pytest.mark.parametrize("value", [b"{},", b"[],", b"0,", b'"",', b'{"a":null},'])
def test_more_values_than_anyone_needs(start, value):
    d = start()
    c = d.client()
    send_large(c, b'{"id":"1","x":[' + value * 150_000)
    assert "100000" in refused(c)
    still_serves(d)


def test_as_many_messages_as_are_allowed(start):
    c = start().client()
    n = 100_000 // 3 - 10
    messages = [{"role": "user", "content": "x"}] * n + [{"role": "user", "content": "say hi"}]
    c.send({"id": "1", "messages": messages})
    assert c.answer("1") == "hi"


def test_an_id_may_have_256_bytes(start):
    c = start().client()
    c.ask("x" * 256, "say hi")
    assert c.answer("x" * 256) == "hi"
    c.ask("x" * 257, "say hi")
    error = c.receive()
    assert (error["type"], error["code"]) == ("error", "invalid_request")
    assert "256" in error["message"]


@pytest.mark.parametrize("grammar, limit", [("x" * (64 * 1024 + 1), "65536"), ("|" * 4097, "4096")])
def test_a_grammar_has_limits(start, grammar, limit):
    c = start().client()
    c.ask("1", "say hi", grammar=grammar)
    error = c.error("1")
    assert error["code"] == "invalid_request"
    assert limit in error["message"]
    c.ask("2", "say hi", grammar=grammar[:-1])
    assert c.answer("2") == "hi"


def test_a_long_value_is_not_repeated_in_the_message(start):
    c = start().client()
    c.send({"id": "1", "messages": [{"role": "r" * 10_000, "content": "x"}]})
    assert len(refused(c)) < 512


def test_random_damage(start):
    """Valid requests with bytes changed: each is answered, by whatever kind of frame, or is
    not understood and the connection ends.  The daemon survives all."""
    d = start()
    chance = random.Random(1)
    good = json.dumps(request("q", "say one two", temperature=0.5, top_k=3, stream=True)).encode()
    for _ in range(300):
        damaged = bytearray(good)
        for _ in range(chance.choice((1, 1, 2, 5))):
            at = chance.randrange(len(damaged))
            damaged[at] = chance.choice(b'{}[]",:\\ 019e-tfn\x00\xff\xc3')
        with d.client() as c:
            c.send(bytes(damaged).replace(b"\n", b" ") + b"\n")
            c.shut()
            terminal = 0
            while frame := c.receive():
                terminal += frame["type"] in ("done", "error")
            assert terminal <= 1 and (terminal or not damaged.strip()), damaged
    still_serves(d)


def test_a_byte_at_a_time(start):
    c = start().client()
    for byte in json.dumps(request("slow", "say hi")).encode() + b"\n":
        c.send(bytes([byte]))
    assert c.answer("slow") == "hi"


def test_large_lines_of_several_clients_at_once(start):
    d = start("--active-permits", "4")
    line = HEAD + b"hi" + TAIL + b" " * (8 * 1024 * 1024) + b"\n"
    clients = [patient(d) for _ in range(6)]
    senders = [threading.Thread(target=c.send, args=(line,)) for c in clients]
    for s in senders:
        s.start()
    for c in clients:
        assert c.answer("big") == "hi"
    for s in senders:
        s.join()


def test_a_client_that_goes_in_the_middle_of_a_large_line(start):
    d = start()
    c = d.client()
    c.send(HEAD + b"x" * (20 * 1024 * 1024))
    c.close()
    still_serves(d)


def test_a_client_that_goes_while_its_large_line_is_parsed(start):
    d = start()
    for _ in range(5):
        with d.client() as c:
            c.send(HEAD + b"x" * (20 * 1024 * 1024) + TAIL + b"\n")
    still_serves(d)
