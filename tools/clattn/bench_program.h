/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_BENCH_PROGRAM_H
#define CLATTN_TOOL_BENCH_PROGRAM_H

/* The bench's own kernels (*.cl of this folder, put into the command by tools/embed.py). They are built apart from the
 * library: they measure it. */

#include "session.h"

/* Builds the file of that name. Exit status; *out is NULL on failure. */
int program_build(const session *on, const char *file, cl_program *out);

int program_kernel(cl_program program, const char *name, cl_kernel *out);

#endif
