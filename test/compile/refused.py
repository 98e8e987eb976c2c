"""Compiles refused.cpp and compares what the compiler says with the comments in it.

Usage: refused.py ROOT COMPILER...

A comment `// error: PATTERN` or `// warning: PATTERN` promises a diagnostic of that kind which
names its line, itself or as the place that a template was used from. Nothing else may be wrong, and
without REFUSED nothing at all.
"""

import pathlib
import re
import subprocess
import sys

PROMISE = re.compile(r"// (error|warning): (.+)$")
DIAGNOSTIC = re.compile(r": (?:fatal )?(error|warning): (.*)")
# GCC tells where a template was used from before what is wrong with it, Clang after.
CONTEXT = re.compile(r"required (from|by)|In (instantiation|substitution|function|file included)")
LINE = re.compile(r"refused\.cpp:(\d+)")


def compile_it(command, root, *more):
    file = root / "test" / "compile" / "refused.cpp"
    flags = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", f"-I{root / 'include'}"]
    done = subprocess.run([*command, *flags, *more, str(file)], capture_output=True, text=True)
    return done.returncode, done.stderr


def diagnostics(text):
    """(kind, message, lines of refused.cpp that it names) of each."""
    found, context = [], []
    for line in text.splitlines():
        match = DIAGNOSTIC.search(line)
        if match:
            found.append((match[1], match[2], [*context, line]))
            context = []
        elif CONTEXT.search(line):
            context.append(line)
        elif found:
            found[-1][2].append(line)
    all_lines = []
    for kind, message, text in found:
        lines = {int(n) for part in text for n in LINE.findall(part)}
        # Of two complaints about one instantiation GCC says only once which it is.
        all_lines.append((kind, message, lines or (all_lines[-1][2] if all_lines else lines)))
    return all_lines


def check(command, root):
    complaints = []
    code, text = compile_it(command, root, "-Werror")
    if code != 0:
        return [f"does not compile as it stands:\n{text}"]
    code, text = compile_it(command, root, "-DREFUSED")
    said = diagnostics(text)
    source = (root / "test" / "compile" / "refused.cpp").read_text().splitlines()
    promises = {n: PROMISE.search(line) for n, line in enumerate(source, 1) if PROMISE.search(line)}
    if code == 0 or not promises:
        complaints.append("nothing was refused")
    for number, promise in promises.items():
        kind, pattern = promise[1], promise[2]
        if not any(k == kind and number in lines and re.search(pattern, message)
                   for k, message, lines in said):
            complaints.append(f"line {number}: no {kind} that says `{pattern}`")
    for kind, message, lines in said:
        if not lines & promises.keys():
            complaints.append(f"not expected: {kind}: {message} {sorted(lines)}")
    return complaints


def main():
    root, command = pathlib.Path(sys.argv[1]), sys.argv[2:]
    complaints = check([word for word in command if word != "ccache"], root)
    for complaint in complaints:
        print(f"{' '.join(command)}: {complaint}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
