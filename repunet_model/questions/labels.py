"""Labels: what a prompt set calls the options of closed choices, and roles.

A model is shown labels, in the prompt and in the schema, and replies with them. What is stored, and what the rest of
the package reads, are the values of the enumerations. `Question.read` turns labels back into values by `in_values`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a prompt set; without one a value is its own label.

    Attributes:
        options: Labels by value, by the name of the enumeration, as in {"Move": {"cooperate": "A"}}.
        roles: Labels of roles by name.
    """

    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)

    def of(self, member: Enum) -> str:
        """Return the label of an option."""
        return self.of_value(type(member), member.value)

    def of_value(self, kind: type[Enum], value: str) -> str:
        """Return the label of the option with a value."""
        return self.options.get(kind.__name__, {}).get(value, value)

    def of_role(self, role: str) -> str:
        """Return the label of a role."""
        return self.roles.get(role, role)

    def in_values(self, text: str, choices: Mapping[str, type[Enum]]) -> str:
        """Return a JSON reply with values of enumerations in place of their labels.

        Args:
            text: The reply.
            choices: The enumerations by field of the reply.

        Raises:
            ValueError: If a choice is none of the labels; the message has one line, which names the labels.
        """
        labelled = {name: kind for name, kind in choices.items() if kind.__name__ in self.options}
        if not labelled:
            return text
        try:
            data: Any = json.loads(text)
        except (ValueError, RecursionError):
            return text  # The question says what is wrong with it.
        if not isinstance(data, dict):
            return text
        for name, kind in labelled.items():
            if name in data:
                values = {self.of(member): member.value for member in kind}
                if not isinstance(data[name], str) or data[name] not in values:
                    raise ValueError(f"{name}: must be one of {', '.join(values)}")
                data[name] = values[data[name]]
        return json.dumps(data)


PLAIN = Labels()
"""Every option and role under its own name."""
