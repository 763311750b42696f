"""What a method says instead of a network."""


class NotApplicable(Exception):
    """The method is not made for the task; the message says why."""
