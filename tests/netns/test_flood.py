"""A site forms under a flood of forged mDNS, and its agents stay within their memory. `make flood` lasts longer."""

from __future__ import annotations

from tests.netns.flood import MAX_GROWTH_MIB, flood
from tests.netns.namespaces import Lab


def test_forged_services_neither_stop_formation_nor_fill_memory(machines: Lab) -> None:
    outcome = flood(machines, 10.0)
    assert outcome.forged_per_minute >= 10_000
    assert outcome.passed >= outcome.forged["sent"], "the switch lost them"
    odd = {"goodbye", "renamed", "long_lived", "pointer", "question", "bomb", "rubbish", "huge"}
    assert odd <= outcome.forged.keys()
    assert all(outcome.cut[:2]), "the agents noticed nothing"
    assert outcome.founders == (1, 1, 1)
    assert outcome.growth_mib < MAX_GROWTH_MIB
