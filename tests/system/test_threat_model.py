"""docs/threat-model.md names files and tests: each of them exists."""
import re

import pytest

from daemon import ROOT

TEXT = (ROOT / "docs" / "threat-model.md").read_text()
ENTRIES = re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", TEXT, re.M | re.S)
NAMED = sorted(set(re.findall(r"`([\w./-]+/[\w.-]+\.\w+|scripts/\w+)(?:::(\w+))?`", TEXT)))


@pytest.mark.parametrize("path,test", NAMED, ids=["::".join(filter(None, n)) for n in NAMED])
def test_what_is_named_exists(path, test):
    file = ROOT / path
    assert file.exists()
    if test:
        define = r"^def {}\(" if path.endswith(".py") else r"^static void {}\(void"
        assert re.search(define.format(test), file.read_text(), re.M)


@pytest.mark.parametrize("title,body", ENTRIES, ids=[t for t, _ in ENTRIES])
def test_every_threat_has_an_answer_that_is_proved(title, body):
    assert ("held by:" in body and "proved by:" in body) or "[not held yet](#not-held-yet)" in body


def test_every_threat_of_the_reference_is_there():
    titles = [t.split()[0] for t, _ in ENTRIES]
    assert [t for t in titles if t.startswith("F-")] == [f"F-{i}" for i in range(1, 18)]
