/* SPDX-License-Identifier: BSD-2-Clause */
/* The reference of merge on cases small enough to be worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/ref.h"

#define LN2   0.69314718055994531
#define LN3   1.0986122886681098
#define EMPTY (-INFINITY)

static void assert_near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-6))
        fail_msg("got %.9g, want %.9g", got, want);
}

/* [parts, 1 token, 1 head, 2], f32. */
static clattn_merge_desc simple_desc(int has_sinks)
{
    return CLATTN_MERGE_DESC(.q_heads = 1, .v_head_dim = 2, .max_parts = 8, .max_tokens = 1, .o_parts = { 2, 2, 2 },
                             .lse_parts = { 1, 1, 1 }, .o = { 2, 2 }, .has_lse = 1, .lse = { 1, 1 },
                             .has_sinks = has_sinks);
}

static double merge(const float *o, const float *lse, const float *sink, int32_t parts, double out[2])
{
    const clattn_merge_desc desc = simple_desc(sink != NULL);
    const ref_merge_inputs in = { o, lse, sink, parts };
    return ref_merge_row(&desc, &in, 0, 0, out);
}

static void test_weights_are_exponentials(void **state)
{
    (void)state;
    const float o[] = { 3.0f, 30.0f, 6.0f, 60.0f }, lse[] = { 0.0f, (float)LN2 };
    double out[2];
    assert_near(merge(o, lse, NULL, 2, out), LN3);
    assert_near(out[0], 5.0);
    assert_near(out[1], 50.0);
}

static void test_sink_counts_once_in_the_denominator(void **state)
{
    (void)state;
    const float o[] = { 3.0f, 6.0f, 6.0f, 3.0f }, lse[] = { 0.0f, 0.0f }, sink = 0.0f;
    double out[2];
    assert_near(merge(o, lse, &sink, 2, out), LN3);
    assert_near(out[0], 3.0);
    assert_near(merge(o, lse, &sink, 1, out), LN2);
    assert_near(out[1], 3.0);
}

static void test_empty_parts_take_no_part(void **state)
{
    (void)state;
    const float o[] = { NAN, NAN, 0.1f, -0.0f, NAN, INFINITY }, lse[] = { EMPTY, 0.3f, EMPTY }, none = EMPTY;
    double out[2];
    assert_true(merge(o, lse, NULL, 3, out) == (double)lse[1]);
    assert_true(out[0] == (double)o[2] && signbit(out[1]));
    assert_true(merge(o, lse, &none, 3, out) == (double)lse[1]);
}

static void test_nothing_but_empty_parts(void **state)
{
    (void)state;
    const float o[] = { NAN, NAN }, lse[] = { EMPTY }, sink = 0.25f;
    double out[2] = { 7.0, 7.0 };
    for (int32_t parts = 0; parts <= 1; parts++) {
        assert_true(merge(o, lse, NULL, parts, out) == -(double)INFINITY && out[0] == 0.0 && out[1] == 0.0);
        assert_true(merge(o, lse, &sink, parts, out) == 0.25 && out[0] == 0.0 && out[1] == 0.0);
    }
}

static void test_huge_lses_do_not_overflow(void **state)
{
    (void)state;
    const float o[] = { 1.0f, 2.0f, 3.0f, 4.0f }, lse[] = { -1e30f, 1e30f };
    double out[2];
    assert_true(merge(o, lse, NULL, 2, out) == (double)1e30f);
    assert_near(out[0], 3.0);
}

static void test_nan_and_inf_give_what_ieee_gives(void **state)
{
    (void)state;
    const float o[] = { 1.0f, 2.0f, NAN, 4.0f }, nan_lse[] = { 0.0f, NAN }, inf_lse[] = { 0.0f, INFINITY };
    const float lse[] = { 0.0f, 0.0f };
    double out[2];
    assert_true(isnan(merge(o, nan_lse, NULL, 2, out)) && isnan(out[1]));
    assert_true(isnan(merge(o, inf_lse, NULL, 2, out)) && isnan(out[1]));
    assert_near(merge(o, lse, NULL, 2, out), LN2);
    assert_true(isnan(out[0]));
    assert_near(out[1], 3.0);
}

static void test_strides_and_types(void **state)
{
    (void)state;
    const uint16_t o[] = { 0, 0, 0x3c00, 0, 0, 0x4000, 0, 0x4400, 0, 0, 0x4800 }; /* 1, 2, 4, 8 in f16 */
    const float lse[] = { 9, 0, 9, EMPTY, 9, EMPTY, 9, 0 };
    const clattn_merge_desc desc =
        CLATTN_MERGE_DESC(.part_dtype = CLATTN_F16, .q_heads = 2, .v_head_dim = 1, .max_parts = 2, .max_tokens = 1,
                          .o_parts = { 5, 0, 3 }, .lse_parts = { 4, 0, 2 });
    const ref_merge_inputs in = { o + 2, lse + 1, NULL, 2 };
    double out;
    assert_int_equal(ref_merge_filled(&desc, &in, 0, 0), 1);
    assert_true(ref_merge_row(&desc, &in, 0, 0, &out) == 0.0 && out == 1.0);
    assert_true(ref_merge_row(&desc, &in, 0, 1, &out) == 0.0 && out == 8.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_are_exponentials),  cmocka_unit_test(test_sink_counts_once_in_the_denominator),
        cmocka_unit_test(test_empty_parts_take_no_part),  cmocka_unit_test(test_nothing_but_empty_parts),
        cmocka_unit_test(test_huge_lses_do_not_overflow), cmocka_unit_test(test_nan_and_inf_give_what_ieee_gives),
        cmocka_unit_test(test_strides_and_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
