"""Unit tests of the lab: no root, no network, no processes."""
