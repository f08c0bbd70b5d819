"""The room of storage domains: the Registrar protocol and its backends."""
