"""Translations over HTTP: their routes, how the API's document describes them, and the page that uses them."""
