"""Many requests: each has one answer, its own."""
import threading


def test_a_thousand_requests_on_one_connection(start):
    a = start().client()
    for i in range(1000):
        a.ask(f"r{i}", f"say number {i}")
        assert a.answer(f"r{i}") == f"number {i}"


def test_a_thousand_requests_sent_at_once_on_one_connection(start):
    a = start().client()
    sender = threading.Thread(
        target=lambda: [a.ask(f"r{i}", f"say number {i}") for i in range(1000)])
    sender.start()
    for i in range(1000):
        assert a.answer(f"r{i}") == f"number {i}"
    sender.join()


def test_two_hundred_connections_at_once(start):
    d = start("--active-permits", "4", "--queue-depth", "256")
    clients = [d.client(f"c{i}") for i in range(200)]
    answers = [None] * len(clients)
    together = threading.Barrier(len(clients))

    def talk(i, client):
        together.wait()
        # Some read one frame, some dozens, so that they overtake each other.
        words = " ".join(f"c{i}w{n}" for n in range(1 + i % 40))
        client.ask(f"id{i}", f"say {words}")
        got = client.frames(f"id{i}")
        client.shut()
        answers[i] = (words, got, client.receive())

    threads = [threading.Thread(target=talk, args=c) for c in enumerate(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    for words, got, after in answers:
        assert [f["type"] for f in got] == ["token"] * (len(words.split())) + ["done"]
        assert "".join(f["content"] for f in got[:-1]) == words
        assert got[-1]["content"] == words
        assert after is None


def test_with_less_room_than_clients_each_is_served_or_told_so(start):
    d = start("--active-permits", "2", "--queue-depth", "10")
    holder = [d.client(), d.client()]
    for h in holder:
        h.ask("h", "hold")
        assert h.receive()["content"] == "held"

    clients = [d.client(f"c{i}") for i in range(50)]
    for i, c in enumerate(clients):
        c.ask(f"id{i}", f"say c{i}")
    refused = [(i, c) for i, c in enumerate(clients) if i >= 10]
    for i, c in refused:
        assert c.error(f"id{i}")["code"] == "queue_full"
    for h in holder:
        h.close()
    for i, c in enumerate(clients[:10]):
        assert c.answer(f"id{i}") == f"c{i}"
    for i, c in refused:
        c.ask("again", f"say c{i}")
        assert c.answer("again") == f"c{i}"


def test_the_numbers_of_an_answer(start):
    a = start().client()
    a.ask("1", "say a b c")
    *tokens, done = a.frames("1")
    assert len(tokens) == 3
    assert done["stop_reason"] == "end"
    assert done["backend"] == "mock"
    assert done["usage"]["prompt_tokens"] > 0
    assert done["usage"]["completion_tokens"] == 3
    assert set(done["timings"]) == {"queue_ms", "prompt_ms", "first_token_ms", "generate_ms",
                                    "tokens_per_second"}
    assert all(value >= 0 for value in done["timings"].values())


def test_without_options_the_mock_is_the_reference_s(start):
    """`--backend mock` needs no configuration and no script."""
    a = start("--backend", "mock", config=False).client()
    a.ask("1", "whatever")
    *tokens, done = a.frames("1")
    assert tokens and done["type"] == "done" and done["backend"] == "mock"
