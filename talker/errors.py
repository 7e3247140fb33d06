"""The one kind of error a user reads: a sentence that says what is wrong and what to do."""


class TalkerError(ValueError):
    """Bad input. The message is one clear sentence; entry points print it and exit with code 2."""
