"""Real boots of the real image, looked at from outside: consoles, ports, ssh."""
