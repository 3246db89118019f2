/* SPDX-License-Identifier: BSD-2-Clause */
/* The comparer: what it counts, what it samples, and that the reference reproduces the shipped answers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "npy.h"
#include "ref/ref_internal.h"

/* [batch 2, q_len 3, q_heads 2, head_dim 2] against 4 keys. */
typedef struct fixture {
    clattn_attention_desc desc;
    ref_inputs in;
    float q[24], k[32], v[32], o[24], lse[12];
} fixture;

static void fixture_make(fixture *f)
{
    ref_random random = { 11 };
    clattn_strides q = { .batch = 12, .token = 4, .head = 2 }, kv = { .batch = 16, .token = 4, .head = 2 };
    f->desc = CLATTN_ATTENTION_DESC(.q_heads = 2, .kv_heads = 2, .head_dim = 2, .max_batch = 2, .max_q_len = 3,
                                    .max_kv_len = 4, .q = q, .k = kv, .v = kv, .o = q, .has_lse = 1,
                                    .lse = { .batch = 6, .token = 2, .head = 1 });
    f->in = (ref_inputs){ .q = f->q, .k = f->k, .v = f->v, .batch = 2, .q_len = 3, .kv_len = 4 };
    for (int n = 0; n < 24; n++)
        f->q[n] = (float)ref_random_normal(&random);
    for (int n = 0; n < 32; n++) {
        f->k[n] = (float)ref_random_normal(&random);
        f->v[n] = (float)ref_random_normal(&random);
    }
    for (int32_t b = 0; b < 2; b++)
        for (int32_t head = 0; head < 2; head++)
            for (int32_t i = 0; i < 3; i++) {
                double out[2];
                ref_row row;
                assert_true(ref_attention_row(&f->desc, &f->in, b, head, i, out, &row));
                int64_t at = ref_o_index(&f->desc, &f->in, b, i, head);
                f->o[at] = (float)out[0];
                f->o[at + 1] = (float)out[1];
                f->lse[ref_lse_index(&f->desc, &f->in, b, i, head)] = (float)row.lse;
            }
}

static void compare(const fixture *f, ref_comparison *o, ref_comparison *lse)
{
    assert_true(ref_compare(&f->desc, &f->in, f->o, f->lse, NULL, o, lse));
}

static void test_everything_is_compared_and_counted(void **state)
{
    (void)state;
    fixture f;
    ref_comparison o, lse;
    fixture_make(&f);
    compare(&f, &o, &lse);
    assert_int_equal(o.compared, 24);
    assert_int_equal(lse.compared, 12);
    assert_true(ref_passed(&o) && ref_passed(&lse));
    assert_true(o.max_error < 1e-6);
    assert_true(ref_compare(&f.desc, &f.in, f.o, NULL, NULL, &o, NULL));
    assert_int_equal(o.compared, 24);
}

static void test_a_wrong_element_is_found_and_named(void **state)
{
    (void)state;
    fixture f;
    ref_comparison o, lse;
    fixture_make(&f);
    f.o[ref_o_index(&f.desc, &f.in, 1, 2, 1) + 1] += 0.01f;
    f.lse[ref_lse_index(&f.desc, &f.in, 0, 1, 0)] -= 0.5f;
    compare(&f, &o, &lse);
    assert_int_equal(o.failed, 1);
    assert_false(ref_passed(&o));
    assert_true(o.b == 1 && o.i == 2 && o.q_head == 1 && o.d == 1);
    assert_true(fabs(o.max_error - 0.01) < 1e-6);
    assert_true(fabs(o.got - o.want - 0.01) < 1e-6);
    assert_int_equal(lse.failed, 1);
    assert_true(lse.b == 0 && lse.i == 1 && lse.q_head == 0 && lse.d == -1);
}

static void test_nan_matches_nan_only(void **state)
{
    (void)state;
    fixture f;
    ref_comparison o, lse;
    fixture_make(&f);
    f.o[5] = NAN;
    compare(&f, &o, &lse);
    assert_int_equal(o.failed, 1);
    assert_true(isinf(o.max_ratio));

    fixture_make(&f);
    f.v[0] = NAN; /* batch 0, head 0, dim 0: three rows */
    compare(&f, &o, &lse);
    assert_int_equal(o.failed, 3);
    for (int32_t i = 0; i < 3; i++)
        f.o[ref_o_index(&f.desc, &f.in, 0, i, 0)] = NAN;
    compare(&f, &o, &lse);
    assert_true(ref_passed(&o));
}

static void test_inf_matches_the_same_inf_only(void **state)
{
    (void)state;
    fixture f;
    ref_comparison o, lse;
    fixture_make(&f);
    f.in.kv_len = 0;
    memset(f.o, 0, sizeof(f.o));
    for (int n = 0; n < 12; n++)
        f.lse[n] = -INFINITY;
    compare(&f, &o, &lse);
    assert_true(ref_passed(&o) && ref_passed(&lse));
    f.lse[3] = INFINITY;
    f.lse[4] = -3e38f;
    f.lse[5] = NAN;
    compare(&f, &o, &lse);
    assert_int_equal(lse.failed, 3);
}

static void test_comparing_nothing_is_no_success(void **state)
{
    (void)state;
    fixture f;
    ref_comparison o, lse;
    fixture_make(&f);
    f.in.q_len = 0;
    compare(&f, &o, &lse);
    assert_int_equal(o.compared, 0);
    assert_false(ref_passed(&o));
    f.in.q_len = 3;
    f.in.batch = 0;
    compare(&f, &o, &lse);
    assert_false(ref_passed(&o) || ref_passed(&lse));
}

