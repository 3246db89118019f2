/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ref/ref.h"

/* What the bits of a format with `exponent_bits` and `mantissa_bits` stand for, by its definition. */
static double decode(unsigned bits, int exponent_bits, int mantissa_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (int)(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
    int mantissa = (int)bits & ((1 << mantissa_bits) - 1);
    double sign = bits >> (exponent_bits + mantissa_bits) & 1u ? -1.0 : 1.0;
    if (exponent == (1 << exponent_bits) - 1)
        return mantissa ? (double)NAN : sign * HUGE_VAL;
    if (exponent == 0)
        return sign * ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

static void assert_decodes(float got, double want)
{
    if (isnan(want)) {
        assert_true(isnan(got));
        return;
    }
    assert_true((double)got == want);
    assert_int_equal(!!signbit(got), !!signbit(want));
}

static void test_every_f16_decodes_and_comes_back(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 65536; bits++) {
        float value = ref_f32_from_f16((uint16_t)bits);
        assert_decodes(value, decode(bits, 5, 10));
        if (isnan(value))
            assert_true(isnan(ref_f32_from_f16(ref_f16_from_f32(value))));
        else
            assert_int_equal(ref_f16_from_f32(value), bits);
    }
}

static void test_every_bf16_decodes_and_comes_back(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 65536; bits++) {
        float value = ref_f32_from_bf16((uint16_t)bits);
        assert_decodes(value, decode(bits, 8, 7));
        if (isnan(value))
            assert_true(isnan(ref_f32_from_bf16(ref_bf16_from_f32(value))));
        else
            assert_int_equal(ref_bf16_from_f32(value), bits);
    }
}

/* Around the middle of every two neighbours of a 16-bit format, and of its largest value and what would come next:
 * below goes down, above goes up, the middle goes to the even one; of both signs. */
static void check_rounding(uint16_t (*encode)(float), int exponent_bits, int mantissa_bits)
{
    unsigned infinity = ((1u << exponent_bits) - 1) << mantissa_bits;
    for (unsigned low = 0; low < infinity; low++) {
        double next =
            low + 1 < infinity ? decode(low + 1, exponent_bits, mantissa_bits) : ldexp(1.0, 1 << (exponent_bits - 1));
        float middle = (float)((decode(low, exponent_bits, mantissa_bits) + next) / 2.0);
        unsigned even = low % 2 == 0 ? low : low + 1;
        assert_int_equal(encode(middle), even);
        assert_int_equal(encode(nextafterf(middle, 0.0f)), low);
        assert_int_equal(encode(nextafterf(middle, INFINITY)), low + 1);
        assert_int_equal(encode(-middle), even | 0x8000u);
        assert_int_equal(encode(-nextafterf(middle, 0.0f)), low | 0x8000u);
        assert_int_equal(encode(-nextafterf(middle, INFINITY)), (low + 1) | 0x8000u);
    }
}

static void test_f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    check_rounding(ref_f16_from_f32, 5, 10);
    assert_int_equal(ref_f16_from_f32(65519.0f), 0x7bff);
    assert_int_equal(ref_f16_from_f32(65520.0f), 0x7c00);
    assert_int_equal(ref_f16_from_f32(1e38f), 0x7c00);
    assert_int_equal(ref_f16_from_f32(-1e38f), 0xfc00);
    assert_int_equal(ref_f16_from_f32(1e-40f), 0);
}

static void test_bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    check_rounding(ref_bf16_from_f32, 8, 7);
}

static void test_nan_with_a_low_payload_stays_nan(void **state)
{
    (void)state;
    uint32_t bits = 0x7f800001u;
    float nan;
    memcpy(&nan, &bits, sizeof(nan));
    assert_true(isnan(ref_f32_from_bf16(ref_bf16_from_f32(nan))));
    assert_true(isnan(ref_f32_from_f16(ref_f16_from_f32(nan))));
}

