"""The reference workload: translates texts with Ollama. Only the registry refers to this package."""
