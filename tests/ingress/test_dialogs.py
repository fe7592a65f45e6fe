"""The dialogs of tests/data/dialogs, spoken with a real ingress."""

from pathlib import Path

import pytest

from tests.support.smtp_session import play

DIALOGS = sorted((Path(__file__).parents[1] / "data" / "dialogs").glob("*.dialog"))


@pytest.mark.parametrize("script", DIALOGS, ids=[path.stem for path in DIALOGS])
def test_dialog(script, ingress):
    play(script, ingress)
