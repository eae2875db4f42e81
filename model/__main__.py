"""``python3 -m model`` starts the server."""

from model.server import main

if __name__ == "__main__":
    main()
