"""The rules that a machine can check.

Usage: tidy.py ROOT

Prints each finding as `file:line: rule: text` and fails when there is one. It fails as well when a
rule does not bite on its own bad sample, or bites on a good one: see samples.py.
"""

import pathlib
import re
import sys

import samples

# ---------------------------------------------------------------- the tree

SOURCE = (".hpp", ".cpp")
TEXT = SOURCE + (".py", ".build", ".options", ".sh", ".in", ".md")
SCRIPTS = ("dev", ".ci/run", ".ci/lint")
TOP = ("include", "src", "test", "bench", "docs", ".ci")


def read_tree(root):
    """Path (relative, with slashes) -> text, of every file that the rules are about."""
    tree = {}
    files = [f for f in root.iterdir() if f.is_file()]
    for top in TOP:
        files += [f for f in (root / top).rglob("*") if f.is_file()]
    for file in files:
        name = file.relative_to(root).as_posix()
        if file.suffix in TEXT or name in SCRIPTS:
            tree[name] = file.read_text(encoding="utf-8", errors="replace")
    return tree


# Comments, raw strings, strings, characters (but not the ' of 1'000).
LITERAL = re.compile(
    r"//[^\n]*|/\*.*?\*/"
    r'|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+'",
    re.DOTALL,
)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def code_of(text):
    """The text without comments and literals, line by line where it was."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())

    return LITERAL.sub(blank, text)


def line_at(text, offset):
    return text.count("\n", 0, offset) + 1


def find_all(pattern, text):
    for match in re.finditer(pattern, text):
        yield line_at(text, match.start()), match


def ours(path):
    return path.endswith(SOURCE) and path.startswith(("include/", "src/"))


# ---------------------------------------------------------------- floors

TESTING, MODEL, SRC_HPP = "testing", "model", "include/coati/src.hpp"
# First match wins. The vocabulary stands at floor 0: types that every floor speaks in.
FLOORS = (
    (r"src/testing/model/", MODEL),
    (r"(include/coati|src)/testing/", TESTING),
    (r"include/coati/wire/|src/wire/", 0),
    (r"include/coati/(acl|auth|clock|config|create_mode|data|ensemble_config|sasl)\.hpp", 0),
    (r"include/coati/server_policy\.hpp", 0),
    (r"include/coati/(errc|error|event|result|session_state|stat)\.hpp", 0),
    (r"src/(acl|auth|digest|errc|error|config|ensemble_config)\.[ch]pp", 0),
    (r"(include/coati|src)/protocol/", 1),
    (r"include/coati/(transport|tls\w*)\.hpp", 2),
    (r"src/(tcp|tls|sasl|clock|transport|event)\w*\.[ch]pp", 2),
    (r"(include/coati|src)/recipe/|include/coati/coati\.hpp", 5),
    (r"src/(bell|client|compose|hold|supervise|states|watch|multi|operation)\w*\.[ch]pp", 4),
    (r"src/|include/coati/detail/engine", 3),
    (r"include/coati/", 4),
)
# What the engine and the client say to each other stands on the border of floors 3 and 4.
BORDER = re.compile(r"include/coati/(detail/(cancellation|composed|pending_op|scope)|session)\.hpp")


def floor_of(path):
    for pattern, floor in FLOORS:
        if re.match(pattern, path):
            return floor
    return None


def resolve(path, quote, target, tree):
    """The file of ours that an include names, if it is one of ours."""
    if target.startswith("coati/"):
        return "include/" + target
    if quote == '"':
        beside = pathlib.PurePosixPath(path).parent / target
        parts = []
        for part in beside.parts:
            if part == "..":
                parts = parts[:-1]
            else:
                parts.append(part)
        beside = "/".join(parts)
        return beside if beside in tree else "src/" + target
    return None


def may_include(floor, target):
    below = floor_of(target)
    if below is None:
        return True
    if floor == MODEL:
        return below in (MODEL, 0)
    if floor == TESTING:
        return below in (TESTING, MODEL, 0, 1, 2)
    if below in (TESTING, MODEL):
        return False
    if floor == 5:
        return below in (0, 4, 5) and "/detail/" not in target and "/wire/" not in target
    return below <= floor or (floor == 3 and BORDER.match(target) is not None)


def includes_point_down(tree):
    for path, text in tree.items():
        floor = floor_of(path) if path.endswith(SOURCE) and path != SRC_HPP else None
        if floor is None:
            continue
        for match in INCLUDE.finditer(text):
            target = resolve(path, match.group(1), match.group(2), tree)
            if target is not None and not may_include(floor, target):
                line = line_at(text, match.start())
                yield path, line, f"floor {floor} includes {target}"


def low_floors_know_no_asio(tree):
    for path, text in tree.items():
        if not path.endswith(SOURCE) or floor_of(path) not in (0, 1, MODEL):
            continue
        for match in INCLUDE.finditer(text):
            if match.group(2).startswith("boost/asio"):
                line = line_at(text, match.start())
                yield path, line, "floors 0 and 1, and the model, know no Asio"
        for line, _ in find_all(r"\bnow\s*\(\s*\)", code_of(text)):
            yield path, line, "floors 0 and 1 take the time as an argument"


WORLD = re.compile(r"src/(tcp|clock)\w*\.[ch]pp|(include/coati|src)/testing/")
OUTSIDE = (
    (r"\b\w+_clock::now\b|\bclock_gettime\s*\(", "reads a clock"),
    (r"\b(steady|system|high_resolution|deadline|basic_waitable)_timer\b", "makes a timer"),
    (r"\btcp::(socket|acceptor|resolver)\b|::socket\s*\(", "opens a socket"),
    (r"\bstd::(random_device|mt19937(_64)?|minstd_rand0?|default_random_engine)\b", "seeds"),
)


def only_transport_touches_the_world(tree):
    for path, text in tree.items():
        if not ours(path) or WORLD.match(path):
            continue
        for pattern, what in OUTSIDE:
            for line, match in find_all(pattern, code_of(text)):
                yield path, line, f"{what} outside floor 2: {match.group().strip()}"


# ---------------------------------------------------------------- coroutines and Asio


def nothing_is_detached(tree):
    for path, text in tree.items():
        if ours(path):
            for line, _ in find_all(r"\bdetached\b", code_of(text)):
                yield path, line, "every coroutine has an owner that joins it"


def asio_by_parts(tree):
    for path, text in tree.items():
        if ours(path):
            for match in INCLUDE.finditer(text):
                if match.group(2) == "boost/asio.hpp":
                    yield path, line_at(text, match.start()), "include the parts of Asio"


# A lambda introducer with captures: not a subscript, not an attribute.
CAPTURE = re.compile(r"(?<![\w\])\[])\s*\[(?!\[)([^\[\]]*[\w&=][^\[\]]*)\]\s*(?=[({]|mutable\b|->)")


def no_capturing_lambda_beside_co_await(tree):
    for path, text in tree.items():
        if not path.endswith(SOURCE):
            continue
        code = code_of(text)
        for line, match in find_all(r"\bco_await\b[^;]*", code):
            for capture in CAPTURE.finditer(match.group()):
                # A closure of references alone is trivially destructible, so GCC 12 gets it right;
                # the library keeps clear of it all the same.
                harmless = all(c.strip()[:1] == "&" or c.strip() == "this"
                               for c in capture.group(1).split(","))
                if ours(path) or not harmless:
                    at = line + match.group().count("\n", 0, capture.start(1))
                    yield path, at, "GCC 12 destroys the captures twice: name the lambda first"


# ---------------------------------------------------------------- words

# The samples below test/tidy are bad on purpose.
EXEMPT = "test/tidy/"


def left_overs_name_an_issue(tree):
    for path, text in tree.items():
        if path.startswith(EXEMPT):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b(?!.*#\d+)", line):
                yield path, number, "a left-over without an issue number"


BANNED = (
    (r"(?<![\w.$}*])/(?:work|root|home)/", "a path of somebody's machine"),
    (r"\b(?:deb|security|snapshot|archive|pypi|registry|crates|conan|index)(?:\.[a-z0-9-]+)*"
     r"\.(?:org|com|io|net)\b", "a package registry's host name"),
)


def banned_words(tree):
    for path, text in tree.items():
        if path.startswith(EXEMPT):
            continue
        for pattern, what in BANNED:
            for line, match in find_all(pattern, text):
                yield path, line, f"{what}: {match.group()}"


# ---------------------------------------------------------------- sizes

MAX_FILE, MAX_FUNCTION, MAX_LINE = 600, 70, 100
# file -> the limit it is allowed, which may only fall. Empty, and meant to stay so.
RATCHET = {}


def files_are_short(tree):
    for path, text in tree.items():
        limit = RATCHET.get(path, MAX_FILE)
        lines = text.count("\n")
        if path.endswith(SOURCE + (".py",)) and lines > limit:
            yield path, lines, f"{lines} lines, {limit} are enough"


def lines_are_short(tree):
    for path, text in tree.items():
        if path.endswith(".md"):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > MAX_LINE:
                yield path, number, f"{len(line)} columns, {MAX_LINE} are enough"


def functions_are_short(tree):
    """By the one brace that stands on its own line: a function's, by .clang-format."""
    for path, text in tree.items():
        if not path.endswith(SOURCE) or re.match(r"test/(?!support/)|bench/", path):
            continue
        lines = code_of(text).splitlines()
        number = 0
        while number < len(lines):
            if lines[number].strip() != "{":
                number += 1
                continue
            before = lines[number - 1] if number else ""
            end = closing_line(lines, number)
            if re.match(r"\s*(struct|class|union|enum|namespace)\b", before):
                number += 1
                continue
            length = end - number + 1
            if length > MAX_FUNCTION:
                yield path, number + 1, f"a function of {length} lines, {MAX_FUNCTION} are enough"
            number = end + 1


