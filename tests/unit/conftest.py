"""Settings of every unit test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine is slow; how long an example takes is no property of the code.
settings.register_profile("trivet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("trivet")
