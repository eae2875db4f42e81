"""The commands of `queue` that operate it; each file is one, loaded when it is called."""
