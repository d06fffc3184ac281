"""How the program is launched: its options, and what stands beside them."""

from invoke.launch.options import (
    OFF,
    OPTIONS,
    EditingKeys,
    Option,
    Preview,
    check_value,
    find_option,
    find_twin,
    spelled,
    usage,
)
from invoke.launch.words import Launch, read_arguments

__all__ = [
    "OFF",
    "OPTIONS",
    "EditingKeys",
    "Launch",
    "Option",
    "Preview",
    "check_value",
    "find_option",
    "find_twin",
    "read_arguments",
    "spelled",
    "usage",
]
