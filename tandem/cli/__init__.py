"""The command `queue`."""
