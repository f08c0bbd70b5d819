"""The node side of Trivet: turns a seed into a running cluster, and keeps it that way."""
