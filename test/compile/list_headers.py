"""Prints every header below the given include folder, one a line, relative to it.

src.hpp is left out: it is the one that may be included once in a program."""

import pathlib
import sys

root = pathlib.Path(sys.argv[1])
for header in sorted(root.rglob("*.hpp")):
    name = header.relative_to(root).as_posix()
    if name != "coati/src.hpp":
        print(name)
