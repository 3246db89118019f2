/* SPDX-License-Identifier: BSD-2-Clause */
#include "npy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *descr, *name;
    size_t size;
} types[NPY_TYPE_COUNT] = {
    [NPY_BOOL] = { "|b1", "bool", 1 },   [NPY_I32] = { "<i4", "int32", 4 },   [NPY_I64] = { "<i8", "int64", 8 },
    [NPY_F16] = { "<f2", "float16", 2 }, [NPY_F32] = { "<f4", "float32", 4 }, [NPY_F64] = { "<f8", "float64", 8 },
};

/* Where the parser stands in the header's text, and where its complaint goes. */
typedef struct reader {
    const char *at, *end;
    char *message;
    size_t size;
} reader;

__attribute__((format(printf, 2, 3))) static bool complain(const reader *in, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(in->message, in->size, format, arguments);
    va_end(arguments);
    return false;
}

static void skip_space(reader *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
        in->at++;
}

/* Skips white space and takes `c` when it is next. */
static bool take(reader *in, char c)
{
    skip_space(in);
    if (in->at == in->end || *in->at != c)
        return false;
    in->at++;
    return true;
}

static bool take_word(reader *in, const char *word)
{
    size_t length = strlen(word);
    skip_space(in);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0)
        return false;
    in->at += length;
    return true;
}

/* A quoted string without escapes. */
static bool take_string(reader *in, char *out, size_t size)
{
    skip_space(in);
    if (in->at == in->end || (*in->at != '\'' && *in->at != '"'))
        return false;
    const char *start = in->at + 1;
    const char *stop = memchr(start, *in->at, (size_t)(in->end - start));
    if (!stop || (size_t)(stop - start) >= size)
        return false;
    size_t length = (size_t)(stop - start);
    for (size_t i = 0; i < length; i++) /* what is not printable would spoil the message that quotes it */
        out[i] = start[i] >= ' ' && start[i] <= '~' ? start[i] : '?';
    out[length] = '\0';
    in->at = stop + 1;
    return true;
}

static bool parse_descr(reader *in, npy_header *out)
{
    char descr[32];
    if (take(in, '['))
        return complain(in, "holds records (a structured dtype); it has to hold plain numbers");
    if (!take_string(in, descr, sizeof descr))
        return complain(in, "is not a valid .npy file: its header has no readable 'descr'");
    if (strchr(descr, 'O'))
        return complain(in, "holds Python objects (dtype %s); it has to hold plain numbers", descr);
    if (strlen(descr) >= 2 && descr[0] == '>' && strcmp(descr + 1, "b1") != 0)
        return complain(in, "is big-endian (dtype %s); it has to be little-endian", descr);
    for (int i = 0; i < NPY_TYPE_COUNT; i++) {
        if (strlen(descr) >= 2 && strcmp(descr + 1, types[i].descr + 1) == 0 &&
            (descr[0] == types[i].descr[0] || i == NPY_BOOL)) {
            out->type = (npy_type)i;
            return true;
        }
    }
    return complain(in, "has dtype %s; it has to be bool, int32, int64, float16, float32 or float64", descr);
}

static bool parse_dimension(reader *in, int64_t *out)
{
    skip_space(in);
    if (in->at < in->end && *in->at == '-')
        return complain(in, "has a negative dimension; dimensions have to be at least 0");
    if (in->at == in->end || *in->at < '0' || *in->at > '9')
        return complain(in, "is not a valid .npy file: its header has no readable 'shape'");
    int64_t value = 0;
    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *in->at - '0', &value))
            return complain(in, "has a dimension over 2^63; that many elements cannot be held");
    *out = value;
    return true;
}

