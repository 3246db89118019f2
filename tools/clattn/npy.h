/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_NPY_H
#define CLATTN_TOOL_NPY_H

/* NumPy's .npy files, formats 1.0, 2.0 and 3.0: C order, little-endian. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NPY_MAX_RANK 8

typedef enum npy_type { NPY_BOOL, NPY_I32, NPY_I64, NPY_F16, NPY_F32, NPY_F64, NPY_TYPE_COUNT } npy_type;

typedef struct npy_header {
    npy_type type;
    int rank;
    int64_t shape[NPY_MAX_RANK];
    size_t elements;
    size_t data_offset; /* bytes before the first element */
} npy_header;

/* Reads the header of a whole file in memory and checks that the data are there, no less and no more. On failure
 * returns false and writes one line, which does not name the file, to message[0 .. size). Reads nothing outside
 * data[0 .. data_size). */
bool npy_parse(const void *data, size_t data_size, npy_header *out, char *message, size_t size);

typedef struct npy_array {
    npy_header header;
    void *file;       /* owned: the file's bytes */
    const void *data; /* the elements, inside `file`; aligned for their type */
} npy_array;

/* Reads a file. On failure returns false and writes one line, which does not name the file, to message. */
bool npy_read(const char *path, npy_array *out, char *message, size_t size);
void npy_free(npy_array *array);

/* Bytes of an element; "bool", "int32", "float16", ... */
size_t npy_type_size(npy_type type);
const char *npy_type_name(npy_type type);

/* Writes a header of format 1.0 to out[0 .. NPY_HEADER_MAX); returns its size. rank <= NPY_MAX_RANK. */
#define NPY_HEADER_MAX 512
size_t npy_format_header(npy_type type, int rank, const int64_t *shape, char *out);

/* "[2, 8, 17, 64]" in text[0 .. NPY_SHAPE_TEXT); returns text. */
#define NPY_SHAPE_TEXT 192
const char *npy_shape_text(int rank, const int64_t *shape, char *text);

#endif
