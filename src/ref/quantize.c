/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "ref/ref.h"

#define BLOCK_LEN   32
#define Q8_0_SIZE   34
#define Q4_0_SIZE   18
#define FP8_LARGEST 0x7e
#define FP8_NAN     0x7f

/* The nearest of all codes, of two the even one: codes ascend, so it is one of the two around the value. */
uint8_t ref_fp8_from_f64(double value)
{
    const uint8_t sign = signbit(value) ? 0x80 : 0;
    const double magnitude = fabs(value);
    uint8_t low = 0, high = FP8_LARGEST;
    if (isnan(value))
        return sign | FP8_NAN;
    if (isinf(value))
        return sign | FP8_LARGEST;
    while (high - low > 1) {
        const uint8_t middle = (uint8_t)((low + high) / 2);
        if ((double)ref_f32_from_fp8(middle) <= magnitude)
            low = middle;
        else
            high = middle;
    }
    const double to_low = fabs(magnitude - (double)ref_f32_from_fp8(low));
    const double to_high = fabs(magnitude - (double)ref_f32_from_fp8(high));
    return sign | (to_low < to_high || (to_low == to_high && low % 2 == 0) ? low : high);
}

static void store_half(uint8_t *at, float value)
{
    const uint16_t bits = ref_f16_from_f32(value);
    memcpy(at, &bits, sizeof(bits));
}

/* A product that is infinite or no number gives 0: such a byte means nothing. */
static void store_q8_0(const float x[BLOCK_LEN], uint8_t *block)
{
    float largest = 0.0f;
    for (int i = 0; i < BLOCK_LEN; i++)
        if (fabsf(x[i]) > largest || isnan(x[i]))
            largest = isnan(largest) ? largest : fabsf(x[i]);
    const float d = largest / 127.0f;
    const float id = d == 0.0f ? 0.0f : 1.0f / d;
    store_half(block, d);
    for (int i = 0; i < BLOCK_LEN; i++) {
        const float q = x[i] * id;
        block[2 + i] = isfinite(q) ? (uint8_t)(int8_t)roundf(q) : 0;
    }
}

static uint8_t q4_0_quant(float x, float id)
{
    const float product = x * id; /* rounded before the addition, so no expression of both */
    const float q = product + 8.5f;
    if (!isfinite(product))
        return 0;
    return q >= 16.0f ? 15 : (uint8_t)q;
}

static void store_q4_0(const float x[BLOCK_LEN], uint8_t *block)
{
    float largest = x[0];
    for (int i = 1; i < BLOCK_LEN; i++)
        if (!isnan(largest) && (isnan(x[i]) || fabsf(x[i]) > fabsf(largest)))
            largest = x[i];
    const float d = largest / -8.0f;
    const float id = d == 0.0f ? 0.0f : 1.0f / d;
    store_half(block, d);
    for (int i = 0; i < BLOCK_LEN / 2; i++)
        block[2 + i] = (uint8_t)(q4_0_quant(x[i], id) | q4_0_quant(x[i + BLOCK_LEN / 2], id) << 4);
}

static void store_blocks(void *data, clattn_dtype dtype, int64_t start, int32_t count, const double *values)
{
    uint8_t *bytes = data;
    for (int32_t block = 0; block < count / BLOCK_LEN; block++) {
        float x[BLOCK_LEN];
        for (int i = 0; i < BLOCK_LEN; i++)
            x[i] = (float)values[block * BLOCK_LEN + i];
        if (dtype == CLATTN_Q8_0)
            store_q8_0(x, bytes + (start + block) * Q8_0_SIZE);
        else
            store_q4_0(x, bytes + (start + block) * Q4_0_SIZE);
    }
}

void ref_store_row(void *data, clattn_dtype dtype, int64_t start, int32_t count, const double *values)
{
    if (dtype == CLATTN_Q8_0 || dtype == CLATTN_Q4_0) {
        store_blocks(data, dtype, start, count, values);
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        if (dtype == CLATTN_FP8)
            ((uint8_t *)data)[start + i] = ref_fp8_from_f64(values[i]);
        else
            ref_store(data, dtype, start + i, values[i]);
    }
}
