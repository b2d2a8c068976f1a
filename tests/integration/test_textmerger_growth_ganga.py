"""A merge that grew while jobs ran against Ganga's own at the end, over stories made by chance."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given, settings

from gangamon.errors import MergeFailed
from gangamon.postprocess import growth
from gangamon.postprocess.text import TextMerger
from gangamon.protocols import MergeOrder
from tests.ganga import needs_ganga, run_ganga
from tests.support.merge_stories import STORIES, Play, Story, unpacked

#: In one session of Ganga.
NUMBER = 80

#: Gzip raises TypeError in Ganga 8.7.12: there the text is compared with that of a plain merge.
SCRIPT = """
from GangaCore.GPIDev.Base.Proxy import stripProxy

class Ended:
    subjobs = ()
    def __init__(self, fqid, status, outputdir):
        self.fqid, self.status, self.outputdir = fqid, status, outputdir

result = []
for case in given:
    merger = TextMerger()
    merger.files = case['files']
    said = ''
    try:
        stripProxy(merger).merge(
            [Ended(*one) for one in case['inputs']],
            case['target'],
            ignorefailed=case['ignorefailed'],
        )
    except Exception as error:
        said = str(error)
    result.append(said)
"""

TIME = re.compile(rb"\A(# Ganga TextMergeTool - )\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} #\n")


def contents(target: Path) -> dict[str, bytes]:
    """Every file by the name that Ganga gives it, unpacked, the time masked, ours aside."""
    found = {}
    for path in target.rglob("*"):
        if path.is_file() and path.name != ".gangamon-merge.json":
            name = str(path.relative_to(target)).removesuffix(".gz")
            found[name] = TIME.sub(rb"\1TIME #\n", unpacked(path))
    return found


@needs_ganga
def test_as_ganga(tmp_path: Path) -> None:
    """The same files with the same text, or the same words, whatever happened on the way."""
    stories: list[Story] = []

    @settings(max_examples=NUMBER)
    @given(STORIES)
    def collect(story: Story) -> None:
        stories.append(story)

    collect()
    orders: list[MergeOrder] = []
    for n, story in enumerate(stories):
        growth._remembered.clear()
        orders.append(Play(tmp_path / "stories" / str(n)).tell(story))
    cases = [
        {
            "files": order.spec.files,
            "inputs": [(fqid, status.value, output) for fqid, status, output in order.inputs],
            "target": str(tmp_path / "theirs" / str(n)),
            "ignorefailed": order.spec.ignorefailed,
        }
        for n, order in enumerate(orders)
    ]
    place = tmp_path / "ganga"
    place.mkdir()
    theirs = run_ganga(place, SCRIPT, cases)
    merged = refused = 0
    for story, order, case, wanted in zip(stories, orders, cases, theirs, strict=True):
        said = ""
        try:
            TextMerger().run(order)
        except MergeFailed as error:
            said = f"PostProcessException: {error}"
        assert said == wanted, story
        refused += bool(said)
        merged += not said
        assert contents(Path(order.target)) == contents(Path(str(case["target"]))), story
    assert merged > NUMBER // 10, "the stories show nothing"
    assert refused > NUMBER // 20, "the stories show nothing"
    grown = sum(event.what in ("slice", "short") for story in stories for event in story.events)
    assert grown > NUMBER
