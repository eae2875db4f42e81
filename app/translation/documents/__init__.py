"""Texts and files as sequences of chunks: what is for the model, and what is kept as it is. Knows no model."""
