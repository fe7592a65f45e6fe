"""What tests of site filters share."""

from collections.abc import Iterator

import pytest

from mta.filters.base import FilterContext
from mta.models import Settings
from tests.filters.site.asking import appliance_context


@pytest.fixture
def context(transactional_db: None) -> Iterator[FilterContext]:
    """That of an appliance with the settings that it comes with."""
    Settings.load()
    with appliance_context() as context:
        yield context
