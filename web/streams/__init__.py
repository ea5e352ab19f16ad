"""The feed on the wire: one hub, and a stream for each client."""
