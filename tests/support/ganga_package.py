"""A Ganga package of somebody else, with two mergers."""

from __future__ import annotations

from pathlib import Path

LOADER = """
def loadPlugins(config={}):
    from . import mine

def getEnvironment(config={}):
    return {}
"""

PACKAGE = """
import os
from GangaCore.GPIDev.Adapters.IMerger import IMerger
from GangaCore.GPIDev.Adapters.IPostProcessor import PostProcessException
from GangaCore.GPIDev.Schema import SimpleItem

class MineMerger(IMerger):
    _category = "postprocessor"
    _exportmethods = ["merge"]
    _name = "MineMerger"
    _schema = IMerger._schema.inherit_copy()
    _schema.datadict["word"] = SimpleItem(defvalue="", doc="what stands first")

    def mergefiles(self, file_list, output_file):
        if self.word == "bad":
            raise PostProcessException("no such word")
        with open(output_file, "w") as out:
            out.write(f"{self.word} {os.getpid()} ")
            out.write("".join(open(path).read() for path in file_list))

class MyselfMerger(MineMerger):
    _category = "postprocessor"
    _exportmethods = ["merge"]
    _name = "MyselfMerger"
    _schema = MineMerger._schema.inherit_copy()

    def merge(self, jobs, outputdir=None, ignorefailed=None, overwrite=None):
        return IMerger.merge(self, jobs, outputdir, ignorefailed, overwrite)
"""


def write_package(folder: Path) -> Path:
    """For RUNTIME_PATH."""
    made = folder / "GangaMine"
    made.mkdir()
    (made / "__init__.py").write_text(LOADER)
    (made / "mine.py").write_text(PACKAGE)
    return made
