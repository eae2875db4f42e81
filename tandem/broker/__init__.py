"""Messages in Redis: where each one is, and the scripts that move them."""