static bool parse_shape(reader *in, npy_header *out)
{
    if (!take(in, '('))
        return complain(in, "is not a valid .npy file: its header has no readable 'shape'");
    out->rank = 0;
    while (!take(in, ')')) {
        if (out->rank == NPY_MAX_RANK)
            return complain(in, "has more than %d dimensions", NPY_MAX_RANK);
        if (!parse_dimension(in, &out->shape[out->rank]))
            return false;
        out->rank++;
        if (!take(in, ',') && !(in->at < in->end && *in->at == ')'))
            return complain(in, "is not a valid .npy file: its header has no readable 'shape'");
    }
    return true;
}

static bool parse_order(reader *in, bool *fortran)
{
    *fortran = take_word(in, "True");
    if (*fortran || take_word(in, "False"))
        return true;
    return complain(in, "is not a valid .npy file: its header has no readable 'fortran_order'");
}

/* The header's dictionary: each of its three keys once, in any order. */
static bool parse_dictionary(reader *in, npy_header *out)
{
    static const char *const keys[] = { "descr", "fortran_order", "shape" };
    bool seen[3] = { false, false, false }, fortran = false;
    if (!take(in, '{'))
        return complain(in, "is not a valid .npy file: its header is not a dictionary");
    while (!take(in, '}')) {
        char key[32];
        if (!take_string(in, key, sizeof key) || !take(in, ':'))
            return complain(in, "is not a valid .npy file: its header's dictionary cannot be read");
        int k = 0;
        while (k < 3 && strcmp(key, keys[k]) != 0)
            k++;
        if (k == 3 || seen[k])
            return complain(in, "is not a valid .npy file: its header has %s key '%s'",
                            k == 3 ? "an unknown" : "twice the", key);
        seen[k] = true;
        if (!(k == 0 ? parse_descr(in, out) : k == 1 ? parse_order(in, &fortran) : parse_shape(in, out)))
            return false;
        skip_space(in);
        if (!take(in, ',') && !(in->at < in->end && *in->at == '}'))
            return complain(in, "is not a valid .npy file: its header's dictionary cannot be read");
    }
    for (int k = 0; k < 3; k++)
        if (!seen[k])
            return complain(in, "is not a valid .npy file: its header has no '%s'", keys[k]);
    if (fortran && out->rank > 1)
        return complain(in, "is in Fortran order; it has to be in C order (numpy.ascontiguousarray)");
    return true;
}

/* Counts elements; zero dimensions do not excuse the others from fitting. */
static bool count_elements(const reader *in, npy_header *out)
{
    size_t product = types[out->type].size;
    bool empty = false;
    for (int i = 0; i < out->rank; i++) {
        if (out->shape[i] == 0)
            empty = true;
        else if (__builtin_mul_overflow(product, (size_t)out->shape[i], &product) || product > PTRDIFF_MAX) {
            char text[NPY_SHAPE_TEXT];
            return complain(in, "has shape %s, whose size overflows 63 bits",
                            npy_shape_text(out->rank, out->shape, text));
        }
    }
    out->elements = empty ? 0 : product / types[out->type].size;
    return true;
}

static bool check_data(const reader *in, const npy_header *header, size_t data_size)
{
    size_t want = header->elements * types[header->type].size, have = data_size - header->data_offset;
    char text[NPY_SHAPE_TEXT];
    npy_shape_text(header->rank, header->shape, text);
    if (have < want)
        return complain(in, "is truncated: it has %zu bytes of data, and shape %s of %s needs %zu", have, text,
                        types[header->type].name, want);
    if (have > want)
        return complain(in, "has %zu bytes after its data, and shape %s of %s needs %zu", have - want, text,
                        types[header->type].name, want);
    return true;
}

