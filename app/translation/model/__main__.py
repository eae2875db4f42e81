"""``python3 -m model`` starts the server."""

from .server import main

if __name__ == "__main__":
    main()
