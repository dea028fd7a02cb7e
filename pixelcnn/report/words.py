"""Human-readable numbers."""

from collections.abc import Sequence


def count(number: int) -> str:
    """53,659,080."""
    return f"{number:,}"


def duration(seconds: float) -> str:
    """The two largest units of a time span: 2 d 3 h, 1 h 44 min, 1 min 44 s, 5.2 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min {whole % 60} s"


def label_in_words(label: int, names: Sequence[str] | None) -> str:
    """The class's name, or its number if it has none."""
    return names[label] if names is not None and 0 <= label < len(names) else str(label)


def plural(number: int, noun: str) -> str:
    """1 step, 2 steps."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"
