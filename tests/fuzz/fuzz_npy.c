/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of a .npy file: nothing outside them is read, and what is accepted is consistent and survives being written. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    npy_header header, again;
    char message[128] = "", formatted[NPY_HEADER_MAX], text[NPY_SHAPE_TEXT];
    if (!npy_parse(data, size, &header, message, sizeof message)) {
        require(message[0] != '\0' && strchr(message, '\n') == NULL);
        return 0;
    }
    size_t bytes = header.elements * npy_type_size(header.type);
    require(header.data_offset + bytes == size);
    require(strlen(npy_shape_text(header.rank, header.shape, text)) > 1);
    size_t prefix = npy_format_header(header.type, header.rank, header.shape, formatted);
    char *whole = malloc(prefix + bytes);
    if (!whole)
        return 0;
    memcpy(whole, formatted, prefix);
    memcpy(whole + prefix, data + header.data_offset, bytes);
    require(npy_parse(whole, prefix + bytes, &again, message, sizeof message));
    require(again.type == header.type && again.rank == header.rank && again.elements == header.elements);
    require(memcmp(again.shape, header.shape, sizeof header.shape) == 0);
    free(whole);
    return 0;
}