static void test_store_rounds_doubles_once(void **state)
{
    (void)state;
    uint16_t half;
    double middle = 1.0 + 0x1p-11; /* of 1 and the next f16 */
    ref_store(&half, CLATTN_F16, 0, middle);
    assert_int_equal(half, 0x3c00);
    ref_store(&half, CLATTN_F16, 0, middle + 0x1p-40); /* a float in between would lose the difference */
    assert_int_equal(half, 0x3c01);
    ref_store(&half, CLATTN_F16, 0, -(1.0 + 0x1p-10 + 0x1p-11) + 0x1p-40);
    assert_int_equal(half, 0xbc01);
    ref_store(&half, CLATTN_BF16, 0, 1.0 + 0x1p-8 + 0x1p-40);
    assert_int_equal(half, 0x3f81);
    ref_store(&half, CLATTN_BF16, 0, 1e300);
    assert_int_equal(half, 0x7f80);
    ref_store(&half, CLATTN_F16, 0, (double)NAN);
    assert_true(isnan(ref_load(&half, CLATTN_F16, 0)));
}

static void test_load_and_store_by_type_and_index(void **state)
{
    (void)state;
    static const clattn_dtype dtypes[] = { CLATTN_F32, CLATTN_F16, CLATTN_BF16 };
    for (size_t t = 0; t < sizeof(dtypes) / sizeof(dtypes[0]); t++) {
        float room[3] = { 0.0f, 0.0f, 0.0f };
        ref_store(room, dtypes[t], 1, -2.5);
        assert_true(ref_load(room, dtypes[t], 0) == 0.0);
        assert_true(ref_load(room, dtypes[t], 1) == -2.5);
        assert_true(ref_load(room, dtypes[t], 2) == 0.0);
    }
}

static void test_every_fp8_decodes_and_comes_back(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 256; bits++) {
        const float value = ref_f32_from_fp8((uint8_t)bits);
        if ((bits & 0x7f) == 0x7f) {
            assert_true(isnan(value));
            continue;
        }
        const double magnitude = bits & 0x78 ? ldexp(8 + (bits & 7), (int)(bits >> 3 & 15) - 10) : ldexp(bits & 7, -9);
        assert_decodes(value, bits & 0x80 ? -magnitude : magnitude);
        assert_int_equal(ref_fp8_from_f64((double)value), bits);
    }
}

static void test_fp8_rounds_to_nearest_even_and_saturates(void **state)
{
    (void)state;
    for (unsigned low = 0; low < 0x7e; low++) {
        const double below = (double)ref_f32_from_fp8((uint8_t)low),
                     above = (double)ref_f32_from_fp8((uint8_t)(low + 1));
        const double middle = (below + above) / 2.0;
        const unsigned even = low % 2 == 0 ? low : low + 1;
        assert_int_equal(ref_fp8_from_f64(middle), even);
        assert_int_equal(ref_fp8_from_f64(-middle), even | 0x80);
        assert_int_equal(ref_fp8_from_f64(nextafter(middle, 0.0)), low);
        assert_int_equal(ref_fp8_from_f64(nextafter(middle, 1e9)), low + 1);
    }
    assert_int_equal(ref_fp8_from_f64(1e300), 0x7e);
    assert_int_equal(ref_fp8_from_f64((double)INFINITY), 0x7e);
    assert_int_equal(ref_fp8_from_f64((double)-INFINITY), 0xfe);
    assert_int_equal(ref_fp8_from_f64((double)NAN) & 0x7f, 0x7f);
    assert_int_equal(ref_fp8_from_f64(-0.0), 0x80);
}

typedef struct gguf_block {
    const char *what;
    uint32_t floats[32];
    uint8_t q8_0[34], q4_0[18];
} gguf_block;

static const gguf_block gguf_blocks[] = {
#define GGUF_BLOCK(...) { __VA_ARGS__ },
#include "../support/gguf_blocks.def"
#undef GGUF_BLOCK
};

static void assert_block(const gguf_block *block, clattn_dtype dtype, const uint8_t *want, size_t size)
{
    double values[32];
    uint8_t got[3 * 34];
    for (int i = 0; i < 32; i++) {
        float value;
        memcpy(&value, &block->floats[i], sizeof(value));
        values[i] = (double)value;
    }
    memset(got, 0xa5, sizeof(got));
    ref_store_row(got, dtype, 1, 32, values);
    for (size_t i = 0; i < 3 * size; i++) {
        const uint8_t byte = i >= size && i < 2 * size ? want[i - size] : 0xa5;
        if (got[i] != byte)
            fail_msg("%s, %s: byte %d is 0x%02x, not 0x%02x", block->what, dtype == CLATTN_Q8_0 ? "q8_0" : "q4_0",
                     (int)(i - size), got[i], byte);
    }
}

