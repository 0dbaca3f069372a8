"""Nothing that a client says or hears, and no key, is in any file that a daemon writes.

Words are planted wherever a client can put one, and secrets of every kind that the log is
searched for; then every byte that the daemon has written, log, standard error and runtime
directory, is searched for each of them.  What is allowed to be written is looked for, too:
a search that finds nothing proves nothing otherwise.
"""
import json
import os
import pathlib

import pytest

from daemon import SCRIPTED, until

PROMPT, ANSWER, ROLE, UNKNOWN = "plover-xyzzy", "grue-in-the-dark", "wumpus-role", "frotz-key"
GRAMMAR, BROKEN, NESTED = "zork-grammar", "plugh-broken-line", "thaumaturge-nested"
CONTENT = [PROMPT, ANSWER, ROLE, UNKNOWN, GRAMMAR, BROKEN, NESTED]

# One of every kind; `x` marks what must not be found of it.
SECRETS = {
    "Authorization: Bearer abcdefgh12345678": "abcdefgh12345678",
    "authorization=basic dXNlcjpwYXNzd29yZA==": "dXNlcjpwYXNzd29yZA",
    "password=hunter2hunter2": "hunter2hunter2",
    "api_key: 'k3yk3yk3y'": "k3yk3yk3y",
    "client_secret=s3cr3ts3cr3t": "s3cr3ts3cr3t",
    "token=t0kent0kent0ken": "t0kent0kent0ken",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl": "c2lnbmF0dXJl",
    "sk-0123456789abcdefABCD": "sk-0123456789",
    "sk-proj-Abc_0123456789-abcdefgh": "Abc_0123456789",
    "sk-ant-api03-abcdefghijklmnop": "abcdefghijklmnop",
    "xoxb-1234567890-abcdef": "1234567890-abcdef",
    "ghp_abcdefghij0123456789": "abcdefghij0123456789",
    "github_pat_11ABCDEFG0123456789abcd": "11ABCDEFG0123456789",
    "glpat-abcdefghij0123456789": "glpat-abcdefghij",
    "pat-abcdefghij0123456789": "pat-abcdefghij",
    "thingspat_abcdefghij0123456789": "thingspat_abcdefghij",
    "hf_AbCdEfGhIjKlMnOpQrStUv": "AbCdEfGhIjKlMnOpQrStUv",
    "gsk_AbCdEfGhIjKlMnOpQrStUv": "AbCdEfGhIjKlMnOpQrStUv",
    "AKIAIOSFODNN7EXAMPLE": "IOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPL2": "IOSFODNN7EXAMPL2",
    "AIzaSyA0123456789abcdefghijklmnopqrstuv": "SyA0123456789",
    "https://someone:l0ginl0gin@host.invalid/": "l0ginl0gin",
    "-----BEGIN RSA PRIVATE KEY-----MIIEpAIB": "MIIEpAIB",
}


def written(d):
    """Every byte below the daemon's directory, but for what the test has put there."""
    out = {}
    for path in d.home.rglob("*"):
        if path.is_file() and not path.name.startswith("config.") and not path.is_symlink():
            out[str(path.relative_to(d.home))] = path.read_bytes()
    return out


def assert_absent(d, words):
    files = written(d)
    assert any(name.endswith("inferd.ndjson") for name in files)
    found = [(word, name) for word in words for name, data in files.items()
             if word.encode() in data]
    assert not found, found


def said(d, msg):
    path = d.home / ".inferd" / "logs" / "inferd.ndjson"
    return [e for e in map(json.loads, path.read_text().splitlines()) if e["msg"] == msg]


def send_all(d, lines):
    """Each on a connection of its own, whatever it is answered."""
    for line in lines:
        with d.client() as c:
            c.send(line if isinstance(line, (bytes, str)) else json.dumps(line).encode() + b"\n")
            c.shut()
            while c.receive():
                pass