static void test_tolerances_are_the_contracts(void **state)
{
    (void)state;
    ref_tolerance f32 = ref_tolerance_of(CLATTN_F32), f16 = ref_tolerance_of(CLATTN_F16);
    ref_tolerance bf16 = ref_tolerance_of(CLATTN_BF16);
    assert_true(f32.absolute == 2e-5 && f32.logit == 1e-6 && f32.relative == 1e-3);
    assert_true(f16.absolute == 2e-3 && f16.logit == 0.0 && f16.relative == 4e-3);
    assert_true(bf16.absolute == 1.6e-2 && bf16.logit == 0.0 && bf16.relative == 1.6e-2);
}

static void test_samples_have_ends_and_tile_edges(void **state)
{
    (void)state;
    bool chosen[200], other[200];
    for (uint64_t seed = 0; seed < 50; seed++) {
        ref_sampling sampling = { .max_rows_per_head = 30, .row_tile = 32, .seed = seed };
        assert_int_equal(ref_sample_rows(&sampling, 0, 0, 200, chosen), 30);
        int count = 0;
        for (int i = 0; i < 200; i++)
            count += chosen[i];
        assert_int_equal(count, 30);
        assert_true(chosen[0] && chosen[199]);
        for (int edge = 32; edge < 200; edge += 32)
            assert_true(chosen[edge - 1] && chosen[edge]);
        assert_int_equal(ref_sample_rows(&sampling, 0, 1, 200, other), 30);
        assert_memory_not_equal(chosen, other, sizeof(chosen)); /* heads differ */
    }
}

static void test_samples_at_their_limits(void **state)
{
    (void)state;
    bool chosen[64];
    ref_sampling every = { 0 }, edges = { .max_rows_per_head = 1, .row_tile = 16 }, many = { .max_rows_per_head = 99 };
    assert_int_equal(ref_sample_rows(NULL, 0, 0, 64, chosen), 64);
    assert_int_equal(ref_sample_rows(&every, 0, 0, 64, chosen), 64);
    assert_int_equal(ref_sample_rows(&many, 0, 0, 64, chosen), 64);
    assert_int_equal(ref_sample_rows(&edges, 0, 0, 64, chosen), 8); /* edges come even over the limit */
    assert_int_equal(ref_sample_rows(&edges, 0, 0, 1, chosen), 1);
    assert_int_equal(ref_sample_rows(&edges, 0, 0, 0, chosen), 0);
}

static npy_array load_shipped(const char *name, npy_type type, int64_t heads)
{
    char path[1024], message[256];
    npy_array array;
    snprintf(path, sizeof(path), "%s/%s", EXAMPLES_DATA_DIR, name);
    if (!npy_read(path, &array, message, sizeof(message)))
        fail_msg("%s: %s", path, message);
    assert_int_equal(array.header.type, type);
    assert_int_equal(array.header.shape[1], heads);
    assert_int_equal(array.header.shape[2], 1024);
    return array;
}

static void test_reference_reproduces_the_shipped_answers(void **state)
{
    (void)state;
    enum { HEADS = 9, KV_HEADS = 3, N = 1024, D = 64 };
    npy_array q = load_shipped("layer16_q.npy", NPY_F16, HEADS);
    npy_array k = load_shipped("layer16_k.npy", NPY_F16, KV_HEADS);
    npy_array v = load_shipped("layer16_v.npy", NPY_F16, KV_HEADS);
    npy_array o = load_shipped("layer16_o.npy", NPY_F32, HEADS);
    npy_array lse = load_shipped("layer16_lse.npy", NPY_F32, HEADS);
    clattn_strides bhsd = { .token = D, .head = (int64_t)N * D };
    clattn_attention_desc desc =
        CLATTN_ATTENTION_DESC(.q_dtype = CLATTN_F16, .k_dtype = CLATTN_F16, .v_dtype = CLATTN_F16, .q_heads = HEADS,
                              .kv_heads = KV_HEADS, .head_dim = D, .max_batch = 1, .max_q_len = N, .max_kv_len = N,
                              .q = bhsd, .k = bhsd, .v = bhsd, .o = bhsd, .has_lse = 1,
                              .lse = { .token = 1, .head = N }, .scale = 0.125f, .causal = 1);
    ref_inputs in = { .q = q.data, .k = k.data, .v = v.data, .batch = 1, .q_len = N, .kv_len = N };
    ref_sampling sampling = { .max_rows_per_head = 64, .row_tile = 128, .seed = 1 };
    ref_comparison o_result, lse_result;
    assert_true(ref_compare(&desc, &in, o.data, lse.data, &sampling, &o_result, &lse_result));
    assert_int_equal(o_result.compared, HEADS * 64 * D);
    assert_int_equal(lse_result.compared, HEADS * 64);
    assert_true(ref_passed(&o_result) && ref_passed(&lse_result));
    print_message("largest error: O %.3g, LSE %.3g\n", o_result.max_error, lse_result.max_error);
    assert_true(o_result.max_error < 1e-6);
    assert_true(lse_result.max_error < 4e-6); /* a float of about 40 is exact to 2e-6 */
    npy_free(&q);
    npy_free(&k);
    npy_free(&v);
    npy_free(&o);
    npy_free(&lse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_compared_and_counted),
        cmocka_unit_test(test_a_wrong_element_is_found_and_named),
        cmocka_unit_test(test_nan_matches_nan_only),
        cmocka_unit_test(test_inf_matches_the_same_inf_only),
        cmocka_unit_test(test_comparing_nothing_is_no_success),
        cmocka_unit_test(test_tolerances_are_the_contracts),
        cmocka_unit_test(test_samples_have_ends_and_tile_edges),
        cmocka_unit_test(test_samples_at_their_limits),
        cmocka_unit_test(test_reference_reproduces_the_shipped_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
