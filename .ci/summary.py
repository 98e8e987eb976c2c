"""Counts what `meson test` ran in a build folder and says so in one line.

Usage: summary.py BUILD_FOLDER

A Catch2 suite counts by test cases, as its XML report has them, one that speaks TAP by its lines;
anything else counts as one. A suite that ends badly without a failed test case (a crash, a
sanitizer, a timeout) adds one failure.
The exit code is 1 when something failed, or when nothing ran at all.
"""

import json
import pathlib
import re
import sys

GOOD = {"OK", "EXPECTEDFAIL"}
CASE = re.compile(r'<TestCase name="([^"]*)"(.*?)</TestCase>', re.DOTALL)
TAP_LINE = re.compile(r"^(not )?ok \d+ - (.*?)(?: \([\d.]+ s\))?$", re.MULTILINE)
RESULT = re.compile(r'<OverallResult success="(true|false)"(?: skips="(\d+)")?')


def count_cases(report):
    """Passed, failed names, skipped of one report, which may end in mid-sentence after a crash."""
    passed, failed, skipped = 0, [], 0
    for name, body in CASE.findall(report):
        result = RESULT.search(body)
        if result is None or result.group(1) == "false":
            failed.append(name)
        elif int(result.group(2) or 0) > 0:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def count_lines(output):
    """The same of TAP."""
    lines = TAP_LINE.findall(output)
    failed = [name for bad, name in lines if bad]
    return len(lines) - len(failed), failed, 0


def main():
    build = pathlib.Path(sys.argv[1])
    log = build / "meson-logs" / "testlog.json"
    lines = log.read_text().splitlines() if log.exists() else []
    passed, failed, skipped = 0, [], 0
    for line in lines:
        test = json.loads(line)
        name = test["name"].split(" / ")[-1]
        good = test["result"] in GOOD
        report = build / "test" / f"report-{name}.xml"
        output = test.get("stdout") or ""
        is_tap = output.startswith("TAP version")
        if report.exists() or is_tap:
            ok, bad, left_out = (
                count_lines(output) if is_tap
                else count_cases(report.read_text(errors="replace"))
            )
            passed += ok
            skipped += left_out
            failed += [f"{name}: {case}" for case in bad]
            if not good and not bad:
                failed.append(f"{name}: ended with {test['result']}")
        elif test["result"] == "SKIP":
            skipped += 1
            print(f"skipped: {name}")
        elif good:
            passed += 1
        else:
            failed.append(name)
    for name in failed:
        print(f"failed: {name}")
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or passed == 0 else 0


sys.exit(main())
