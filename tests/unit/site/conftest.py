"""A site folder on disk for the tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.site.folder import Site, create_site
from tests.unit.site.seeds import small_plan


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return create_site(tmp_path / "sites" / "trio", "trio", small_plan())
