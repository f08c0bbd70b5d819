"""Tests of the node agent's core."""
