"""The queue id as people see it: the 63-bit message id in 13 letters and digits.

Lower-case Crockford base 32: no i, l, o or u, so that it can be read out on the telephone.
"""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {char: value for value, char in enumerate(_ALPHABET)}
_VALUES.update({"i": 1, "l": 1, "o": 0})
LENGTH = 13
_SHIFTS = range(5 * (LENGTH - 1), -1, -5)


def encode_queue_id(number: int) -> str:
    return "".join([_ALPHABET[(number >> shift) & 31] for shift in _SHIFTS])


def decode_queue_id(text: str) -> int:
    """The message id. Raises ValueError when the text is not a queue id."""
    text = text.strip().lower()
    if len(text) != LENGTH or any(char not in _VALUES for char in text):
        raise ValueError(f"{text!r} is not a queue id")
    number = 0
    for char in text:
        number = number << 5 | _VALUES[char]
    if number >= 1 << 63:
        raise ValueError(f"{text!r} is not a queue id")
    return number
