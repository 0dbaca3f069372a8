"""Models that are damaged, a few; test_model_files_hang.py has many."""
import struct

import pytest

from model_files import Model, cut_short, flip_bits


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(tmp_path_factory.mktemp("model"))


def test_it_is_whole(model):
    assert model.outcome(model.bytes) == "ready"


def test_bits_that_flip_in_the_header(model):
    assert flip_bits(model, 60) < 60


def test_files_that_are_cut_short(model):
    cut_short(model, 20)


@pytest.mark.parametrize("key, value", [
    ("llama.block_count", 0), ("llama.block_count", 1 << 31), ("llama.block_count", 500),
    ("llama.embedding_length", 0), ("llama.embedding_length", 1 << 20),
    ("llama.attention.head_count", 0), ("llama.attention.head_count", 65536),
    ("llama.attention.head_count_kv", 0), ("llama.attention.head_count_kv", 3),
    ("llama.feed_forward_length", 0), ("llama.feed_forward_length", 1 << 24),
    ("llama.context_length", 0), ("llama.context_length", 0xFFFFFFFF),
    ("llama.rope.dimension_count", 0), ("llama.rope.dimension_count", 65536),
    ("llama.attention.layer_norm_rms_epsilon", float("nan")),
    ("tokenizer.ggml.bos_token_id", 0xFFFFFFFF), ("tokenizer.ggml.eos_token_id", 1 << 30),
])
def test_numbers_that_can_not_be(model, key, value):
    form, at = next((form, at) for name, form, at in model.numbers() if name == key)
    model.outcome(model.with_number(form, at, value))


@pytest.mark.parametrize("at, count", [(8, 1 << 63), (16, 1 << 63), (8, 20000), (16, 5000)])
def test_counts_that_can_not_be(model, at, count):
    damaged = bytearray(model.bytes)
    struct.pack_into("<Q", damaged, at, count)
    assert "claims" in model.outcome(damaged)
