"""What an actor raises to say how its failure is to be treated."""


class PermanentError(Exception):
    """A failure that no retry can mend: the message becomes a dead letter at once."""
