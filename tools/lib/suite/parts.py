# SPDX-License-Identifier: BSD-2-Clause
"""What each part of the test suite does. TABLE, at the end, is the order and the budgets."""
import os
import re
import subprocess
import sys

import builds
from runner import BUILD, ROOT, VENDORS, Failure

DEVICE_TEST = "tests/device/test_attention"
POCL = VENDORS / "pocl.icd"
RUSTICL = VENDORS / "rusticl.icd"
INTEL = ROOT / ".deps" / "intel"
LEAKS = "leak:libLLVM\nleak:libpocl\nleak:libclang-cpp\n"  # the drivers' own, and nothing else
CACHE_SUITES = ["append_small", "gather", "copy"]  # of operations on paged caches, small everywhere
MUTATIONS = 3
FUZZ_SECONDS, FULL_FUZZ_SECONDS = 5, 120


def build(part):
    builds.build(part, "test", builds.WERROR)


def lint(part):
    part.count("tools/lint", [ROOT / "tools" / "lint"])


def unit(part):
    run_meson_suite(part, "test", "unit", part.environment())


def run_meson_suite(part, build_name, suite, env):
    found = builds.tests(build_name, suite)
    if not found:
        raise Failure(f"build/{build_name} has no tests in its suite '{suite}'")
    for name, command, test_env in found:
        part.count(name, command, {**env, "CMOCKA_MESSAGE_OUTPUT": "TAP", **test_env})


def device_suites(part, env, suites, build_name="test", prefix=()):
    """The device tests' suites in one process: a new one costs a second, and its programs."""
    program = builds.binary(build_name, DEVICE_TEST)
    words = [word for suite in suites for word in ("--suite", suite)]
    more = ["--seed", part.options.seed, *(["--full"] if part.options.full else [])]
    return part.count(" ".join(suites), [*prefix, program, *words, *more], env)


def require_cases(part, found, implementation):
    if found.ran == 0:
        raise Failure(f"{implementation} ran no case")


# A third of the default suites, by the time they take.
POCL_FIRST = ("pairwise", "masks3", "dims")


def pocl_first(part):
    env = part.environment(OCL_ICD_VENDORS=POCL)
    require_cases(part, device_suites(part, env, POCL_FIRST), "PoCL")


def pocl_rest(part):
    """Every other default suite, and the steps of an engine."""
    table = (ROOT / "tests" / "device" / "suites.def").read_text()
    suites = [name for name in re.findall(r"^SUITE\((\w+), 1,", table, re.M) if name not in POCL_FIRST]
    env = part.environment(OCL_ICD_VENDORS=POCL)
    require_cases(part, device_suites(part, env, suites), "PoCL")
    part.count("steps", [builds.binary("test", "tests/device/test_steps")], env)


def tiles(part):
    """Points of the search spaces, drawn by the seed: at least one of each."""
    more = ["--full"] if part.options.full else ["--points", "8", "--seconds", "0"]
    more += ["--seed", part.options.seed]
    part.count("tiles", [builds.binary("test", "tests/device/test_subjects"), *more],
               part.environment(OCL_ICD_VENDORS=POCL))
    part.lines += [line for line in part.output.splitlines() if line.startswith(("# seed", "# points"))]


def rusticl(part):
    env = part.environment(OCL_ICD_VENDORS=RUSTICL, RUSTICL_ENABLE="llvmpipe")
    require_cases(part, device_suites(part, env, ["small", *CACHE_SUITES, "merge", "paged_scalar"]), "rusticl")


# paged_large needs an allocation of over 2^31 bytes, which PoCL refuses on machines with little memory.
INTEL_SUITES = ("pairwise", "small", "append", "gather_types", *CACHE_SUITES, "merge", "merge_queues", "paged_tiny",
                "paged_errors", "paged_nonsense", "paged_large")


