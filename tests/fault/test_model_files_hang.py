"""Models that are damaged in a thousand places; test_model_files.py says how."""
import pytest

from model_files import ABSURD, Model, cut_short, flip_bits


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(tmp_path_factory.mktemp("model"))


def test_a_thousand_bits_that_flip_in_the_header(model):
    assert 100 < flip_bits(model, 1000) < 900


def test_two_hundred_files_that_are_cut_short(model):
    cut_short(model, 200)


@pytest.mark.parametrize("memory", ["all", "window", "state"])
def test_every_number_that_can_not_be(tmp_path_factory, memory):
    """But for one that llama.cpp insists on for one architecture, in its own way."""
    model = Model(tmp_path_factory.mktemp(memory), "--memory", memory)
    numbers = list(model.numbers())
    assert len(numbers) > 10
    for name, form, at in numbers:
        for value in ABSURD[form]:
            if (name, value) == ("granite_swa.rope.dimension_count", 2):
                continue
            try:
                model.outcome(model.with_number(form, at, value))
            except Exception as why:
                raise AssertionError(f"{name} as {value}") from why
