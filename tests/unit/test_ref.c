/* SPDX-License-Identifier: BSD-2-Clause */
/* The reference on cases small enough to be worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/ref.h"

#define LN2 0.69314718055994531
#define LN3 1.0986122886681098
#define LN6 1.7917594692280550

static void assert_near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-6))
        fail_msg("got %.9g, want %.9g", got, want);
}

/* One sequence, one head, head_dim 1, scale 1 and Q = 1: the logits are K itself. */
static const float ones[16] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
static const float zeros[16] = { 0 };
static const float counting[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

static clattn_attention_desc simple_desc(int32_t q_len, int32_t kv_len)
{
    return CLATTN_ATTENTION_DESC(.q_heads = 1, .kv_heads = 1, .head_dim = 1, .max_batch = 1, .max_q_len = q_len,
                                 .max_kv_len = kv_len, .q = { .token = 1 }, .k = { .token = 1 }, .v = { .token = 1 },
                                 .o = { .token = 1 }, .lse = { .token = 1 }, .scale = 1.0f);
}

static ref_inputs simple_inputs(int32_t q_len, int32_t kv_len, const float *k, const float *v)
{
    return (ref_inputs){ .q = ones, .k = k, .v = v, .batch = 1, .q_len = q_len, .kv_len = kv_len };
}

static ref_row row_of(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t head, int32_t i,
                      double *out)
{
    ref_row row;
    assert_true(ref_attention_row(desc, in, b, head, i, out, &row));
    return row;
}

/* The attended keys of one row as bits, key 0 lowest. */
static unsigned attended(const clattn_attention_desc *desc, const ref_inputs *in, int32_t i)
{
    unsigned bits = 0;
    for (int32_t j = 0; j < 16; j++)
        bits |= (unsigned)ref_attends(desc, in, 0, 0, i, j) << j;
    return bits;
}

static void test_softmax_of_logs(void **state)
{
    (void)state;
    const float k[] = { 0.0f, (float)LN2, (float)LN3 }, v[] = { 6.0f, 12.0f, 18.0f };
    clattn_attention_desc desc = simple_desc(1, 3);
    ref_inputs in = simple_inputs(1, 3, k, v);
    double out;
    ref_row row = row_of(&desc, &in, 0, 0, 0, &out);
    assert_near(out, 14.0); /* (1 * 6 + 2 * 12 + 3 * 18) / 6 */
    assert_near(row.lse, LN6);
    assert_near(row.max_abs_logit, LN3);
    assert_int_equal(row.attended, 3);
}

static void test_default_scale_is_1_over_sqrt_head_dim(void **state)
{
    (void)state;
    const float k[8] = { (float)LN2, (float)LN2, 0, 0, 0, 0, 0, 0 }, v[2] = { 3.0f, 9.0f };
    clattn_attention_desc desc = simple_desc(1, 2);
    desc.head_dim = 4;
    desc.v_head_dim = 1;
    desc.scale = 0.0f;
    desc.k.token = 4;
    ref_inputs in = simple_inputs(1, 2, k, v);
    double out;
    ref_row row = row_of(&desc, &in, 0, 0, 0, &out);
    assert_near(row.lse, LN3); /* logits 2 LN2 / 2 and 0 */
    assert_near(out, 5.0);     /* (2 * 3 + 1 * 9) / 3 */
}

static void test_large_logits_do_not_overflow(void **state)
{
    (void)state;
    const float k[] = { 5000.0f, 5000.0f, -5000.0f };
    clattn_attention_desc desc = simple_desc(1, 3);
    ref_inputs in = simple_inputs(1, 3, k, counting);
    double out;
    ref_row row = row_of(&desc, &in, 0, 0, 0, &out);
    assert_near(out, 1.5);
    assert_near(row.lse, 5000.0 + LN2);
}

static void test_causal_positions(void **state)
{
    (void)state;
    clattn_attention_desc desc = simple_desc(5, 5);
    desc.causal = 1;
    ref_inputs in = simple_inputs(2, 5, zeros, counting);
    double out;
    assert_int_equal(attended(&desc, &in, 0), 0x0f); /* bottom-right: p = 3 */
    assert_int_equal(attended(&desc, &in, 1), 0x1f);
    row_of(&desc, &in, 0, 0, 0, &out);
    assert_near(out, 2.5);

    in = simple_inputs(5, 3, zeros, counting); /* more queries than keys: the first two stand before key 0 */
    assert_int_equal(attended(&desc, &in, 1), 0x0);
    assert_int_equal(attended(&desc, &in, 2), 0x1);
    assert_int_equal(attended(&desc, &in, 4), 0x7);

    desc.q_offset_mode = CLATTN_Q_OFFSET_CONSTANT;
    desc.q_offset = 0; /* top-left */
    assert_int_equal(attended(&desc, &in, 0), 0x1);
    assert_int_equal(attended(&desc, &in, 4), 0x7);
    desc.q_offset = -2;
    assert_int_equal(attended(&desc, &in, 1), 0x0);
    assert_int_equal(attended(&desc, &in, 2), 0x1);

    const int32_t offsets[] = { 1 };
    desc.q_offset_mode = CLATTN_Q_OFFSET_ARRAY;
    in.q_offsets = offsets;
    assert_int_equal(attended(&desc, &in, 0), 0x3);
}

static void test_windows(void **state)
{
    (void)state;
    clattn_attention_desc desc = simple_desc(8, 8);
    desc.window_mode = CLATTN_WINDOW_LR;
    desc.window_left = 2;
    desc.window_right = 1;
    ref_inputs in = simple_inputs(8, 8, zeros, counting);
    assert_int_equal(attended(&desc, &in, 0), 0x03);
    assert_int_equal(attended(&desc, &in, 4), 0x3c);
    assert_int_equal(attended(&desc, &in, 7), 0xe0);
    desc.causal = 1; /* both hold */
    assert_int_equal(attended(&desc, &in, 4), 0x1c);
    desc.causal = 0;
    desc.window_left = -1;
    desc.window_right = 0;
    assert_int_equal(attended(&desc, &in, 4), 0x1f);
    desc.window_left = 0;
    desc.window_right = -1;
    assert_int_equal(attended(&desc, &in, 4), 0xf0);
    desc.window_left = desc.window_right = 0;
    assert_int_equal(attended(&desc, &in, 4), 0x10);
    desc.window_mode = CLATTN_WINDOW_NONE; /* then the edges do not count */
    assert_int_equal(attended(&desc, &in, 4), 0xff);
}

static void test_extreme_offsets_and_windows_do_not_wrap(void **state)
{
    (void)state;
    clattn_attention_desc desc = simple_desc(4, 4);
    desc.causal = 1;
    desc.window_mode = CLATTN_WINDOW_LR;
    desc.window_left = desc.window_right = INT32_MAX;
    desc.q_offset_mode = CLATTN_Q_OFFSET_CONSTANT;
    desc.q_offset = INT32_MAX;
    ref_inputs in = simple_inputs(4, 4, zeros, counting);
    assert_int_equal(attended(&desc, &in, 0), 0xf);
    assert_int_equal(attended(&desc, &in, 3), 0x8); /* p - left = 3 */
    desc.q_offset = INT32_MIN;
    assert_int_equal(attended(&desc, &in, 0), 0x0);
    desc.causal = 0;
    assert_int_equal(attended(&desc, &in, 0), 0x0); /* p + right = -1 */
    assert_int_equal(attended(&desc, &in, 1), 0x1);
}

static void test_boolean_mask_broadcasts_by_strides(void **state)
{
    (void)state;
    const uint8_t mask[] = { 1, 0, 2, 0, 1, 255 }; /* [2, 3] */
    clattn_attention_desc desc = simple_desc(2, 3);
    desc.mask_kind = CLATTN_MASK_BOOL;
    desc.mask_q_stride = 3;
    desc.mask_kv_stride = 1;
    ref_inputs in = simple_inputs(2, 3, zeros, counting);
    in.mask = mask;
    assert_int_equal(attended(&desc, &in, 0), 0x5);
    assert_int_equal(attended(&desc, &in, 1), 0x6);
    desc.mask_q_stride = 0;
    assert_int_equal(attended(&desc, &in, 1), 0x5);
    desc.causal = 1; /* bottom-right: row 0 at p = 1 */
    assert_int_equal(attended(&desc, &in, 0), 0x1);
}

static void test_additive_masks(void **state)
{
    (void)state;
    const float mask[] = { -1e30f, (float)LN2, -9e29f, -INFINITY };
    clattn_attention_desc desc = simple_desc(1, 4);
    desc.mask_kind = CLATTN_MASK_ADD_F32;
    desc.mask_kv_stride = 1;
    ref_inputs in = simple_inputs(1, 4, zeros, counting);
    in.mask = mask;
    double out;
    assert_int_equal(attended(&desc, &in, 0), 0x6);
    ref_row row = row_of(&desc, &in, 0, 0, 0, &out);
    assert_near(row.lse, LN2);
    assert_near(out, 2.0);
    assert_near(row.max_abs_logit, LN2); /* the key with weight 0 loosens nothing */

    const uint16_t half[] = { 0xfc00, 0x0000, 0xfbff, 0x3c00 }; /* -inf, 0, -65504, 1 */
    desc.mask_kind = CLATTN_MASK_ADD_F16;
    in.mask = half;
    assert_int_equal(attended(&desc, &in, 0), 0xe);
    row = row_of(&desc, &in, 0, 0, 0, &out);
    assert_near(row.lse, log(1.0 + exp(1.0)));
}

static void test_mask_offsets_and_row_strides_of_sequences(void **state)
{
    (void)state;
    const uint8_t mask[] = { 9, 1, 0, 0, 0, 1, 1 };
    const int64_t offsets[] = { 5, 1 }, row_strides[] = { 0, 3 };
    const int32_t cu_q[] = { 0, 1, 3 }, cu_kv[] = { 0, 2, 4 };
    clattn_attention_desc desc = simple_desc(2, 2);
    desc.max_batch = 2;
    desc.q_length_mode = desc.kv_length_mode = CLATTN_LENGTH_RAGGED;
    desc.mask_kind = CLATTN_MASK_BOOL;
    desc.mask_kv_stride = 1;
    desc.has_mask_offsets = desc.has_mask_row_strides = 1;
    ref_inputs in = simple_inputs(0, 0, zeros, counting);
    in.batch = 2;
    in.cu_seqlens_q = cu_q;
    in.cu_seqlens_kv = cu_kv;
    in.mask = mask;
    in.mask_offsets = offsets;
    in.mask_row_strides = row_strides;
    assert_true(ref_attends(&desc, &in, 0, 0, 0, 0) && ref_attends(&desc, &in, 0, 0, 0, 1));
    assert_true(ref_attends(&desc, &in, 1, 0, 0, 0) && !ref_attends(&desc, &in, 1, 0, 0, 1));
    assert_true(!ref_attends(&desc, &in, 1, 0, 1, 0) && ref_attends(&desc, &in, 1, 0, 1, 1));
    double out;
    row_of(&desc, &in, 1, 0, 1, &out);
    assert_near(out, 4.0); /* the second sequence's second key is the packed buffer's fourth */
}

static void test_soft_cap_then_alibi_then_mask(void **state)
{
    (void)state;
    const float k[] = { 3.0f }, slopes[] = { 0.5f }, mask[] = { 0.25f };
    clattn_attention_desc desc = simple_desc(1, 1);
    desc.softcap = 2.0f;
    desc.has_alibi = 1;
    desc.q_offset_mode = CLATTN_Q_OFFSET_CONSTANT;
    desc.q_offset = 2;
    desc.mask_kind = CLATTN_MASK_ADD_F32;
    ref_inputs in = simple_inputs(1, 1, k, counting);
    in.alibi_slopes = slopes;
    in.mask = mask;
    double out;
    ref_row row = row_of(&desc, &in, 0, 0, 0, &out);
    assert_near(row.lse, 2.0 * tanh(1.5) - 1.0 + 0.25);
    desc.q_offset = -2; /* the distance has no sign */
    row = row_of(&desc, &in, 0, 0, 0, &out);
    assert_near(row.lse, 2.0 * tanh(1.5) - 1.0 + 0.25);
}

static void test_sinks(void **state)
{
    (void)state;
    const float v[] = { 1.0f, 3.0f }, sinks[] = { (float)LN2 };
    clattn_attention_desc desc = simple_desc(2, 2);
    desc.has_sinks = 1;
    desc.scale = 100.0f; /* does not touch the sink */
    ref_inputs in = simple_inputs(2, 2, zeros, v);
    in.sinks = sinks;
    double out;
    ref_row row = row_of(&desc, &in, 0, 0, 0, &out);
    assert_near(out, 1.0); /* (1 + 3) / (1 + 1 + 2) */
    assert_near(row.lse, 2.0 * LN2);
    in.kv_len = 0;
    row = row_of(&desc, &in, 0, 0, 0, &out);
    assert_true(out == 0.0);
    assert_near(row.lse, LN2);
    assert_int_equal(row.attended, 0);
}

static void test_empty_row_without_sink(void **state)
{
    (void)state;
    clattn_attention_desc desc = simple_desc(1, 2);
    desc.window_mode = CLATTN_WINDOW_LR;
    desc.q_offset_mode = CLATTN_Q_OFFSET_CONSTANT;
    desc.q_offset = 7;
    ref_inputs in = simple_inputs(1, 2, zeros, counting);
    double out = 5.0;
    ref_row row = row_of(&desc, &in, 0, 0, 0, &out);
    assert_true(out == 0.0);
    assert_true(isinf(row.lse) && row.lse < 0.0);
}

static void test_query_heads_share_kv_heads(void **state)
{
    (void)state;
    const float v[] = { 10.0f, 20.0f };
    clattn_attention_desc desc = simple_desc(1, 1);
    desc.q_heads = 6;
    desc.kv_heads = 2;
    desc.k.head = desc.v.head = 1;
    ref_inputs in = simple_inputs(1, 1, zeros, v);
    for (int32_t head = 0; head < 6; head++) {
        double out;
        row_of(&desc, &in, 0, head, 0, &out);
        assert_near(out, head < 3 ? 10.0 : 20.0);
    }
}

static void test_v_inside_k_and_batch_strides(void **state)
{
    (void)state;
    const float k[] = { 0, 0, 7, 0, 0, 9, 0, 0, 1, 0, 0, 3 }; /* [batch 2, kv 2, dim 3], V is the last dim */
    clattn_attention_desc desc = simple_desc(1, 2);
    desc.head_dim = 2;
    desc.v_head_dim = 1;
    desc.max_batch = 2;
    desc.k = desc.v = (clattn_strides){ .batch = 6, .token = 3 };
    ref_inputs in = simple_inputs(1, 2, k, k + 2);
    in.batch = 2;
    double out;
    row_of(&desc, &in, 0, 0, 0, &out);
    assert_near(out, 8.0);
    row_of(&desc, &in, 1, 0, 0, &out);
    assert_near(out, 2.0);
}

static void test_lengths_are_clamped(void **state)
{
    (void)state;
    const int32_t cu[] = { 0, 5, 3, 9, 7 }, kv_lens[] = { 2, 9, -4, 1 };
    clattn_attention_desc desc = simple_desc(4, 4);
    desc.max_batch = 4;
    desc.max_q_tokens = desc.max_kv_tokens = 6;
    ref_inputs in = {
        .batch = 4, .q_len = 9, .kv_len = -1, .cu_seqlens_q = cu, .cu_seqlens_kv = cu, .kv_lens = kv_lens
    };
    assert_int_equal(ref_q_len(&desc, &in, 0), 4);
    assert_int_equal(ref_kv_len(&desc, &in, 0), 0);
    desc.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    static const int32_t per_sequence[] = { 2, 4, 0, 1 };
    static const int32_t packed[] = { 4, 0, 3, 0 }; /* bound, decreasing, cut at 6 tokens, decreasing past the end */
    static const int32_t packed_used[] = { 2, 0, 0, 0 }; /* and no more than kv_lens */
    for (int32_t b = 0; b < 4; b++)
        assert_int_equal(ref_kv_len(&desc, &in, b), per_sequence[b]);
    desc.q_length_mode = desc.kv_length_mode = CLATTN_LENGTH_RAGGED;
    for (int32_t b = 0; b < 4; b++) {
        assert_int_equal(ref_q_len(&desc, &in, b), packed[b]);
        assert_int_equal(ref_kv_len(&desc, &in, b), packed[b]);
    }
    desc.has_kv_lens = 1;
    for (int32_t b = 0; b < 4; b++)
        assert_int_equal(ref_kv_len(&desc, &in, b), packed_used[b]);
}

static void test_unattended_keys_are_never_touched(void **state)
{
    (void)state;
    const float k[] = { 0.0f, NAN, 0.0f }, v[] = { 1.0f, INFINITY, 3.0f };
    const uint8_t mask[] = { 1, 0, 1 };
    clattn_attention_desc desc = simple_desc(1, 3);
    desc.mask_kind = CLATTN_MASK_BOOL;
    desc.mask_kv_stride = 1;
    ref_inputs in = simple_inputs(1, 3, k, v);
    in.mask = mask;
    double out;
    ref_row row = row_of(&desc, &in, 0, 0, 0, &out);
    assert_near(out, 2.0);
    assert_near(row.lse, LN2);
}

static void test_attended_nan_and_inf_give_what_ieee_gives(void **state)
{
    (void)state;
    clattn_attention_desc desc = simple_desc(1, 2);
    const float nan_key[] = { 0.0f, NAN }, inf_key[] = { 0.0f, INFINITY }, low_key[] = { 0.0f, -INFINITY };
    const float inf_value[] = { 1.0f, INFINITY }, low_keys[] = { -INFINITY, -INFINITY };
    double out;
    ref_inputs in = simple_inputs(1, 2, nan_key, counting);
    assert_true(isnan(row_of(&desc, &in, 0, 0, 0, &out).lse) && isnan(out));
    in.k = inf_key;
    assert_true(isnan(row_of(&desc, &in, 0, 0, 0, &out).lse) && isnan(out));
    in.k = low_key;
    assert_near(row_of(&desc, &in, 0, 0, 0, &out).lse, 0.0);
    assert_near(out, 1.0);
    in.k = zeros;
    in.v = inf_value;
    assert_near(row_of(&desc, &in, 0, 0, 0, &out).lse, LN2);
    assert_true(isinf(out) && out > 0.0);
    in.v = counting;
    in.k = low_keys;
    assert_true(isnan(row_of(&desc, &in, 0, 0, 0, &out).lse) && isnan(out));
}

static void test_storage_types(void **state)
{
    (void)state;
    const uint16_t q[] = { 0x4000 }, k[] = { 0x3f00, 0xbf00 }; /* 2 in f16; 0.5 and -0.5 in bf16 */
    const float v[] = { 1.0f, 0.0f };
    clattn_attention_desc desc = simple_desc(1, 2);
    desc.q_dtype = CLATTN_F16;
    desc.k_dtype = CLATTN_BF16;
    ref_inputs in = simple_inputs(1, 2, NULL, v);
    in.q = q;
    in.k = k;
    double out;
    ref_row row = row_of(&desc, &in, 0, 0, 0, &out);
    assert_near(row.lse, log(exp(1.0) + exp(-1.0)));
    assert_near(out, 1.0 / (1.0 + exp(-2.0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax_of_logs),
        cmocka_unit_test(test_default_scale_is_1_over_sqrt_head_dim),
        cmocka_unit_test(test_large_logits_do_not_overflow),
        cmocka_unit_test(test_causal_positions),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_extreme_offsets_and_windows_do_not_wrap),
        cmocka_unit_test(test_boolean_mask_broadcasts_by_strides),
        cmocka_unit_test(test_additive_masks),
        cmocka_unit_test(test_mask_offsets_and_row_strides_of_sequences),
        cmocka_unit_test(test_soft_cap_then_alibi_then_mask),
        cmocka_unit_test(test_sinks),
        cmocka_unit_test(test_empty_row_without_sink),
        cmocka_unit_test(test_query_heads_share_kv_heads),
        cmocka_unit_test(test_v_inside_k_and_batch_strides),
        cmocka_unit_test(test_lengths_are_clamped),
        cmocka_unit_test(test_unattended_keys_are_never_touched),
        cmocka_unit_test(test_attended_nan_and_inf_give_what_ieee_gives),
        cmocka_unit_test(test_storage_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
