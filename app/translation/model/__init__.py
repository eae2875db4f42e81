"""Tandem's offline model: a small server that speaks Ollama's native API and translates with Apertium.

It is the embedded default, so that real translations need no download of gigabytes. A real Ollama can take
its place without a change of the prompt. Start it with ``python3 -m model``; it needs the standard library
only.
"""
