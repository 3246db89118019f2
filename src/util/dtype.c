/* SPDX-License-Identifier: BSD-2-Clause */
#include <clattn/types.h>

static const struct {
    const char *name;
    int32_t block_len;
    size_t size, alignment;
} dtypes[CLATTN_DTYPE_COUNT] = {
#define CLATTN_DTYPE_ROW(id, name, block_len, size, alignment) [CLATTN_##id] = { name, block_len, size, alignment },
#include "util/dtypes.def"
#undef CLATTN_DTYPE_ROW
};

static int known(clattn_dtype dtype)
{
    return (int)dtype >= 0 && (int)dtype < CLATTN_DTYPE_COUNT;
}

const char *clattn_dtype_name(clattn_dtype dtype)
{
    return known(dtype) ? dtypes[dtype].name : NULL;
}

int32_t clattn_dtype_block_len(clattn_dtype dtype)
{
    return known(dtype) ? dtypes[dtype].block_len : 0;
}

size_t clattn_dtype_size(clattn_dtype dtype)
{
    return known(dtype) ? dtypes[dtype].size : 0;
}

size_t clattn_dtype_alignment(clattn_dtype dtype)
{
    return known(dtype) ? dtypes[dtype].alignment : 0;
}
