# SPDX-License-Identifier: BSD-2-Clause
# The Python environment of the comparisons, with PyTorch, in .deps/compare/venv. Source it after lib/common.sh.
# shellcheck shell=bash

wheels=(torch==2.15.0 numpy onnx==1.23.2 onnxruntime==1.32.0)
# shellcheck disable=SC2154 # root: common.sh
venv="$root/.deps/compare/venv"
python="$venv/bin/python"

# Progress goes to stderr: stdout is the table.
note() {
    say "$@" >&2
}

pip_install() {
    "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-cache-dir "$@"
}

install_wheels() {
    local installed="$root/.deps/compare/wheels"
    [ "$(cat "$installed" 2>/dev/null)" = "${wheels[*]}" ] && return 0
    note "installing ${wheels[*]} into ${venv#"$root/"}"
    mkdir -p "$root/.deps/compare"
    /usr/bin/python3 -m venv "$venv" || die "no virtual environment can be made in $venv"
    pip_install "${wheels[@]}" || die "pip could not install ${wheels[*]} (above)"
    printf '%s\n' "${wheels[*]}" >"$installed"
}
