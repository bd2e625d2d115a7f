"""A value that is one of a few words."""

from __future__ import annotations

from tilewise.errors import SettingError


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise SettingError(
            f"{option} {value}", f"one of {', '.join(choices)}", f"Give one of them, or leave {option} out."
        )
