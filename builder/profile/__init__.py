"""The room of profile: YAML to a typed Profile and a complete plan."""
