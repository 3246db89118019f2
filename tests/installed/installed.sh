#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Stages `meson install`, then builds and runs examples/attention.c against the stage by pkg-config alone, shared and
# static, and compiles each public header on its own. Usage: installed.sh BUILD-FOLDER WORK-FOLDER
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$1
work=$2
stage=$work/stage
passed=0
failed=0

try() { # WHAT COMMAND...: one case; its output is shown when it fails
    local what=$1 output
    shift
    if output=$("$@" 2>&1); then
        printf 'passed: %s\n' "$what"
        passed=$((passed + 1))
    else
        printf 'FAILED: %s\n  %s\n%s\n' "$what" "$*" "$output"
        failed=$((failed + 1))
    fi
}

finish() {
    printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
    [ "$failed" = 0 ]
    exit
}

flags() { # PKG-CONFIG-OPTION...
    PKG_CONFIG_PATH=$pc_dir PKG_CONFIG_SYSROOT_DIR=$1 pkg-config "${@:2}" clattn
}

build_example() { # STAGE OUTPUT SOURCES PKG-CONFIG-OPTION...
    local from=$1 output=$2 sources=$3 words
    shift 3
    words=$(flags "$from" "$@" --cflags --libs) || return 1
    # shellcheck disable=SC2086 # words of a command line, a pattern of files
    cc -std=c11 -Wall -Wextra -Werror -o "$output" "$root"/examples/$sources $words -lOpenCL -lm
}

one_header() { # LANGUAGE STANDARD COMPILER HEADER
    printf '#include <clattn/%s>\nextern int unit_is_not_empty;\n' "$4" |
        "$3" -x "$1" "-std=$2" -Wall -Wextra -Wpedantic -Werror -fsyntax-only $include_flags -
}

links_static() { # no shared libclattn is needed
    ! ldd "$1" | grep -q libclattn
}

soname_is_versioned() {
    readelf -d "$libdir/libclattn.so" | grep -q "SONAME.*libclattn\.so\.[0-9]"
}

exports_only_public_names() {
    local names
    names=$(nm -D --defined-only "$libdir/libclattn.so" | awk '{print $3}' | sed 's/@.*//' | grep -v '^clattn_') || true
    printf 'exported but not clattn_*: %s\n' "$names"
    [ -z "$names" ]
}

has_the_tuning_records() { # all of tuning/, and nothing else
    local folder
    folder=$(find "$stage" -path '*/share/clattn/tuning' -type d) || return 1
    diff <(cd "$root/tuning" && ls | grep '\.json$') <(ls "$folder")
}

rm -rf "$stage" "$work/static"
try "meson install" meson install -C "$build" --no-rebuild --destdir "$stage"
pc=$(find "$stage" -name clattn.pc | head -1)
[ -n "$pc" ] || { printf 'FAILED: no clattn.pc under %s\n' "$stage"; failed=$((failed + 1)); finish; }
pc_dir=$(dirname "$pc")
libdir=$(dirname "$pc_dir")

try "attention.c against the shared library" build_example "$stage" "$work/attention" attention.c
try "attention.c runs" env LD_LIBRARY_PATH="$libdir" "$work/attention"
try "shared_prefix.c against the shared library" build_example "$stage" "$work/shared_prefix" shared_prefix.c
try "serve against the shared library" build_example "$stage" "$work/serve" 'serve/*.c'
try "the soname has a version" soname_is_versioned
try "the tuning records are installed" has_the_tuning_records
try "only clattn_* is exported" exports_only_public_names

cp -a "$stage" "$work/static"
pc_dir=${pc_dir/$stage/$work/static}
rm -f "${libdir/$stage/$work/static}"/libclattn.so*
try "attention.c against the static library" build_example "$work/static" "$work/attention_static" attention.c --static
try "the static program needs no libclattn.so" links_static "$work/attention_static"
try "the static program runs" "$work/attention_static"

include_flags=$(flags "$work/static" --cflags)
for header in $(cd "$stage"/usr/*/include/clattn 2>/dev/null && ls); do
    try "$header alone, C11" one_header c c11 cc "$header"
    try "$header alone, C++17" one_header c++ c++17 c++ "$header"
done
command=$(find "$stage" -path '*/bin/clattn' | head -1)
try "the command is installed and runs" "$command" --version
finish
