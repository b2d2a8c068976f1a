"""Our MetaDataChecker against Ganga's own: who passes, and the words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gangamon.domain.command import CheckerSpec
from gangamon.errors import CheckImpossible
from gangamon.postprocess.metadata import MetaDataChecker
from gangamon.protocols import CheckOrder
from tests.ganga import needs_ganga, run_ganga

EXPRESSIONS: dict[str, str | None] = {"none": None, "true": "True", "faulty": "(", "empty": ""}

SCRIPT = """
import os
from GangaCore.GPIDev.Base.Proxy import stripProxy
from GangaCore.Lib.Checkers.MetaDataChecker import MetaDataChecker as Raw
from gangamon.adapter.handover import checkers

result = {}
for name, expression in given['expressions'].items():
    raw = stripProxy(Job())
    checker = Raw()
    checker.expression = expression
    passed = checker.execute(raw, 'completed')
    debug = os.path.join(raw.getDebugWorkspace().getPath(), 'checker_errors.txt')
    spec = checkers.spec(checker)
    result[name] = {'passed': passed, 'error': open(debug).read(), 'fqid': raw.fqid,
                    'output': raw.outputdir, 'spec': spec.plain}
"""


@needs_ganga
def test_as_ganga(tmp_path: Path) -> None:
    found: dict[str, Any] = run_ganga(tmp_path, SCRIPT, {"expressions": EXPRESSIONS})
    assert set(found) == set(EXPRESSIONS)
    for name, theirs in found.items():
        body = theirs["spec"]
        lists = {key: tuple(body[key]) for key in ("files", "search_strings")}
        spec = CheckerSpec(**{**body, **lists})
        assert spec.options.get("expression") == EXPRESSIONS[name]
        with pytest.raises(CheckImpossible) as caught:
            MetaDataChecker().check(CheckOrder(theirs["fqid"], spec, theirs["output"]))
        assert theirs["passed"] is True
        noted = f"\n Checker has failed with the following error: \n{caught.value}"
        assert theirs["error"] == noted