def closing_line(lines, start):
    depth = 0
    for number in range(start, len(lines)):
        depth += lines[number].count("{") - lines[number].count("}")
        if depth <= 0:
            return number
    return len(lines) - 1


# ---------------------------------------------------------------- the build

# A program that its own test builds, from a project of its own.
BUILT_ELSEWHERE = "test/consumer/"


def no_dead_files(tree):
    for path in tree:
        if not path.endswith(".cpp") or path.startswith(BUILT_ELSEWHERE):
            continue
        folder, listed = pathlib.PurePosixPath(path).parent, False
        for above in (folder, *folder.parents):
            build = tree.get(f"{above}/meson.build".removeprefix("./"), "")
            name = pathlib.PurePosixPath(path).relative_to(above).as_posix()
            stem = name.removesuffix(".cpp")
            # Sources next door are named by a path that climbs.
            listed = listed or re.search(rf"'({re.escape(name)}|{re.escape(stem)})'", build)
        climbs = re.escape("/".join(pathlib.PurePosixPath(path).parts[-2:]))
        listed = listed or any(
            re.search(rf"'(\.\./)+{climbs}'", text)
            for other, text in tree.items()
            if other.endswith("meson.build")
        )
        if not listed:
            yield path, 1, "no meson.build lists it"


def header_only_is_the_same_library(tree):
    build = tree.get("src/meson.build")
    if build is None or SRC_HPP not in tree:
        return
    library = build.split("coati_testing_sources")[0]
    listed = set(re.findall(r"'([\w/]+\.cpp)'", library))
    included = {m.group(2) for m in INCLUDE.finditer(tree[SRC_HPP])}
    for name in sorted(listed - included):
        yield SRC_HPP, 1, f"src/meson.build lists {name}, src.hpp does not include it"
    for name in sorted(included - listed):
        yield SRC_HPP, 1, f"src.hpp includes {name}, src/meson.build does not list it"


