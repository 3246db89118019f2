#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""embed.py [--prefix=NAME] OUTPUT.c FILE...: writes kernel sources as tables of C (src/kernel/embedded.h), named
clattn_embedded_... or NAME_....

Each .cl is there a second time with its quoted includes expanded. Includes are expanded wherever they stand, since some
stand in branches of #if; the headers' include guards, which are therefore required, keep the first that counts.
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"[^\n]*$', re.MULTILINE)
GUARD = re.compile(r"^#ifndef (\w+)\n#define \1\n", re.MULTILINE)


def flatten(name, texts, inside=()):
    """The text of `name` with its includes expanded; `inside` are the files that include it."""
    if name in inside:
        raise SystemExit(f"embed.py: {name} includes itself by way of {', '.join(inside)}")

    def expand(match):
        header = match.group(1)
        if header not in texts:
            raise SystemExit(f"embed.py: {name} includes {header}, which cl/meson.build does not list")
        if not GUARD.search(texts[header]):
            raise SystemExit(f"embed.py: {header} has no include guard (#ifndef NAME, #define NAME)")
        return flatten(header, texts, (*inside, name)).rstrip("\n")

    return INCLUDE.sub(expand, texts[name])


def literal(text):
    """An array of characters: string literals have a length limit in C."""
    data = text.encode() + b"\0"
    rows = [",".join(map(str, data[i:i + 32])) for i in range(0, len(data), 32)]
    return "{\n" + ",\n".join(rows) + "}"


def table(prefix, kind, texts):
    """The definitions of one table."""
    lines = []
    for number, text in enumerate(texts.values()):
        lines.append(f"static const char {kind}_{number}[] = {literal(text)};")
    lines.append(f"const clattn_embedded_file {prefix}_{kind}[] = {{")
    for number, (name, text) in enumerate(texts.items()):
        lines.append(f'    {{ "{name}", {kind}_{number}, {len(text.encode())} }},')
    lines.append("};")
    count = {"sources": "source_count", "flattened": "flattened_count"}[kind]
    lines.append(f"const size_t {prefix}_{count} = {len(texts)};")
    return "\n".join(lines)


def main(prefix, output, *files):
    """Writes the C file."""
    texts = {pathlib.Path(file).name: pathlib.Path(file).read_text(encoding="utf-8") for file in sorted(files)}
    flattened = {name: flatten(name, texts) for name in texts if name.endswith(".cl")}
    for name, text in {**texts, **flattened}.items():
        if not text.isascii() or "\0" in text:
            raise SystemExit(f"embed.py: {name} has characters that are not ASCII, which some drivers refuse")
    pathlib.Path(output).write_text("\n".join([
        "/* SPDX-License-Identifier: BSD-2-Clause */",
        "/* Made by tools/embed.py. */",
        '#include "kernel/embedded.h"',
        table(prefix, "sources", texts), table(prefix, "flattened", flattened), ""]), encoding="utf-8")


if __name__ == "__main__":
    arguments, named = sys.argv[1:], "clattn_embedded"
    if arguments and arguments[0].startswith("--prefix="):
        named = arguments.pop(0).partition("=")[2]
    if len(arguments) < 2:
        raise SystemExit(__doc__)
    main(named, *arguments)
