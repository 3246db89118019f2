/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_OPERAND_H
#define CLATTN_TOOL_OPERAND_H

/* One input file: read, checked, and brought to the type that the device wants. */

#include <clattn/types.h>

#include "npy.h"

typedef struct operand {
    const char *option, *path;
    npy_array array;
    void *converted;  /* owned; NULL where the file's own bytes do */
    const void *data; /* NULL: the option was not given */
    size_t size;      /* bytes at `data` */
} operand;

/* Reads the file. Exit status. */
int operand_read(operand *out, const char *option, const char *path);
void operand_free(operand *used);

/* Fails unless the file holds f16, f32 or f64. Exit status, as for all below. */
int operand_require_float(const operand *in);

/* Makes `data` of a float operand. */
int operand_convert(operand *in, clattn_dtype dtype);

/* Makes `data` float32 of an operand of shape [count]; `what` names that length. f64 is read as f32. */
int operand_to_floats(operand *in, int64_t count, const char *what);

/* Makes `data` int32 of an operand of rank 1 with int32 or int64 in it. */
int operand_to_indices(operand *in);

/* The same of rank 2. */
int operand_to_index_table(operand *in);

/* Fails unless the rank-1 operand has `count` elements. */
int operand_require_count(const operand *in, int64_t count, const char *what);

/* The shape in brackets; `text` has NPY_SHAPE_TEXT bytes. */
const char *operand_shape(const operand *in, char *text);

#endif