def intel(part):
    """Required with --all or CI=true; else run when it is installed, for it is large."""
    required = part.options.all or part.options.full or os.environ.get("CI") == "true"
    if required:
        status, output = part.call([ROOT / "tools" / "install-intel-runtime"], limit=600)
        if status != 0:
            part.show(output, status)
            raise Failure("tools/install-intel-runtime")
    elif not (INTEL / "intel.icd").exists():
        part.skip("Intel's runtime is not installed (tools/install-intel-runtime, or tools/test --all)")
        return
    env = part.environment(OCL_ICD_VENDORS=INTEL / "intel.icd", LD_LIBRARY_PATH=INTEL / "lib")
    require_cases(part, device_suites(part, env, INTEL_SUITES), "Intel's runtime")


def compile_program(part, source, output, *options):
    argv = [os.environ.get("CC", "cc"), "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", output, ROOT / source,
            *options]
    status, text = part.call(argv)
    if status != 0:
        part.show(text, status)
        raise Failure(f"{source} does not compile")
    return output


def oclgrind_run(part, log, argv):
    """Runs under Oclgrind; returns what it reported: its log, and API errors, which only stderr has."""
    log.unlink(missing_ok=True)
    prefix = ["oclgrind", "--data-races", "--check-api", "--log", log]
    _, output = part.call([*prefix, *argv])
    text = log.read_text(errors="replace") if log.exists() else ""
    return text, "OpenCL runtime error" in output


def oclgrind_sees_faults(part):
    planted = compile_program(part, "tests/support/planted_fault.c", part.state / "planted_fault", "-lOpenCL")
    for fault, expected in (("race", "data race"), ("bounds", "Invalid write"), ("api", ""), ("none", "")):
        text, api_error = oclgrind_run(part, part.state / "planted.log", [planted, fault])
        seen = expected in text if expected else not text and api_error == (fault == "api")
        part.case(seen, f"Oclgrind and a planted fault '{fault}': reported {text[:200]!r}, API error {api_error}")


def oclgrind(part):
    oclgrind_sees_faults(part)
    log = part.state / "oclgrind.log"
    prefix = ["oclgrind", "--data-races", "--check-api", "--log", log]
    suites = ["tiny", *CACHE_SUITES, "merge", "paged_tiny", "paged_nonsense"]
    found = device_suites(part, part.environment(), suites, prefix=prefix)
    require_cases(part, found, "Oclgrind")
    text = log.read_text(errors="replace") if log.exists() else ""
    if not part.case(not text.strip(), f"Oclgrind reports nothing ({log})"):
        part.lines += ["  | " + line for line in text.splitlines()[:40]]
    errors = re.findall(r"OpenCL runtime error.*\n.*\n.*", part.output)
    part.case(not errors, f"Oclgrind reports no API error: {errors[:3]}")


def sanitize(part):
    if not builds.build(part, "sanitize", builds.SANITIZED):
        return
    suppressions = part.state / "lsan.supp"
    suppressions.write_text(LEAKS)
    env = part.environment(OCL_ICD_VENDORS=POCL, ASAN_OPTIONS="halt_on_error=1:detect_leaks=1",
                           UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1",
                           LSAN_OPTIONS=f"suppressions={suppressions}:print_suppressions=0")
    run_meson_suite(part, "sanitize", "unit", env)
    suites = ["sanitize", *CACHE_SUITES, "copy_queues", "merge", "merge_queues", "paged_errors", "paged_nonsense"]
    require_cases(part, device_suites(part, env, suites, build_name="sanitize"), "PoCL, sanitized,")


def fuzz(part):
    """The build is also what compiles everything with clang."""
    if not builds.build(part, "fuzz", builds.FUZZED, compiler="clang"):
        return
    targets = sorted((ROOT / "tests" / "fuzz").glob("fuzz_*.c"))
    if not targets:
        raise Failure("tests/fuzz has no target")
    for target in targets:
        fuzz_one(part, target.stem)


