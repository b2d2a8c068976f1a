"""Run by a Ganga that was started for it: calls a merger's ``mergefiles``. Nothing of gangamon.

``REQUEST`` names a json file: plugin, attributes by name, inputs, output, and where the answer is
to be put, json too: ``begun``, and ``done`` or ``error`` and ``trace``; else ``left``, a reason.
"""

from __future__ import annotations

import json
import os
import traceback
from typing import Any

from GangaCore.GPIDev.Adapters.IPostProcessor import PostProcessException
from GangaCore.Utility.Plugin import allPlugins

with open(globals()["REQUEST"]) as _file:
    request: dict[str, Any] = json.load(_file)


def answer(**said: Any) -> None:
    with open(f"{request['answer']}.part", "w") as file:
        json.dump(said, file)
    os.rename(f"{request['answer']}.part", request["answer"])


def main() -> None:
    try:
        merger = allPlugins.find("postprocessor", request["plugin"])()
        for name, value in request["attributes"].items():
            setattr(merger, name, value)
    except Exception as error:  # noqa: BLE001 (whatever it is, the session may do better)
        answer(left=f"{type(error).__name__}: {error}")
        return
    answer(begun=True)
    try:
        merger.mergefiles(request["inputs"], request["output"])
    except PostProcessException as error:
        answer(begun=True, error=str(error).removeprefix("PostProcessException: "))
    except BaseException as error:  # noqa: BLE001 (the user is told)
        answer(begun=True, error=f"{type(error).__name__}: {error}", trace=traceback.format_exc())
    else:
        answer(begun=True, done=True)


main()