RULES = (
    includes_point_down,
    low_floors_know_no_asio,
    only_transport_touches_the_world,
    nothing_is_detached,
    asio_by_parts,
    no_capturing_lambda_beside_co_await,
    left_overs_name_an_issue,
    banned_words,
    files_are_short,
    lines_are_short,
    functions_are_short,
    no_dead_files,
    header_only_is_the_same_library,
)


def self_test():
    """A check that cannot fail is worth nothing, and one that always does is worth less."""
    wrong = []
    for rule in RULES:
        name = rule.__name__
        if not samples.BAD.get(name):
            wrong.append(f"{name}: has no bad sample")
        for tree in samples.BAD.get(name, []):
            if not list(rule(tree)):
                wrong.append(f"{name}: does not bite on {tree}")
        for tree in samples.GOOD.get(name, []):
            wrong += [f"{name}: bites on {found}" for found in rule(tree)]
    for line in wrong:
        print(f"test/tidy/samples.py:1: self-test: {line}")
    return not wrong


def main():
    good = self_test()
    tree = read_tree(pathlib.Path(sys.argv[1]))
    found = [(path, line, rule.__name__, text) for rule in RULES for path, line, text in rule(tree)]
    for path, line, rule, text in sorted(found):
        print(f"{path}:{line}: {rule}: {text}")
    print(f"{len(tree)} files, {len(RULES)} rules, {len(found)} findings")
    return 0 if good and not found else 1


if __name__ == "__main__":
    sys.exit(main())
