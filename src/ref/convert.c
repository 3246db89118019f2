/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "ref/ref_internal.h"

typedef struct storage {
    int32_t block_len;
    int64_t size;
} storage;

static const storage storages[CLATTN_DTYPE_COUNT] = {
#define CLATTN_DTYPE_ROW(id, name, block_len, size, alignment) [CLATTN_##id] = { block_len, size },
#include "util/dtypes.def"
#undef CLATTN_DTYPE_ROW
};

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

float ref_f32_from_f16(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    uint32_t exponent = (bits >> 10) & 31u;
    uint32_t mantissa = bits & 1023u;
    if (exponent == 31)
        return float_of(sign | 0x7f800000u | mantissa << 13);
    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24, exact in a float */
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return float_of(sign | (exponent + 112u) << 23 | mantissa << 13);
}

float ref_f32_from_bf16(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

uint16_t ref_f16_from_f32(float value)
{
    uint32_t bits = bits_of(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return sign | 0x7e00u;
    if (magnitude >= 0x477ff000u) /* 65520, half way between the largest finite value and 2^16 */
        return sign | 0x7c00u;
    if (magnitude < 0x38800000u) /* below 2^-14: a count of 2^-24; a count of 1024 is the smallest normal number */
        return sign | (uint16_t)rint((double)float_of(magnitude) * 0x1p24);
    uint32_t rebiased = magnitude - (112u << 23);
    return sign | (uint16_t)((rebiased + 0xfffu + (rebiased >> 13 & 1u)) >> 13);
}

uint16_t ref_bf16_from_f32(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u); /* a NaN whose payload is in the lower half would become Inf */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* To float with the last bit odd when inexact, so that a second rounding to a shorter type gives what one rounding of
 * `value` would. */
static float round_to_odd(double value)
{
    float rounded = (float)value;
    if (isnan(value) || (double)rounded == value || (bits_of(rounded) & 1u))
        return rounded;
    return nextafterf(rounded, value > (double)rounded ? INFINITY : -INFINITY);
}

float ref_f32_from_fp8(uint8_t bits)
{
    const int exponent = bits >> 3 & 15, mantissa = bits & 7;
    if (exponent == 15 && mantissa == 7)
        return NAN;
    const float magnitude = exponent == 0 ? ldexpf((float)mantissa, -9) : ldexpf((float)(8 + mantissa), exponent - 10);
    return bits & 0x80 ? -magnitude : magnitude;
}

static double q8_0_element(const uint8_t *block, int32_t i)
{
    uint16_t d;
    memcpy(&d, block, sizeof(d));
    return (double)ref_f32_from_f16(d) * (int8_t)block[2 + i];
}

static double q4_0_element(const uint8_t *block, int32_t i)
{
    uint16_t d;
    memcpy(&d, block, sizeof(d));
    const int pair = block[2 + i % 16];
    return (double)ref_f32_from_f16(d) * ((i < 16 ? pair & 15 : pair >> 4) - 8);
}

static double load_element(const void *row, clattn_dtype dtype, int32_t i)
{
    const int32_t block_len = storages[dtype].block_len;
    const uint8_t *block = (const uint8_t *)row + i / block_len * storages[dtype].size;
    switch (dtype) {
    case CLATTN_F32:
        return (double)((const float *)row)[i];
    case CLATTN_F16:
        return (double)ref_f32_from_f16(((const uint16_t *)row)[i]);
    case CLATTN_BF16:
        return (double)ref_f32_from_bf16(((const uint16_t *)row)[i]);
    case CLATTN_FP8:
        return (double)ref_f32_from_fp8(((const uint8_t *)row)[i]);
    case CLATTN_Q8_0:
        return q8_0_element(block, i % block_len);
    case CLATTN_Q4_0:
        return q4_0_element(block, i % block_len);
    }
    return (double)NAN;
}

void ref_load_row(const void *data, clattn_dtype dtype, int64_t start, int32_t count, double *out)
{
    const uint8_t *row = (const uint8_t *)data + start * storages[dtype].size;
    for (int32_t d = 0; d < count; d++)
        out[d] = load_element(row, dtype, d);
}

double ref_load(const void *data, clattn_dtype dtype, int64_t index)
{
    const int32_t block_len = storages[dtype].block_len;
    return load_element((const uint8_t *)data + index / block_len * storages[dtype].size, dtype,
                        (int32_t)(index % block_len));
}

void ref_store(void *data, clattn_dtype dtype, int64_t index, double value)
{
    switch (dtype) {
    case CLATTN_F32:
        ((float *)data)[index] = (float)value;
        break;
    case CLATTN_F16:
        ((uint16_t *)data)[index] = ref_f16_from_f32(round_to_odd(value));
        break;
    case CLATTN_BF16:
        ((uint16_t *)data)[index] = ref_bf16_from_f32(round_to_odd(value));
        break;
    default: /* types with scales are not stored element by element */
        break;
    }
}
