"""Translate one chunk: ask the model, check its answer, ask again. Independent of the queue and the store."""
