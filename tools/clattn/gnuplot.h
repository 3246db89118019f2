/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_GNUPLOT_H
#define CLATTN_TOOL_GNUPLOT_H

#include <stddef.h>

/* Fails where no gnuplot is in PATH, or none that draws SVG. `option` is what needs it. Exit status. */
int gnuplot_check(const char *option);

/* What gnuplot prints for a script of its, of the user's settings nothing. The caller frees *out. Exit status. */
int gnuplot_run(const char *option, const char *script, char **out, size_t *size);

#endif
