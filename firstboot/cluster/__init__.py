"""The room of the cluster: discovery, admission, founder, formation."""
