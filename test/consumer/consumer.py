"""A stranger's project takes coati as a Meson wrap, compiled and header-only.

Usage: consumer.py SOURCE_ROOT

What is taken is the last commit, as a stranger would get it: what is not committed is not tested.
Fails on any warning that comes out of our files, and on anything that we install into the
stranger's prefix.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

WRAP = """[wrap-git]
url = {url}
revision = {revision}

[provide]
dependency_names = coati, coati-header-only, coati-testing
"""

# A checkout of another user (a container's volume, say) is still the one that we are part of.
ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}


def run(*command, cwd=None):
    done = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False,
    )
    print(f"$ {' '.join(map(str, command))}\n{done.stdout}", flush=True)
    if done.returncode != 0:
        sys.exit(f"consumer: exit code {done.returncode}")
    return done.stdout


def committed(root, path):
    command = ["git", "-C", root, "cat-file", "-e", f"HEAD:{path}"]
    return subprocess.run(command, env=ENVIRONMENT, check=False).returncode == 0


def installed_files(prefix):
    return sorted(f.relative_to(prefix).as_posix() for f in prefix.rglob("*") if f.is_file())


def consume(root, scratch):
    project = scratch / "project"
    shutil.copytree(root / "test" / "consumer" / "project", project)
    revision = run("git", "-C", root, "rev-parse", "HEAD").strip()
    (project / "subprojects").mkdir()
    (project / "subprojects" / "coati.wrap").write_text(
        WRAP.format(url=root.as_uri(), revision=revision)
    )
    build = scratch / "build"
    # Unoptimised and without debug information: it only has to build and run.
    run("meson", "setup", build, project, "-Dbuildtype=plain", "--prefix=/usr")
    output = run("meson", "compile", "-C", build)
    if "warning:" in output:
        sys.exit("consumer: our files warn in a stranger's build")
    for program in ("compiled", "header_only"):
        if "consumer: 42" not in run(build / program):
            sys.exit(f"consumer: {program} says something else")
    prefix = scratch / "installed"
    run("meson", "install", "-C", build, "--no-rebuild", "--destdir", prefix)
    if installed_files(prefix) != ["usr/bin/compiled"]:
        sys.exit(f"consumer: a subproject installs: {installed_files(prefix)}")


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    if not (root / ".git").exists():
        print("consumer: not a git checkout, so there is nothing to take as a wrap")
        return 77
    if not committed(root, "include/coati/client.hpp"):
        print("consumer: include/coati/client.hpp is in no commit yet")
        return 77
    with tempfile.TemporaryDirectory(prefix="coati-consumer-") as scratch:
        consume(root, pathlib.Path(scratch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
