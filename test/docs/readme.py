"""The code in README.md is docs/examples/hello.cpp, to the letter, and begins by line 15.

Usage: readme.py ROOT
"""

import pathlib
import sys

FENCE = "```cpp\n"


def main():
    root = pathlib.Path(sys.argv[1])
    readme = (root / "README.md").read_text(encoding="utf-8")
    hello = (root / "docs/examples/hello.cpp").read_text(encoding="utf-8")
    before, fence, rest = readme.partition(FENCE)
    code = rest.partition("```\n")[0]
    if not fence or code != hello:
        print("README.md: its first code block is not docs/examples/hello.cpp")
        return 1
    if before.count("\n") + 1 > 15:
        print("README.md: the code begins behind line 15")
        return 1
    return 0


sys.exit(main())
