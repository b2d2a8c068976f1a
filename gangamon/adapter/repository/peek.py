"""What a subjob's XML says, without making an object of it: 0.1 ms instead of 2.5."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Attributes of the subjob itself and of its parts stand at fixed indentations, a value is a repr
#: on one line, and what a user wrote is escaped (VStreamer.py:142-260, 8.7.12). The patterns begin
#: with a newline and not with ``^``: for a literal prefix ``re`` searches ten times as fast.
_STATUS = re.compile(r'\n    <attribute name="status"> \n        <value>\'(\w+)\'</value>(?=\n)')
_ATTEMPT = re.compile(
    f'\n{" " * 13}<attribute name="submit_counter"> \n{" " * 17}'
    r"<value>(\d+)</value>(?=\n)"
)
_APPLICATION = re.compile(
    r'\n    <attribute name="application">\n +<class name="(\w+)" [^>]*category="applications">'
    r"(?=\n)"
)
_PART = r'\n    <attribute name="{}">\n(.*?)\n    </attribute>(?=\n)'
_POSTPROCESSORS = re.compile(_PART.format("postprocessors"), re.S)
_CLASS = re.compile(r'<class name="(\w+)"')
_EMPTY = tuple(
    f'    <attribute name="{name}">\n       <sequence>\n       </sequence>\n    </attribute>\n'
    for name in ("outputfiles", "non_copyable_outputfiles")
)

#: Of these only the master's does something (IMerger.py:76, 8.7.12).
_IDLE = {"MultiPostProcessor", "TextMerger"}


@dataclass(frozen=True)
class Peek:
    """``attempt``: Ganga's submit counter. ``application``: the name of its class. ``plain``: it
    has no output files and no postprocessors that could make something else of its end."""

    status: str
    attempt: int
    application: str
    plain: bool


def peek(text: str) -> Peek | None:
    """None: this is not what Ganga 8.7.12 writes of a subjob, it must be loaded."""
    status, attempts = _STATUS.findall(text), _ATTEMPT.findall(text)
    applications, processors = _APPLICATION.findall(text), _POSTPROCESSORS.findall(text)
    if not all(len(found) == 1 for found in (status, attempts, applications, processors)):
        return None
    if not text.rstrip().endswith("</root>"):
        return None
    plain = all(part in text for part in _EMPTY)
    plain = plain and set(_CLASS.findall(processors[0])) <= _IDLE
    return Peek(status[0], int(attempts[0]), applications[0], plain)
