"""Small utilities for all packages. They import only the standard library and certifi."""