static void test_blocks_are_those_of_gguf(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(gguf_blocks) / sizeof(gguf_blocks[0]); n++) {
        assert_block(&gguf_blocks[n], CLATTN_Q8_0, gguf_blocks[n].q8_0, 34);
        assert_block(&gguf_blocks[n], CLATTN_Q4_0, gguf_blocks[n].q4_0, 18);
    }
}

static void test_rows_of_floats_are_stored_one_by_one(void **state)
{
    (void)state;
    static const double values[3] = { -2.5, 0.0, 448.0 };
    static const clattn_dtype dtypes[] = { CLATTN_F32, CLATTN_F16, CLATTN_BF16, CLATTN_FP8 };
    for (size_t t = 0; t < sizeof(dtypes) / sizeof(dtypes[0]); t++) {
        float room[5] = { 0.0f, 0.0f, 0.0f, 0.0f, 0.0f };
        ref_store_row(room, dtypes[t], 1, 3, values);
        for (int i = 0; i < 5; i++)
            assert_true(ref_load(room, dtypes[t], i) == (i >= 1 && i < 4 ? values[i - 1] : 0.0));
    }
}

static void test_generator_gives_splitmix64(void **state)
{
    (void)state;
    static const uint64_t zero[] = { 0xe220a8397b1dcdafu, 0x6e789e6aa1b965f4u, 0x06c45d188009454fu };
    static const uint64_t other[] = { 6457827717110365317u, 3203168211198807973u, 9817491932198370423u };
    ref_random a = { 0 }, b = { 1234567 };
    for (int n = 0; n < 3; n++) {
        assert_true(ref_random_bits(&a) == zero[n]);
        assert_true(ref_random_bits(&b) == other[n]);
    }
    ref_random uniform = { 0 };
    assert_true(ref_random_uniform(&uniform) == (double)(zero[0] >> 11) / 9007199254740992.0);
}

static void test_generator_ranges_include_both_ends(void **state)
{
    (void)state;
    ref_random random = { 7 };
    int seen[5] = { 0 };
    for (int n = 0; n < 1000; n++) {
        int64_t value = ref_random_range(&random, -2, 2);
        assert_in_range(value + 2, 0, 4);
        seen[value + 2]++;
    }
    for (int n = 0; n < 5; n++)
        assert_in_range(seen[n], 120, 280);
    assert_true(ref_random_range(&random, 9, 9) == 9);
    (void)ref_random_range(&random, INT64_MIN, INT64_MAX); /* a span of 2^64 must not divide by zero */
}

static void test_normal_has_mean_0_and_variance_1(void **state)
{
    (void)state;
    ref_random random = { 3 };
    const int count = 100000;
    double sum = 0.0, squares = 0.0;
    for (int n = 0; n < count; n++) {
        double x = ref_random_normal(&random);
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / count) < 0.02);
    assert_true(fabs(squares / count - 1.0) < 0.03);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_f16_decodes_and_comes_back),
        cmocka_unit_test(test_every_bf16_decodes_and_comes_back),
        cmocka_unit_test(test_f16_rounds_to_nearest_even),
        cmocka_unit_test(test_bf16_rounds_to_nearest_even),
        cmocka_unit_test(test_nan_with_a_low_payload_stays_nan),
        cmocka_unit_test(test_store_rounds_doubles_once),
        cmocka_unit_test(test_load_and_store_by_type_and_index),
        cmocka_unit_test(test_every_fp8_decodes_and_comes_back),
        cmocka_unit_test(test_fp8_rounds_to_nearest_even_and_saturates),
        cmocka_unit_test(test_blocks_are_those_of_gguf),
        cmocka_unit_test(test_rows_of_floats_are_stored_one_by_one),
        cmocka_unit_test(test_generator_gives_splitmix64),
        cmocka_unit_test(test_generator_ranges_include_both_ends),
        cmocka_unit_test(test_normal_has_mean_0_and_variance_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
