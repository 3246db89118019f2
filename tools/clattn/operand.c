/* SPDX-License-Identifier: BSD-2-Clause */
#include "operand.h"

#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "ref/ref.h"

int operand_read(operand *out, const char *option, const char *path)
{
    char message[512];
    *out = (operand){ .option = option, .path = path };
    if (!npy_read(path, &out->array, message, sizeof message))
        return fail("%s is '%s', which %s", option, path, message);
    return EXIT_DONE;
}

void operand_free(operand *used)
{
    npy_free(&used->array);
    free(used->converted);
    *used = (operand){ .data = NULL };
}

const char *operand_shape(const operand *in, char *text)
{
    return npy_shape_text(in->array.header.rank, in->array.header.shape, text);
}

static int fail_type(const operand *in, const char *right)
{
    return fail("%s is '%s', which holds %s; it has to hold %s", in->option, in->path,
                npy_type_name(in->array.header.type), right);
}

int operand_require_float(const operand *in)
{
    npy_type type = in->array.header.type;
    if (type == NPY_F16 || type == NPY_F32 || type == NPY_F64)
        return EXIT_DONE;
    return fail_type(in, "float16, float32 or float64");
}

int operand_require_count(const operand *in, int64_t count, const char *what)
{
    const npy_header *header = &in->array.header;
    char text[NPY_SHAPE_TEXT];
    if (header->rank == 1 && header->shape[0] == count)
        return EXIT_DONE;
    return fail("%s is '%s' of shape %s; it has to be [%s], which is [%lld]", in->option, in->path,
                operand_shape(in, text), what, (long long)count);
}

static void use_file_bytes(operand *in)
{
    in->data = in->array.data;
    in->size = in->array.header.elements * npy_type_size(in->array.header.type);
}

static int allocate(operand *in, size_t element)
{
    in->size = in->array.header.elements * element;
    in->converted = malloc(in->size ? in->size : 1);
    in->data = in->converted;
    return in->converted ? EXIT_DONE : fail("%s: no memory for %zu bytes", in->option, in->size);
}

static float load_float(const operand *in, size_t i)
{
    switch (in->array.header.type) {
    case NPY_F16:
        return ref_f32_from_f16(((const uint16_t *)in->array.data)[i]);
    case NPY_F64:
        return (float)((const double *)in->array.data)[i];
    default:
        return ((const float *)in->array.data)[i];
    }
}

int operand_convert(operand *in, clattn_dtype dtype)
{
    npy_type type = in->array.header.type;
    if ((dtype == CLATTN_F32 && type == NPY_F32) || (dtype == CLATTN_F16 && type == NPY_F16)) {
        use_file_bytes(in);
        return EXIT_DONE;
    }
    int status = allocate(in, clattn_dtype_size(dtype));
    if (status != EXIT_DONE)
        return status;
    for (size_t i = 0; i < in->array.header.elements; i++) {
        float value = load_float(in, i);
        if (dtype == CLATTN_F32)
            ((float *)in->converted)[i] = value;
        else
            ((uint16_t *)in->converted)[i] = dtype == CLATTN_F16 ? ref_f16_from_f32(value) : ref_bf16_from_f32(value);
    }
    return EXIT_DONE;
}

int operand_to_floats(operand *in, int64_t count, const char *what)
{
    npy_type type = in->array.header.type;
    if (type != NPY_F32 && type != NPY_F64)
        return fail_type(in, "float32");
    int status = operand_require_count(in, count, what);
    return status == EXIT_DONE ? operand_convert(in, CLATTN_F32) : status;
}

static int to_int32(operand *in, int rank)
{
    const npy_header *header = &in->array.header;
    char text[NPY_SHAPE_TEXT];
    if (header->type != NPY_I32 && header->type != NPY_I64)
        return fail_type(in, "int32 or int64");
    if (header->rank != rank)
        return fail("%s is '%s' of shape %s; it has to be of rank %d", in->option, in->path, operand_shape(in, text),
                    rank);
    if (header->type == NPY_I32) {
        use_file_bytes(in);
        return EXIT_DONE;
    }
    int status = allocate(in, sizeof(int32_t));
    for (size_t i = 0; status == EXIT_DONE && i < header->elements; i++) {
        int64_t value = ((const int64_t *)in->array.data)[i];
        if (value < INT32_MIN || value > INT32_MAX)
            return fail("%s: element %zu is %lld; it has to fit in 32 bits", in->option, i, (long long)value);
        ((int32_t *)in->converted)[i] = (int32_t)value;
    }
    return status;
}

int operand_to_indices(operand *in)
{
    return to_int32(in, 1);
}

int operand_to_index_table(operand *in)
{
    return to_int32(in, 2);
}
