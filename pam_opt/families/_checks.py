"""Checks of what families are asked for: every refusal says what, where and what to do."""

import math
from collections.abc import Sequence

from pam_opt.errors import ConfigError


def check_widths(widths: Sequence[int], count: int | None = None) -> None:
    """Refuse anything but a list of numbers of units, `count` of them where it is given.

    Raises
    ------
    ConfigError : no list, no whole numbers of at least 1, or the wrong number of them
    """
    if not isinstance(widths, Sequence) or isinstance(widths, str):
        raise ConfigError(f"widths {widths!r} must be a list of numbers of units")
    if any(not _is_count(width) for width in widths):
        raise ConfigError(f"widths {list(widths)}: every layer needs a whole number of units, at least 1")
    if count is not None and len(widths) != count:
        raise ConfigError(f"widths {list(widths)}: this family has {count} hidden layers")


def check_count(name: str, value: int) -> None:
    """Refuse anything but a whole number of at least 1.

    Raises
    ------
    ConfigError : says which option it is
    """
    if not _is_count(value):
        raise ConfigError(f"{name} {value!r} must be a whole number, at least 1")


def check_flag(name: str, value: bool) -> None:
    """Refuse anything but true and false.

    Raises
    ------
    ConfigError : says which option it is
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} {value!r} must be true or false")


def check_probability(name: str, value: float) -> None:
    """Refuse anything but a number from 0 to 1.

    Raises
    ------
    ConfigError : says which option it is
    """
    if not _is_number(value) or not 0 <= value <= 1:
        raise ConfigError(f"{name} {value!r} must be a probability, from 0 to 1")


def chosen_widths(default: Sequence[int], width: float, widths: Sequence[int] | None) -> list[int]:
    """Return `widths` where they are given, otherwise the default ones times `width`: whole units, at least 1.

    Raises
    ------
    ConfigError : impossible widths, a multiplier that is no finite number above 0, or both
    """
    if not _is_number(width) or not 0 < width < math.inf:
        raise ConfigError(f"width {width!r} multiplies all numbers of units; give a number above 0, such as 0.5")
    if widths is None:
        return [max(1, round(units * width)) for units in default]
    check_widths(widths, len(default))
    if width != 1:
        raise ConfigError(f"width {width!r} beside widths {list(widths)}: give one of the two")
    return list(widths)


def image_shape(input_shape: Sequence[int], least: int) -> tuple[int, int, int]:
    """Return (channels, height, width) after checking that strides and pooling leave something of the image.

    Raises
    ------
    ConfigError : no image, or one of fewer than `least` x `least` pixels
    """
    if len(input_shape) != 3 or min(input_shape[1:]) < least:
        raise ConfigError(
            f"input shape {tuple(input_shape)}: this family takes images of at least {least} x {least} pixels; use "
            "another family, or a larger image_size"
        )
    channels, height, width = input_shape
    return channels, height, width


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
