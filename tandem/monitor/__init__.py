"""The program `monitor`: checks, alerts and heartbeats."""
