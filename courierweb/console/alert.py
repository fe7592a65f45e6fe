"""What the home page puts before an administrator."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that needs a person, with the one thing to do about it."""

    tone: str
    text: str
    link: str
    button: str
