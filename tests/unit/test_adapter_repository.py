"""The adapter's files in Ganga's repository: index, replacement, and what a subjob's XML says."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from gangamon.adapter.repository import files
from gangamon.adapter.repository.index import SubjobIndex
from gangamon.adapter.repository.peek import Peek, peek

#: At the end of a line, where Ganga prints one.
BLANK = " "

EMPTY = """    <attribute name="{}">
       <sequence>
       </sequence>
    </attribute>
"""


def xml(
    status: str = "running",
    comment: str = "''",
    processors: str = "",
    files: str = "",
    end: str = "",
) -> str:
    """A subjob as Ganga 8.7.12 writes it, without what nobody asks for."""
    outputs = EMPTY.format("outputfiles")
    if files:
        outputs = outputs.replace("       </sequence>", f"{files}\n       </sequence>")
    return f"""<root>
 <class name="Job" version="1.6" category="jobs">
    <attribute name="comment">{BLANK}
        <value>{comment}</value>
    </attribute>
    <attribute name="status">{BLANK}
        <value>'{status}'</value>
    </attribute>
    <attribute name="info">
          <class name="JobInfo" version="0.1" category="jobinfos">
             <attribute name="submit_counter">{BLANK}
                 <value>3</value>
             </attribute>
          </class>
    </attribute>
    <attribute name="application">
          <class name="Executable" version="2.0" category="applications">
          </class>
    </attribute>
    <attribute name="backend">
          <class name="Local" version="1.2" category="backends">
             <attribute name="status">{BLANK}
                 <value>'R'</value>
             </attribute>
          </class>
    </attribute>
{outputs}{EMPTY.format("non_copyable_outputfiles")}    <attribute name="postprocessors">
          <class name="MultiPostProcessor" version="1.0" category="postprocessor">
{processors}
          </class>
    </attribute>
 </class>
{end or "</root>"}

"""


def processor(name: str) -> str:
    return f'             <class name="{name}" version="1.0" category="postprocessor">\n'


def test_the_index_is_one_pickled_dict() -> None:
    """Whatever was put, in whatever order, and put again; entries do not share what they repeat."""
    index = SubjobIndex()
    entries = {
        sub: {"status": "submitted", "id": sub, "subjobs:status": [], "modified": sub + 0.25}
        for sub in range(300)
    }
    for sub in reversed(range(300)):
        index.put(sub, entries[sub])
    entries[7] = {**entries[7], "status": "completed", "name": "é'\n" * 300}
    index.put(7, entries[7])
    found = pickle.loads(b"".join(index.parts()))
    assert found == entries
    assert list(found) == list(range(300))
    index.cut(2)
    assert pickle.loads(b"".join(index.parts())) == {0: entries[0], 1: entries[1]}
    assert 2 not in index


def test_an_empty_index() -> None:
    assert pickle.loads(b"".join(SubjobIndex().parts())) == {}


def test_a_file_is_replaced_and_the_old_one_kept(tmp_path: Path) -> None:
    path = tmp_path / "data"
    for text in (b"one", b"two", b"three"):
        files.replace(str(path), [text], backup=True)
    assert path.read_bytes() == b"three"
    assert (tmp_path / "data~").read_bytes() == b"two"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_killed_process_left_is_no_hindrance(tmp_path: Path) -> None:
    """A half-written file, a link to keep the old one by, a directory that was not renamed."""
    path = tmp_path / "data"
    path.write_bytes(b"one")
    (tmp_path / "data.new").write_bytes(b"ha")
    (tmp_path / "data~.new").write_bytes(b"older")
    files.replace(str(path), [b"two"], backup=True)
    assert [path.read_bytes(), (tmp_path / "data~").read_bytes()] == [b"two", b"one"]
    (tmp_path / "5.new").mkdir()
    (tmp_path / "5.new" / "data.new").write_bytes(b"ha")
    files.replace_in_new_directory(str(tmp_path / "5"), "data", [b"five"])
    assert (tmp_path / "5" / "data").read_bytes() == b"five"
    assert not (tmp_path / "5.new").exists()


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"one")
    (tmp_path / "data.new").mkdir()
    with pytest.raises(OSError, match=r"data\.new"):
        files.replace(str(path), [b"two"], backup=True)
    assert path.read_bytes() == b"one"


def test_a_subjobs_xml_is_peeked_at() -> None:
    """Its own status, not its backend's; a comment that looks like XML is escaped by Ganga."""
    comment = """'&lt;attribute name="status"&gt; \\n &lt;value&gt;\\'failed\\'&lt;/value&gt;'"""
    assert peek(xml(comment=comment)) == Peek("running", 3, "Executable", plain=True)
    assert peek(xml(processors=processor("TextMerger"))) == Peek("running", 3, "Executable", True)


@pytest.mark.parametrize(
    "text",
    [
        xml(processors=processor("FileChecker")),
        xml(processors=processor("TextMerger") + processor("Notifier")),
        xml(files='          <class name="LocalFile" version="1.3" category="gangafiles">'),
    ],
)
def test_a_subjob_of_whose_end_ganga_may_make_something_else(text: str) -> None:
    found = peek(text)
    assert found is not None
    assert not found.plain


@pytest.mark.parametrize(
    "text", ["", xml(end=" "), xml()[:500], xml().replace("submit_counter", "counter"), 2 * xml()]
)
def test_what_is_not_whole_or_not_known_must_be_loaded(text: str) -> None:
    assert peek(text) is None