def user(text):
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("levels", ["info", "trace"])
def test_what_is_said_is_written_nowhere(start, levels):
    d = start("--log-level", levels)
    send_all(d, [
        {"id": "fine", "messages": [{"role": "system", "content": PROMPT},
                                    *user(f"say {ANSWER} {PROMPT}")]},
        {"id": "no-such-role", "messages": [{"role": ROLE, "content": PROMPT}]},
        {"id": "unknown", "messages": user(f"say {ANSWER}"), UNKNOWN: PROMPT},
        {"id": "grammar", "messages": user(f"say {ANSWER}"), "grammar": f"root ::= \"{GRAMMAR}\""},
        {"id": "large", "messages": user("say " + ANSWER + " " + PROMPT * 10000)},
        {"id": "range", "messages": user(PROMPT), "temperature": 99},
        {"id": "type", "messages": PROMPT},
        {"id": "empty", "messages": []},
        {"id": "content", "messages": [{"role": "user", "content": {NESTED: PROMPT}}]},
        {"id": "failed", "messages": user(f"fail internal {PROMPT}")},
        {"id": "nonsense", "messages": user(PROMPT)},
        {"id": PROMPT + " with blanks", "messages": user("say x")},
        {"id": PROMPT + "\n" + ROLE, "messages": user("say x")},
        {"id": PROMPT * 10, "messages": user("say x")},
        {"id": {NESTED: 1}, "messages": user("say x")},
        f'{{"{BROKEN}": {PROMPT}\n', f"{BROKEN}\n", b'{"id":"' + BROKEN.encode() + b'\xff"}\n',
        b'{"messages":"' + BROKEN.encode() + b'\0"}\n', "[" * 100 + BROKEN + "\n",
        f'{{"id":"a","{BROKEN}":1,"{BROKEN}":2}}\n', f'{{"half":"{BROKEN}',
    ])
    with d.client() as c:                      # in the middle of its answer
        c.ask("gone", f"babble 100000 20 {PROMPT}")
        c.receive()
    with d.client() as c:
        c.ask("crash", f"crash SEGV {PROMPT}")
        while c.receive()["type"] not in ("done", "error"):
            pass
    d.stop()
    assert_absent(d, CONTENT)
    assert {"fine", "large"} <= {e["req_id"] for e in said(d, "request_done")}
    assert {"range", "empty"} <= {e.get("req_id") for e in said(d, "request_refused")}


def test_secrets_in_what_is_written(start):
    """Ids are written, and so are names of executables."""
    d = start()
    for i, secret in enumerate(SECRETS):
        with d.client() as c:
            c.ask(secret, f"say {secret.replace(' ', '_')}")
            c.frames(secret)
    d.stop()
    assert_absent(d, SECRETS.values())
    assert len(said(d, "request_done")) == len(SECRETS)
    ids = [e["req_id"] for e in said(d, "request_done")]
    assert sum("[REDACTED:" in i for i in ids) >= 10, ids    # those that are plain ids


def test_secrets_on_the_command_line_and_in_the_environment(start, tmp):
    env = {**os.environ, "HOME": str(tmp), "TMPDIR": str(tmp),
           "HF_TOKEN": "hf_EnvironmentAbCdEfGhIj", "INFERD_API_KEY": "c0rrecth0rse"}
    d = start(env=env)
    for pid in (d.pid, d.engine()):
        try:
            assert b"c0rrecth0rse" not in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        except PermissionError:
            pass  # nor does it let others of its user look
    with d.client() as c:
        c.ask("1", "say x")
        c.answer("1")
    d.stop()
    for path in [*tmp.rglob("*"), d.stderr_path]:
        if path.is_file():
            data = path.read_bytes()
            assert b"EnvironmentAbCdEfGhIj" not in data and b"c0rrecth0rse" not in data, path
    assert (tmp / ".inferd" / "logs" / "inferd.ndjson").exists()


def test_secrets_in_the_address_of_a_model(start, tmp):
    """A fetch that fails says why, not with which key."""
    url = "https://someone:l0ginl0gin@127.0.0.1:1/model.gguf?token=qu3ryqu3ryqu3ry"
    d = start(config={"models_home": str(tmp / "models"), "backends": [
        {"kind": "llamacpp", "name": "far", "model": {
            "name": "far", "sha256": "0" * 64, "source_url": url}}]}, ready=False)
    assert d.wait() != 0
    assert d.stderr()
    assert_absent(d, ["l0ginl0gin", "qu3ryqu3ryqu3ry"])


def test_a_configuration_that_is_wrong_is_quoted_without_its_keys(start):
    d = start(config={"backends": [SCRIPTED], "password=hunter2hunter2": 1}, ready=False)
    assert d.wait() != 0
    assert "hunter2" not in d.stderr() and "REDACTED" in d.stderr()


def test_a_name_moves_no_cursor(start):
    d = start(config={"backends": [{**SCRIPTED, "name": "a\u001b[2Jb\nc"}]}, ready=False)
    until(lambda: "info: ready" in d.stderr() or d.process.poll() is not None, "a start or an end")
    data = d.stderr_path.read_bytes()
    assert b"\x1b" not in data
    assert all(line.startswith(b"20") for line in data.splitlines())
    if d.process.poll() is not None:
        d.wait()
