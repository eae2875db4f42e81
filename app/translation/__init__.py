"""The reference workload: translates texts with Ollama. Nothing outside this package knows of it but the registry."""