bool npy_parse(const void *data, size_t data_size, npy_header *out, char *message, size_t size)
{
    const unsigned char *bytes = data;
    reader in = { .message = message, .size = size };
    memset(out, 0, sizeof *out);
    if (data_size < 6 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return complain(&in, "is not a .npy file");
    if (data_size < 8)
        return complain(&in, "is truncated in its header");
    if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
        return complain(&in, "is of .npy format %d.%d; it has to be 1.0, 2.0 or 3.0", bytes[6], bytes[7]);
    size_t prefix = bytes[6] == 1 ? 10 : 12;
    if (data_size < prefix)
        return complain(&in, "is truncated in its header");
    size_t length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] > 1)
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (data_size - prefix < length)
        return complain(&in, "is truncated in its header");
    in.at = (const char *)bytes + prefix;
    in.end = in.at + length;
    if (!parse_dictionary(&in, out))
        return false;
    skip_space(&in);
    if (in.at != in.end)
        return complain(&in, "is not a valid .npy file: something follows its header's dictionary");
    out->data_offset = prefix + length;
    return count_elements(&in, out) && check_data(&in, out, data_size);
}

/* Reads to the end, whatever the file is: pipes have no size. */
static void *read_all(FILE *file, size_t *out_size)
{
    size_t capacity = 1 << 16, used = 0;
    char *bytes = malloc(capacity);
    while (bytes) {
        used += fread(bytes + used, 1, capacity - used, file);
        if (used < capacity)
            break;
        capacity *= 2;
        char *larger = realloc(bytes, capacity);
        if (!larger)
            free(bytes);
        bytes = larger;
    }
    *out_size = used;
    return bytes;
}

/* Headers of other writers may leave the data unaligned. */
static void align_data(npy_array *array)
{
    size_t offset = array->header.data_offset, size = types[array->header.type].size;
    array->data = (const char *)array->file + offset;
    if (offset % size == 0)
        return;
    memmove(array->file, array->data, array->header.elements * size);
    array->data = array->file;
}

bool npy_read(const char *path, npy_array *out, char *message, size_t size)
{
    *out = (npy_array){ .file = NULL };
    errno = 0;
    FILE *file = fopen(path, "rb");
    if (!file) {
        snprintf(message, size, "cannot be opened: %s; it has to be a .npy file", strerror(errno));
        return false;
    }
    size_t bytes = 0;
    void *data = read_all(file, &bytes);
    bool sound = data && !ferror(file);
    if (!sound)
        snprintf(message, size, "cannot be read: %s; it has to be a .npy file", strerror(errno));
    fclose(file);
    out->file = data;
    if (!sound || !npy_parse(data, bytes, &out->header, message, size)) {
        npy_free(out);
        return false;
    }
    align_data(out);
    return true;
}

void npy_free(npy_array *array)
{
    free(array->file);
    *array = (npy_array){ .file = NULL };
}

size_t npy_type_size(npy_type type)
{
    return types[type].size;
}

const char *npy_type_name(npy_type type)
{
    return types[type].name;
}

size_t npy_format_header(npy_type type, int rank, const int64_t *shape, char *out)
{
    char *text = out + 10;
    size_t room = NPY_HEADER_MAX - 10;
    int used = snprintf(text, room, "{'descr': '%s', 'fortran_order': False, 'shape': (", types[type].descr);
    for (int i = 0; i < rank; i++)
        used += snprintf(text + used, room - (size_t)used, i == 0 ? "%lld%s" : " %lld%s", (long long)shape[i],
                         i + 1 < rank || rank == 1 ? "," : "");
    used += snprintf(text + used, room - (size_t)used, "), }");
    size_t length = (size_t)used + 1;
    size_t padded = (10 + length + 63) / 64 * 64 - 10; /* the data start at a multiple of 64 */
    memset(text + used, ' ', padded - (size_t)used);
    text[padded - 1] = '\n';
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)(padded & 255);
    out[9] = (char)(padded >> 8);
    return 10 + padded;
}

const char *npy_shape_text(int rank, const int64_t *shape, char *text)
{
    int used = snprintf(text, NPY_SHAPE_TEXT, "[");
    for (int i = 0; i < rank; i++)
        used += snprintf(text + used, NPY_SHAPE_TEXT - (size_t)used, "%s%lld", i ? ", " : "", (long long)shape[i]);
    snprintf(text + used, NPY_SHAPE_TEXT - (size_t)used, "]");
    return text;
}