def fuzz_one(part, name):
    program = builds.binary("fuzz", "tests/fuzz/" + name)
    corpus = ROOT / "tests" / "fuzz" / "corpus" / name.removeprefix("fuzz_")
    found = part.state / name
    found.mkdir()
    if not part.case(corpus.is_dir() and any(corpus.iterdir()), f"{corpus.relative_to(ROOT)} has no files"):
        return
    seconds = FULL_FUZZ_SECONDS if part.options.full else FUZZ_SECONDS
    argv = [program, f"-max_total_time={seconds}", "-rss_limit_mb=2048", "-timeout=60",
            f"-artifact_prefix={found}/", "-print_final_stats=1", found, corpus]
    status, output = part.call(argv)
    runs = re.search(r"number_of_executed_units: (\d+)", output)
    part.say(f"{name}: {runs[1] if runs else 0} inputs in {seconds} s")
    if not part.case(status == 0 and runs and int(runs[1]) > 0, f"{name}; the input is in {found}"):
        part.show(output, status)


def command(part):
    env = part.environment(OCL_ICD_VENDORS=POCL, CLATTN_COMMAND=builds.binary("test", "tools/clattn/clattn"))
    run_meson_suite(part, "test", "command", env)


def warm(part):
    shim = compile_program(part, "tests/support/count_spawns.c", part.state / "count_spawns.so", "-shared", "-fPIC",
                           "-ldl")
    argv = [sys.executable, "-B", ROOT / "tests" / "support" / "warm_start.py", "--clattn",
            builds.binary("test", "tools/clattn/clattn"), "--shim", shim, "--work", part.state]
    part.count("warm start", argv, part.environment(OCL_ICD_VENDORS=POCL))
    part.lines += [line for line in part.log_path.read_text().splitlines() if line.startswith("first result")]


def examples(part):
    """Each example is a case; what it says and its exit status is its own check of its results."""
    env = part.environment(OCL_ICD_VENDORS=POCL)
    runs = (("attention", []), ("shared_prefix", []), ("serve", []),
            ("serve", ["--layers", "3", "--seed", "5", "--requests", "24"]))
    for name, words in runs:
        status, output = part.call([builds.binary("test", "examples/example_" + name), *words], env)
        if not part.case(status == 0, f"example {' '.join([name, *words])}"):
            part.show(output, status)
    for kind in ("swapped", "recomputed"):
        part.case(re.search(r"[1-9]\d* " + kind, output), f"serve preempts: {kind}")


def installed(part):
    argv = ["bash", ROOT / "tests" / "installed" / "installed.sh", builds.folder("test"), part.state]
    part.count("installed library", argv, part.environment(OCL_ICD_VENDORS=POCL))


def mutate(part):
    argv = [ROOT / "tools" / "mutate", "--build", builds.folder("test")]
    sample = [] if part.options.full else ["--sample", MUTATIONS, "--seed", part.options.seed]
    part.count("tools/mutate", [*argv, *sample],
               part.environment(OCL_ICD_VENDORS=POCL))


def commit():
    """What is being tested, for the log."""
    found = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                           check=False) if (ROOT / ".git").exists() else None
    return found.stdout.strip() if found and found.returncode == 0 else "unknown"


# name, budget in seconds, whether it runs alone (it uses every core, or others wait for it), function. The longest of
# those that run two at a time come first.
TABLE = (
    ("build", 60, True, build),
    ("pocl", 450, False, pocl_rest),
    ("pocl-first", 240, False, pocl_first),
    ("intel", 180, False, intel),
    ("oclgrind", 120, False, oclgrind),
    ("sanitize", 300, False, sanitize),
    ("command", 360, False, command),
    ("fuzz", 120, False, fuzz),
    ("tiles", 120, False, tiles),
    ("rusticl", 180, False, rusticl),
    ("mutate", 150, False, mutate),
    ("warm", 45, False, warm),
    ("examples", 60, False, examples),
    ("installed", 30, False, installed),
    ("unit", 20, False, unit),
    ("lint", 30, False, lint),
)
