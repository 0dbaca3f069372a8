"""mkmodel: models with random weights.  What is in the file is read here; whether it
works is what libllama says, asked through mkmodel-probe."""
import os
import resource
import stat
import struct
import subprocess

import pytest

from daemon import BIN, FACTOR

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
           12: "d"}
STRING, ARRAY = 8, 9

# Bytes that a row of n numbers takes, by the type's number in a GGUF file.
ROW_BYTES = {0: lambda n: 4 * n, 1: lambda n: 2 * n, 8: lambda n: n // 32 * 34}


class Gguf:
    """Metadata in `keys`, tensors as name -> (dimensions, type, offset), the rest raw."""

    def __init__(self, path):
        self.bytes = path.read_bytes()
        assert self.bytes[:4] == b"GGUF"
        self.at = 4
        version, n_tensors, n_keys = self.take("I"), self.take("Q"), self.take("Q")
        assert version == 3
        self.keys = {}
        for _ in range(n_keys):
            name = self.string()
            self.keys[name] = self.value(self.take("I"))
        self.tensors = {}
        for _ in range(n_tensors):
            name = self.string()
            dimensions = [self.take("Q") for _ in range(self.take("I"))]
            self.tensors[name] = (dimensions, self.take("I"), self.take("Q"))
        self.data = -(-self.at // 32) * 32

    def row(self, name, number):
        """One row of a tensor of type f32."""
        dimensions, kind, offset = self.tensors[name]
        assert kind == 0
        at = self.data + offset + 4 * dimensions[0] * number
        return struct.unpack_from(f"<{dimensions[0]}f", self.bytes, at)

    def take(self, form):
        value, = struct.unpack_from("<" + form, self.bytes, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def string(self):
        n = self.take("Q")
        self.at += n
        return self.bytes[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            kind, n = self.take("I"), self.take("Q")
            return [self.value(kind) for _ in range(n)]
        return self.take(SCALARS[kind])


def run(program, *args, **more):
    return subprocess.run([BIN / program, *map(str, args)], capture_output=True, text=True,
                          timeout=60 * FACTOR, **more)


@pytest.fixture
def mkmodel(tmp):
    """mkmodel(flags…) makes a model and says where it is."""
    count = 0

    def make(*flags):
        nonlocal count
        count += 1
        path = tmp / f"{count}.gguf"
        done = run("mkmodel", "--out", path, *flags)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return path

    return make


def probe(path, text="The quick brown fox", count=8):
    """What libllama says about a model, as a dictionary."""
    done = run("mkmodel-probe", path, text, count)
    assert done.returncode == 0, done.stderr
    facts = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert facts["finite"] == "1"
    return facts


# --- what is in the file ----------------------------------------------------------


def test_the_flags_are_the_shape(mkmodel):
    model = Gguf(mkmodel("--layers", 3, "--width", 96, "--heads", 6, "--kv-heads", 2,
                         "--ffn", 160, "--context", 777, "--name", "A name"))
    want = {
        "general.architecture": "llama",
        "general.name": "A name",
        "llama.block_count": 3,
        "llama.embedding_length": 96,
        "llama.attention.head_count": 6,
        "llama.attention.head_count_kv": 2,
        "llama.feed_forward_length": 160,
        "llama.context_length": 777,
        "llama.vocab_size": 259,
    }
    assert {name: model.keys[name] for name in want} == want
    assert len(model.tensors) == 3 * 9 + 3
    assert model.tensors["blk.2.attn_k.weight"][0] == [96, 32]
    assert model.tensors["blk.0.ffn_down.weight"][0] == [160, 96]


@pytest.mark.parametrize("kind, number", [("f32", 0), ("f16", 1), ("q8_0", 8)])
def test_the_file_ends_where_the_last_tensor_ends(mkmodel, kind, number):
    model = Gguf(mkmodel("--type", kind))
    dimensions, tensor_type, offset = model.tensors["output.weight"]
    assert tensor_type == number
    size = ROW_BYTES[number](dimensions[0]) * dimensions[1]
    assert len(model.bytes) == -(-(model.data + offset + size) // 32) * 32


def test_the_same_seed_gives_the_same_file(mkmodel):
    one, again, other = mkmodel("--seed", 7), mkmodel("--seed", 7), mkmodel("--seed", 8)
    assert one.read_bytes() == again.read_bytes()
    a, b = Gguf(one), Gguf(other)
    assert a.keys == b.keys and a.tensors == b.tensors
    assert a.bytes[a.data:] != b.bytes[b.data:]


def test_a_preset_gives_way_to_flags_on_both_sides(mkmodel):
    before = mkmodel("--layers", 1, "--preset", "135m", "--vocab", "bytes")
    behind = mkmodel("--preset", "135m", "--vocab", "bytes", "--layers", 1)
    assert before.read_bytes() == behind.read_bytes()
    keys = Gguf(before).keys
    assert keys["llama.block_count"] == 1 and keys["llama.embedding_length"] == 576


def test_a_token_per_byte_and_three_more(mkmodel):
    keys = Gguf(mkmodel()).keys
    tokens = keys["tokenizer.ggml.tokens"]
    assert len(set(tokens)) == 259
    assert tokens[ord("A")] == "A" and tokens[ord(" ")] == "\u0120" and tokens[0] == "\u0100"
    assert tokens[256:] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert keys["tokenizer.ggml.token_type"] == [1] * 256 + [3] * 3


# --- chat templates ---------------------------------------------------------------


def template(path):
    return Gguf(path).keys.get("tokenizer.chat_template")


def test_a_vocabulary_without_template_gets_chatml(mkmodel):
    assert "<|im_start|>assistant" in template(mkmodel())
    assert "<|im_start|>assistant" in template(mkmodel("--vocab", "starcoder"))


def test_a_vocabulary_keeps_its_own_template(mkmodel):
    own = template(mkmodel("--vocab", "phi-3"))
    assert "<|assistant|>" in own and "im_start" not in own
    assert "im_start" in template(mkmodel("--vocab", "phi-3", "--template", "chatml"))


def test_a_template_can_come_from_a_file_or_be_left_out(mkmodel, tmp):
    (tmp / "t").write_text("{{ messages[0].content }} ä")
    assert template(mkmodel("--template", tmp / "t")) == "{{ messages[0].content }} ä"
    assert template(mkmodel("--vocab", "phi-3", "--template", "none")) is None


# --- whether it works -------------------------------------------------------------


@pytest.mark.parametrize("text", [
    "a", "  two  spaces \n\t and a tab", "grüße, 日本, 🦊", "<|im_middle|>",
    "\x01\x7f" + "".join(map(chr, range(0x80, 0x180)))])
def test_any_text_survives_the_byte_vocabulary(mkmodel, text):
    facts = probe(mkmodel(), text, 1)
    assert facts["text"] == "1"
    assert facts["tokens"] == str(len(text.encode()))


def test_control_tokens_are_single_tokens(mkmodel):
    facts = probe(mkmodel(), "<|im_start|>user\nhi<|im_end|><|endoftext|>", 1)
    assert facts["tokens"] == str(1 + len("user\nhi") + 2)


@pytest.mark.parametrize("kind", ["f32", "f16", "q8_0"])
def test_logits_lie_as_far_apart_as_asked(mkmodel, kind):
    for scale in (0.5, 1, 8):
        spread = float(probe(mkmodel("--type", kind, "--scale", scale))["spread"])
        assert 0.7 * scale < spread < 1.3 * scale


def test_depth_does_not_drown_what_the_embedding_said(mkmodel):
    """Seen by the constant feature: all else grows beside it if layers add too much."""
    facts = probe(mkmodel("--layers", 60, "--end-tokens", "unreachable"))
    assert float(facts["margin"]) > 4000


@pytest.mark.parametrize("flags", [
    ("--type", "f32"), ("--type", "f16"), ("--type", "q8_0"), ("--layers", "40"),
    ("--scale", "16"), ("--width", "1024", "--layers", "1"),
    ("--vocab", "starcoder"), ("--vocab", "llama-spm", "--type", "f16")])
def test_unreachable_end_tokens_never_come_near(mkmodel, flags):
    """At temperature 2 a distance of 208 makes a probability of zero in single precision."""
    text = "Nothing that was said before changes it. <|im_end|> " * 4
    path = mkmodel("--end-tokens", "unreachable", *flags)
    assert float(probe(path, text, 32)["margin"]) > 1000


def test_nothing_writes_to_the_constant_feature(mkmodel):
    """What keeps the promise above for prompts that no test has tried."""
    model = Gguf(mkmodel("--type", "f32", "--layers", 3))
    for name in model.tensors:
        if name.endswith(("attn_output.weight", "ffn_down.weight")):
            assert not any(model.row(name, 0)) and any(model.row(name, 1)), name
    assert {model.row("token_embd.weight", token)[0] for token in range(259)} == {4.0}


def test_reachable_end_tokens_are_tokens_like_others(mkmodel):
    assert abs(float(probe(mkmodel())["margin"])) < 10


def test_the_answer_depends_on_all_of_the_prompt(mkmodel):
    path = mkmodel("--type", "f32")
    rest = "his is a sentence about nothing."
    said = {probe(path, first + rest, 32)["said"] for first in "TthwXQ?!"}
    assert len(said) >= 6


# --- what can go wrong ------------------------------------------------------------


@pytest.mark.parametrize("flags, words", [
    ((), ["--out FILE"]),
    (("--out",), ["--out", "FILE"]),
    (("--colour", "red"), ["--colour"]),
    (("--layers", "0"), ["--layers", "'0'", "from 1 to 1000"]),
    (("--layers", "1001"), ["--layers", "'1001'", "from 1 to 1000"]),
    (("--layers", "two"), ["--layers", "'two'"]),
    (("--seed", "18446744073709551616"), ["--seed", "64 bits"]),
    (("--scale", "nan"), ["--scale", "'nan'", "0.01 to 16"]),
    (("--type", "q4_0"), ["--type", "'q4_0'", "f32, f16 or q8_0"]),
    (("--end-tokens", "maybe"), ["--end-tokens", "'maybe'"]),
    (("--preset", "7b"), ["--preset", "'7b'", "tiny or 135m"]),
    (("--out", "x", "--heads", "3"), ["--width 64", "--heads 3"]),
    (("--out", "x", "--heads", "64", "--kv-heads", "1"), ["--heads 64", "even"]),
    (("--out", "x", "--kv-heads", "3"), ["--heads 4", "--kv-heads 3"]),
    (("--out", "x", "--width", "48"), ["--width 48", "32", "q8_0"]),
    (("--out", "x", "--ffn", "100"), ["--ffn 100", "32", "q8_0"]),
])
def test_a_wrong_flag_is_named_with_its_limit(tmp, flags, words):
    done = run("mkmodel", *flags, cwd=tmp)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("mkmodel: ") and done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words), done.stderr
    assert os.listdir(tmp) == []


@pytest.mark.parametrize("flags, word", [
    (("--vocab", "klingon"), "ggml-vocab-klingon.gguf"),
    (("--template", "/nowhere/t"), "/nowhere/t"),
])
def test_a_missing_file_is_named(tmp, flags, word):
    done = run("mkmodel", "--out", tmp / "m", *flags)
    assert done.returncode == 1 and word in done.stderr
    assert os.listdir(tmp) == []


def test_a_full_disk_leaves_the_old_file_as_it_was(tmp):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    (tmp / "m").write_text("old")
    done = run("mkmodel", "--out", tmp / "m", preexec_fn=small_files)
    assert done.returncode == 1 and "File too large" in done.stderr
    assert os.listdir(tmp) == ["m"] and (tmp / "m").read_text() == "old"


def test_what_is_no_regular_file_stays(tmp):
    os.mkfifo(tmp / "pipe")
    done = run("mkmodel", "--out", tmp / "pipe")
    assert done.returncode == 1 and "no regular file" in done.stderr
    assert stat.S_ISFIFO(os.stat(tmp / "pipe").st_mode)


def test_help_names_every_flag():
    done = run("mkmodel", "--help")
    assert done.returncode == 0 and done.stderr == ""
    for flag in ("--out", "--preset", "--end-tokens", "--template", "--help"):
        assert f"  {flag} " in done.stdout
