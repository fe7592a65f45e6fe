"""What a stranger wrote, fit for a reply, a header or the log."""


def printable(text: str, limit: int) -> str:
    """At most `limit` characters of printable ASCII; each other one becomes "?"."""
    return "".join(char if " " <= char <= "~" else "?" for char in text[:limit])
