"""Shapes on the command line."""

from pam_opt.errors import ConfigError


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """Read the shape of one sample, such as ``1,28,28``.

    Raises
    ------
    ConfigError : anything but whole numbers with commas between
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as err:
        raise ConfigError(f"--input-shape {text!r} is not a shape; write numbers like 1,28,28") from err
