"""OmegaConf takes any whole number for true; here 0 and 1 are the only ones, in every group."""

from typing import Any

from omegaconf import BooleanNode
from omegaconf.errors import ValidationError

_convert = BooleanNode._validate_and_convert_impl


def refuse_other_numbers() -> None:
    """Have every boolean of a configuration refuse numbers but 0 and 1, which may be written as text too."""
    BooleanNode._validate_and_convert_impl = _converted  # type: ignore[method-assign, assignment]


def _converted(node: BooleanNode, value: Any) -> bool:
    text = str(value).strip()
    if text.lstrip("+-").isdecimal() and text not in ("0", "1"):
        raise ValidationError("Value '$VALUE' is not a valid bool (type $VALUE_TYPE)")
    return _convert(node, value)
