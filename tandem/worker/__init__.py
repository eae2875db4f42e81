"""The worker process: claims messages, runs their actors, and is replaced when it reaches a limit."""
