/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_SELF_H
#define CLATTN_TOOL_SELF_H

/* The path of this very program, to be freed; NULL where it cannot be told. `called` is what it was called by, argv[0]:
 * where the system has no better answer, that counts, looked for in PATH when it has no folder. */
char *self_path(const char *called);

#endif
