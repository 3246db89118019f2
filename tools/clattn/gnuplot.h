/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_GNUPLOT_H
#define CLATTN_TOOL_GNUPLOT_H

#include <stddef.h>

/* Fails where no gnuplot is in PATH, or none that draws SVG. `option` is what needs it, for messages. Exit status. */
int gnuplot_check(const char *option);

/* What gnuplot, without the user's settings, prints for a script: *size bytes, then a 0. The caller frees *out. On
 * failure that is NULL. Exit status. */
int gnuplot_run(const char *option, const char *script, char **out, size_t *size);

#endif
