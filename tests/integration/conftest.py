"""What tests of all parts begin with."""

import pytest

from tests.integration.workers.conftest import Story
from workers.resources import Resources


@pytest.fixture
def story(resources: Resources) -> Story:
    """A fresh start with `digits` enrolled."""
    return Story(resources)
