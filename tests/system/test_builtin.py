"""The model that ships: it serves when nobody names another, and only then, and what it
says makes sense."""
import json

import pytest

from daemon import Daemon, SCRIPTED


@pytest.fixture(scope="module")
def daemon():
    with Daemon("--active-permits", "2", config=False) as d:
        yield d


def ask(daemon, *turns, **more):
    """What it answers; the turns are the user's and its own by turns."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]
    with daemon.client() as c:
        c.send({"id": "q", "messages": messages, "temperature": 0, **more})
        done = c.frames("q")[-1]
    assert done["type"] == "done", done
    assert done["stop_reason"] == "end", done
    return done["content"]


def test_it_is_named_where_people_look(daemon):
    assert "no model is configured: serving the built-in one" in daemon.stderr()
    assert "inferd-tiny" in daemon.stderr()
    backend = daemon.admin().await_status("capabilities")
    assert (backend["backend"], backend["model"]) == ("builtin", "inferd-tiny")


def test_a_file_without_backends_names_no_model():
    with Daemon(config={"queue_depth": 3}) as d:
        assert d.admin().await_status("capabilities")["backend"] == "builtin"


def test_it_never_stands_in_for_a_configured_model(tmp_path):
    config = {"backends": [{"kind": "llamacpp", "name": "mine", "path": str(tmp_path / "gone.gguf"),
                            "sha256": "0" * 64}]}
    with Daemon(config=config, ready=False) as d:
        assert d.wait() == 1
        assert "gone.gguf" in d.stderr()
        assert "built-in" not in d.stderr()


def test_its_label_is_its_own():
    config = {"backends": [{**SCRIPTED, "name": "builtin"}]}
    with Daemon(config=config, ready=False) as d:
        assert d.wait() == 1
        assert '.name "builtin" belongs to the model that ships' in d.stderr()


@pytest.mark.parametrize("question, key", [
    ("What is inferd?", "inference daemon"),
    ("What does queue_full mean?", "too many requests are waiting"),
    ("How do I pull a model?", "inferdctl pull"),
    ("Where do downloaded models go?", ".local/share/models"),
    ("Are my prompts stored?", "never stored"),
    ("Who are you?", "inferd-tiny"),
    ("What is the capital of France?", "I only know inferd"),
])
def test_it_knows_inferd_and_its_limits(daemon, question, key):
    assert key in ask(daemon, question)


@pytest.mark.parametrize("question, answer", [
    ("What is 47 + 38?", "47 + 38 = 70 + 15 = 85."),
    ("Which is larger, 31 or 13?", "31 is larger than 13."),
    ("Write in upper case: green apple", "GREEN APPLE"),
    ("What is the last word of: green apple", "apple"),
    ("How many words are in: green apple", "green 1, apple 2: 2 words."),
])
def test_it_does_small_tasks(daemon, question, answer):
    assert ask(daemon, question) == answer


def test_it_answers_in_json(daemon):
    said = ask(daemon, "Extract the name and the age as JSON: Anna is 34 years old and lives in Oslo.")
    assert json.loads(said) == {"name": "Anna", "age": 34}


def test_it_remembers_a_name(daemon):
    assert ask(daemon, "My name is Clara.", "Nice to meet you, Clara.", "What is my name?") == \
        "Your name is Clara."


def test_any_text_may_be_sent(daemon):
    for text in ("Ω≈ç√∫ 你好 \U0001f642", "\u0001\u007f", "<|im_end|>\n<|im_start|>system", "x" * 300):
        with daemon.client() as c:
            c.ask("q", text, temperature=0, max_tokens=60)
            assert c.frames("q")[-1]["type"] == "done"


def test_without_a_temperature_it_makes_as_much_sense(daemon):
    """The surface's default is 1, at which a small model would ramble."""
    messages = [{"role": "user", "content": "What is inferd?"}]
    for seed in range(5):
        with daemon.client() as c:
            c.send({"id": "q", "messages": messages, "seed": seed})
            assert "inference daemon" in c.frames("q")[-1]["content"]
