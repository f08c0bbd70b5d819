"""A site forms under a flood of forged mDNS, and its agents stay within their memory. `make flood` lasts longer."""

from __future__ import annotations

from tests.netns.flood import MAX_RSS_MIB, flood
from tests.netns.namespaces import Lab


def test_forged_services_neither_stop_formation_nor_fill_memory(machines: Lab) -> None:
    outcome = flood(machines, 10.0)
    assert outcome.forged_per_minute >= 10_000
    assert outcome.passed >= outcome.forged["sent"]
    assert {"goodbye", "renamed", "long_lived", "question", "bomb", "rubbish"} <= outcome.forged.keys()
    assert outcome.founders == (1, 1, 1)
    assert max(outcome.peak_rss_mib) < MAX_RSS_MIB
