# SPDX-License-Identifier: BSD-2-Clause
"""The builds that tests run from, each in a folder of its own under build/."""
import json
import subprocess

from runner import ROOT, Failure

WERROR = ["--werror"]
SANITIZED = ["--werror", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Ddefault_library=static",
             "-Dc_args=-fno-omit-frame-pointer -fno-sanitize-recover=all",
             "-Dc_link_args=-Wl,--no-as-needed -lstdc++"]
FUZZED = ["--werror", "-Dfuzz=true", "-Ddefault_library=static", "-Db_lundef=false"]


def folder(name):
    return ROOT / "build" / name


def build(part, name, options, compiler=None):
    """Configures where needed and builds; True when that went well."""
    env = part.environment(**({"CC": compiler} if compiler else {}))
    words = " ".join("'" + option + "'" for option in options)
    script = f". tools/lib/common.sh && meson_build '{folder(name)}' {words}"
    status, output = part.call(["bash", "-c", script], env, limit=900)
    if not part.case(status == 0, f"the build {name} ({compiler or 'cc'}) with warnings as errors"):
        part.show(output, status)
    return status == 0


def binary(name, path):
    """A built program, or a failed case that says what is missing."""
    program = folder(name) / path
    if not program.exists():
        raise Failure(f"{program.relative_to(ROOT)} was not built")
    return program


def tests(name, suite):
    """Meson's tests of a suite: (name, command, environment)."""
    text = subprocess.run(["meson", "introspect", "--tests", str(folder(name))], capture_output=True, text=True,
                          check=True).stdout
    return [(test["name"], test["cmd"], test["env"]) for test in json.loads(text)
            if any(label.split(":")[-1] == suite for label in test["suite"])]
