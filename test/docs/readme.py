"""The code in README.md compiles: the first is docs/examples/hello.cpp, to the
letter, and begins by line 15; all other stands in an example, but for the indentation.

Usage: readme.py ROOT
"""

import pathlib
import sys

FENCE = "```cpp\n"


def flush_left(code):
    return "".join(line.strip() + "\n" for line in code.splitlines())


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
    paths = root.glob("docs/examples/*.cpp")
    examples = [flush_left(path.read_text(encoding="utf-8")) for path in paths]
    for block in rest.split(FENCE)[1:]:
        code = flush_left(block.partition("```\n")[0])
        if not any(code in example for example in examples):
            print("README.md: no example has this code:\n" + code)
            return 1
    return 0


sys.exit(main())
