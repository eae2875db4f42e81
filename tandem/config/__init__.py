"""Settings: reading, validation and output."""
