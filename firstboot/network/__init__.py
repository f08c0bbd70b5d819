"""The room of the network: addresses, bridge, names."""
