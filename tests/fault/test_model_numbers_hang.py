"""Models with every number of their header replaced by one that can't be."""
import pytest

from model_files import ABSURD, Model


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
