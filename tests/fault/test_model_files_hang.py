"""Models that are damaged in a thousand places; test_model_files.py says how."""
import pytest

from model_files import Model, cut_short, flip_bits


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(tmp_path_factory.mktemp("model"))


def test_a_thousand_bits_that_flip_in_the_header(model):
    assert 100 < flip_bits(model, 1000) < 900


def test_two_hundred_files_that_are_cut_short(model):
    cut_short(model, 200)
