/* SPDX-License-Identifier: BSD-2-Clause */
#include <clattn/types.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[CLATTN_DTYPE_COUNT] = {
    [CLATTN_F32] = { "f32", 4 },
    [CLATTN_F16] = { "f16", 2 },
    [CLATTN_BF16] = { "bf16", 2 },
};

static int known(clattn_dtype dtype)
{
    return (int)dtype >= 0 && (int)dtype < CLATTN_DTYPE_COUNT;
}

const char *clattn_dtype_name(clattn_dtype dtype)
{
    return known(dtype) ? dtypes[dtype].name : NULL;
}

size_t clattn_dtype_size(clattn_dtype dtype)
{
    return known(dtype) ? dtypes[dtype].size : 0;
}
