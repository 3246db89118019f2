/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_RECORD_INTERNAL_H
#define CLATTN_PLAN_RECORD_INTERNAL_H

/* What the files of records share. */

#include "plan/record.h"

#define CLATTN_RECORD_MAX_BYTES ((size_t)16 << 20)

/* Copies the strings, too. False when there is no memory; *to is empty then. */
bool clattn_record_copy_device(clattn_record_device *to, const clattn_record_device *from);

/* Writes the lines at which the first `count` elements of the top-level array `name` start to `lines`, which are 0 to
 * begin with. The text has to be JSON, an object. */
void clattn_record_lines(const char *text, size_t size, const char *name, int *lines, size_t count);

#endif
