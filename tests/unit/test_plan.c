/* SPDX-License-Identifier: BSD-2-Clause */
/* src/plan without a device: how far strides reach and which descriptions are right. test_schedule.c has the rest. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "desc_limits.h"
#include "plan/problem.h"
#include "plan/reach.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define MOST_ELEMENTS (INT64_MAX / 8)
#define MOST_TOKENS   (1 << 30)

static void reach_counts_up_to_the_last_element(void **state)
{
    (void)state;
    const clattn_strides bshd = { 512, 64, 16 }, bhsd = { 512, 16, 128 }, none = { 0, 0, 0 };
    assert_int_equal(clattn_tensor_reach(&bshd, 2, 8, 4, 16), 1024);
    assert_int_equal(clattn_tensor_reach(&bhsd, 2, 8, 4, 16), 1024);
    assert_int_equal(clattn_tensor_reach(&bshd, 1, 1, 1, 16), 16);
    assert_int_equal(clattn_tensor_reach(&bshd, 1, 2, 1, 16), 80);
    assert_int_equal(clattn_tensor_reach(&none, 9, 9, 9, 16), 16);
    assert_int_equal(clattn_reach(NULL, 0, 7), 7);
}

static void reach_of_nothing_is_0(void **state)
{
    (void)state;
    const clattn_strides wide = { INT64_MAX, INT64_MAX, INT64_MAX };
    assert_int_equal(clattn_tensor_reach(&wide, 0, 3, 3, 16), 0);
    assert_int_equal(clattn_tensor_reach(&wide, 3, 0, 3, 16), 0);
    assert_int_equal(clattn_tensor_reach(&wide, 3, 3, 0, 16), 0);
}

static void reach_sees_overflow(void **state)
{
    (void)state;
    const clattn_strides wide = { INT64_MAX, 0, 0 }, half = { INT64_MAX / 2 + 1, 0, 0 };
    const clattn_strides sums = { INT64_MAX / 2, INT64_MAX / 2, 2 };
    assert_int_equal(clattn_tensor_reach(&wide, 1, 1, 1, 16), 16);
    assert_int_equal(clattn_tensor_reach(&wide, 2, 1, 1, 1), -1);
    assert_int_equal(clattn_tensor_reach(&half, 3, 1, 1, 1), -1);
    assert_int_equal(clattn_tensor_reach(&sums, 2, 2, 1, 1), INT64_MAX);
    assert_int_equal(clattn_tensor_reach(&sums, 2, 2, 2, 1), -1);
    assert_int_equal(clattn_tensor_reach(&sums, 2, 2, 1, 2), -1);
}

static void mask_reach_leaves_out_what_the_device_knows(void **state)
{
    (void)state;
    clattn_attention_desc desc = {
        .q_heads = 3, .mask_batch_stride = 1000, .mask_head_stride = 100, .mask_q_stride = 10, .mask_kv_stride = 1
    };
    assert_int_equal(clattn_mask_reach(&desc, 2, 4, 7), 1000 + 200 + 30 + 6 + 1);
    desc.has_mask_offsets = 1;
    assert_int_equal(clattn_mask_reach(&desc, 2, 4, 7), 200 + 30 + 6 + 1);
    desc.has_mask_row_strides = 1;
    assert_int_equal(clattn_mask_reach(&desc, 2, 4, 7), 200 + 6 + 1);
    assert_int_equal(clattn_mask_reach(&desc, 2, 4, 0), 0);
    desc.mask_kv_stride = INT64_MAX;
    assert_int_equal(clattn_mask_reach(&desc, 2, 4, 7), -1);
}

typedef struct overlap_row {
    clattn_strides strides;
    int64_t batch, tokens, heads, row;
    bool overlaps;
} overlap_row;

static void overlap_is_judged_by_nesting(void **state)
{
    (void)state;
    static const overlap_row table[] = {
        { { 512, 64, 16 }, 2, 8, 4, 16, false },          /* BSHD */
        { { 512, 16, 128 }, 2, 8, 4, 16, false },         /* BHSD */
        { { 16, 32, 256 }, 2, 8, 4, 16, false },          /* batch inside tokens */
        { { 8 * 192, 192, 16 }, 2, 8, 4, 16, false },     /* a slice of packed QKV */
        { { 8 * 192, 192, 16 }, 2, 8, 12, 16, false },    /* all of it as one tensor */
        { { 8 * 192, 192, 16 }, 2, 8, 13, 16, true },     /* and a head too many */
        { { 8 * 192 - 1, 192, 16 }, 2, 8, 12, 16, true }, /* a batch that starts in the one before */
        { { 512, 64, 15 }, 2, 8, 4, 16, true },           /* heads one element too near */
        { { 512, 63, 16 }, 2, 8, 4, 16, true },           /* tokens */
        { { 511, 64, 16 }, 2, 8, 4, 16, true },           /* batches */
        { { 512, 64, 0 }, 2, 8, 4, 16, true },            /* broadcast heads */
        { { 512, 0, 16 }, 2, 8, 4, 16, true },            /* broadcast tokens */
        { { 0, 64, 16 }, 2, 8, 4, 16, true },             /* broadcast batches */
        { { 0, 64, 16 }, 1, 8, 4, 16, false },            /* strides of one step do not count */
        { { 0, 0, 0 }, 1, 1, 1, 16, false },
        { { 5, 64, 3 }, 1, 8, 1, 16, false },
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        const overlap_row *r = &table[i];
        if (clattn_tensor_overlaps(&r->strides, r->batch, r->tokens, r->heads, r->row) != r->overlaps)
            fail_msg("row %zu of the table: overlaps is not %d", i, r->overlaps);
    }
}

/* One head, one sequence, and strides so wide that any one length may grow to its limit. */
static clattn_attention_desc wide_desc(void)
{
    const clattn_strides wide = { (int64_t)1 << 29, (int64_t)1 << 26, 1 << 10 };
    return CLATTN_ATTENTION_DESC(.q_heads = 1, .kv_heads = 1, .head_dim = 16, .max_batch = 1, .max_q_len = 8,
                                 .max_kv_len = 24, .q = wide, .k = wide, .v = wide, .o = wide, .has_lse = 1,
                                 .lse = wide);
}

static void prepare_nothing(clattn_attention_desc *d)
{
    (void)d;
}

static void prepare_blocks(clattn_attention_desc *d)
{
    d->head_dim = 64;
}

static void prepare_kv_heads(clattn_attention_desc *d)
{
    d->q_heads = 65535;
}

static void prepare_window(clattn_attention_desc *d)
{
    d->window_mode = CLATTN_WINDOW_LR;
}

static void prepare_offset(clattn_attention_desc *d)
{
    d->q_offset_mode = CLATTN_Q_OFFSET_CONSTANT;
}

/* So that no stride is ever stepped along. */
static void prepare_one_row(clattn_attention_desc *d)
{
    d->max_q_len = d->max_kv_len = 1;
    d->mask_kind = CLATTN_MASK_BOOL;
}

#define FIELD DESC_LIMITS
#define STRIDES(tensor)                                                                                                \
    FIELD(tensor.batch, 0, INT64_MAX, prepare_one_row), FIELD(tensor.token, 0, INT64_MAX, prepare_one_row),            \
        FIELD(tensor.head, 0, INT64_MAX, prepare_one_row)

static const desc_limits fields[] = {
    FIELD(q_dtype, 0, 2, prepare_nothing),
    FIELD(k_dtype, 0, 5, prepare_blocks),
    FIELD(v_dtype, 0, 5, prepare_blocks),
    FIELD(o_dtype, 0, 2, prepare_nothing),
    FIELD(q_heads, 1, 65535, prepare_nothing),
    FIELD(kv_heads, 1, 65535, prepare_kv_heads),
    FIELD(head_dim, 1, 576, prepare_nothing),
    FIELD(v_head_dim, 0, 576, prepare_nothing),
    FIELD(max_batch, 0, MOST_TOKENS, prepare_nothing),
    FIELD(max_q_len, 0, MOST_TOKENS, prepare_nothing),
    FIELD(max_kv_len, 0, MOST_TOKENS, prepare_nothing),
    FIELD(min_q_len, 0, 8, prepare_nothing),
    FIELD(max_q_tokens, 0, INT64_MAX, prepare_nothing),
    FIELD(max_kv_tokens, 0, INT64_MAX, prepare_nothing),
    FIELD(window_mode, 0, 1, prepare_nothing),
    FIELD(window_left, -1, INT32_MAX, prepare_window),
    FIELD(window_right, -1, INT32_MAX, prepare_window),
    FIELD(q_offset_mode, 0, 2, prepare_nothing),
    FIELD(q_offset, INT32_MIN, INT32_MAX - 8, prepare_offset),
    FIELD(mask_kind, 0, 4, prepare_nothing),
    STRIDES(q),
    STRIDES(k),
    STRIDES(v),
    STRIDES(o),
    STRIDES(lse),
    FIELD(mask_batch_stride, 0, INT64_MAX, prepare_one_row),
    FIELD(mask_head_stride, 0, INT64_MAX, prepare_one_row),
    FIELD(mask_q_stride, 0, INT64_MAX, prepare_one_row),
    FIELD(mask_kv_stride, 0, INT64_MAX, prepare_one_row),
};

static void fields_have_their_limits(void **state)
{
    (void)state;
    expect_limits(fields, LENGTH(fields), wide_desc);
}

static void length_modes_have_their_limits(void **state)
{
    (void)state;
    clattn_attention_desc desc = wide_desc();
    desc.q_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    expect_wrong(&desc, "q_length_mode");
    desc.q_length_mode = (clattn_length_mode)3;
    expect_wrong(&desc, "q_length_mode");
    desc.q_length_mode = CLATTN_LENGTH_UNIFORM;
    desc.kv_length_mode = (clattn_length_mode)3;
    expect_wrong(&desc, "kv_length_mode");
    desc.kv_length_mode = (clattn_length_mode)-1;
    expect_wrong(&desc, "kv_length_mode");
    desc.kv_length_mode = CLATTN_LENGTH_UNIFORM;
    desc.has_kv_lens = 1;
    expect_wrong(&desc, "has_kv_lens");
    desc.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    expect_right(&desc, "has_kv_lens with PER_SEQUENCE");
}

static void ragged_tensors_have_no_batch_stride(void **state)
{
    (void)state;
    for (int n = 0; n < 6; n++) {
        clattn_attention_desc desc = wide_desc();
        int64_t *strides[] = { &desc.q.batch, &desc.o.batch, &desc.lse.batch, &desc.k.batch, &desc.v.batch };
        static const char *const names[] = { "q.batch", "o.batch", "lse.batch", "k.batch", "v.batch" };
        desc.q_length_mode = desc.kv_length_mode = CLATTN_LENGTH_RAGGED;
        for (int i = 0; i < 5; i++)
            *strides[i] = i == n;
        if (n < 5)
            expect_wrong(&desc, names[n]);
        else
            expect_right(&desc, "no batch stride");
    }
}

static void lengths_below_0_are_named_first(void **state)
{
    (void)state;
    static const int32_t offsets[] = { INT32_MIN, -1, 0, INT32_MAX };
    for (size_t i = 0; i < LENGTH(offsets); i++) {
        clattn_attention_desc desc = wide_desc();
        desc.q_offset_mode = CLATTN_Q_OFFSET_CONSTANT;
        desc.q_offset = offsets[i];
        desc.max_q_len = -1;
        expect_wrong(&desc, "max_q_len is -1");
        desc.max_q_len = INT32_MIN;
        expect_wrong(&desc, "max_q_len is -2147483648");
    }
}

static void heads_and_rows_have_their_limits(void **state)
{
    (void)state;
    clattn_attention_desc desc = wide_desc();
    desc.q_heads = 8;
    desc.kv_heads = 3;
    expect_wrong(&desc, "q_heads");
    desc.kv_heads = 2;
    desc.max_q_len = MOST_TOKENS / 4;
    expect_right(&desc, "2^30 packed rows");
    desc.max_q_len++;
    expect_wrong(&desc, "max_q_len * q_heads / kv_heads");
}

static void logits_have_their_limits(void **state)
{
    (void)state;
    static const float wrong[] = { NAN, INFINITY, -INFINITY };
    clattn_attention_desc desc = wide_desc();
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        desc = wide_desc();
        desc.scale = wrong[i];
        expect_wrong(&desc, "scale");
        desc = wide_desc();
        desc.softcap = wrong[i];
        expect_wrong(&desc, "softcap");
    }
    desc.softcap = -1e-30f;
    expect_wrong(&desc, "softcap");
    desc.softcap = -0.0f;
    desc.scale = -3e38f;
    expect_right(&desc, "a negative scale");
    desc.has_mask_offsets = 1;
    expect_wrong(&desc, "has_mask_offsets");
    desc.has_mask_offsets = 0;
    desc.has_mask_row_strides = 1;
    expect_wrong(&desc, "has_mask_row_strides");
}

static void reads_no_field_that_does_not_count(void **state)
{
    (void)state;
    clattn_attention_desc desc = wide_desc();
    desc.window_left = desc.window_right = -9;
    desc.q_offset = INT32_MAX;
    desc.has_lse = 0;
    desc.lse = (clattn_strides){ -1, -1, -1 };
    desc.mask_batch_stride = desc.mask_head_stride = desc.mask_q_stride = desc.mask_kv_stride = -1;
    expect_right(&desc, "a description with unread fields");
}

static void asks_for_its_struct(void **state)
{
    (void)state;
    clattn_attention_desc desc = wide_desc();
    expect_wrong(NULL, "desc");
    desc.struct_size++;
    expect_wrong(&desc, "struct_size");
}

static void outputs_may_not_overlap(void **state)
{
    (void)state;
    for (int n = 0; n < 2; n++) {
        clattn_attention_desc desc = wide_desc();
        clattn_strides *strides = n ? &desc.lse : &desc.o;
        const int64_t row = n ? 1 : 16;
        desc.q_heads = 4;
        desc.max_batch = 2;
        *strides = (clattn_strides){ 32 * row, 4 * row, row };
        expect_right(&desc, "a packed output");
        strides->head--;
        expect_wrong(&desc, n ? "lse.batch" : "o.batch");
        *strides = (clattn_strides){ 32 * row - 1, 4 * row, row };
        expect_wrong(&desc, n ? "lse.batch" : "o.batch");
        desc.max_q_len = 0;
        expect_right(&desc, "an output of no rows");
    }
    clattn_attention_desc desc = wide_desc();
    desc.max_batch = 2;
    desc.q = desc.k = desc.v = (clattn_strides){ 0, 0, 0 };
    expect_right(&desc, "inputs that broadcast");
}

static void strides_reach_at_most_2_to_the_60(void **state)
{
    (void)state;
    static const char *const names[] = { "q.batch", "k.batch", "v.batch", "o.batch", "lse.batch" };
    for (size_t i = 0; i < LENGTH(names); i++) {
        clattn_attention_desc desc = wide_desc();
        clattn_strides *tensors[] = { &desc.q, &desc.k, &desc.v, &desc.o, &desc.lse };
        desc.max_batch = 2;
        desc.max_q_len = desc.max_kv_len = 1;
        tensors[i]->batch = MOST_ELEMENTS - (tensors[i] == &desc.lse ? 1 : 16);
        expect_right(&desc, names[i]);
        tensors[i]->batch++;
        expect_wrong(&desc, names[i]);
        tensors[i]->batch = INT64_MAX;
        expect_wrong(&desc, names[i]);
    }
    clattn_attention_desc ragged = wide_desc();
    ragged.kv_length_mode = CLATTN_LENGTH_RAGGED;
    ragged.k.batch = ragged.v.batch = 0;
    ragged.max_kv_tokens = MOST_ELEMENTS >> 26;
    expect_right(&ragged, "packed tokens");
    ragged.max_kv_tokens += 2;
    expect_wrong(&ragged, "k.batch");
}

static void masks_reach_less_than_2_to_the_63(void **state)
{
    (void)state;
    clattn_attention_desc desc = wide_desc();
    desc.max_batch = 2;
    desc.mask_kind = CLATTN_MASK_ADD_F32;
    desc.mask_batch_stride = INT64_MAX - 1;
    expect_right(&desc, "a mask's last stride");
    desc.mask_batch_stride++;
    expect_wrong(&desc, "mask_batch_stride");
    desc.has_mask_offsets = 1;
    expect_right(&desc, "mask_batch_stride beside offsets");
    desc.mask_q_stride = INT64_MAX / 2;
    expect_wrong(&desc, "mask_q_stride");
    desc.has_mask_row_strides = 1;
    expect_right(&desc, "mask_q_stride beside row strides");
    desc.mask_kv_stride = INT64_MAX / 22;
    expect_wrong(&desc, "mask_kv_stride");
}

static void fills_in_defaults(void **state)
{
    (void)state;
    clattn_attention_desc desc = wide_desc();
    clattn_problem problem;
    desc.q_heads = 6;
    desc.kv_heads = 2;
    desc.max_batch = 5;
    desc.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    assert_int_equal(clattn_problem_init(&problem, &desc), CLATTN_OK);
    assert_int_equal(problem.desc.v_head_dim, 16);
    assert_true(problem.desc.scale == 0.25f);
    assert_int_equal(problem.desc.max_q_tokens, 5 * 8);
    assert_int_equal(problem.desc.max_kv_tokens, 5 * 24);
    assert_int_equal(problem.desc.window_left, -1);
    assert_int_equal(problem.desc.window_right, -1);
    assert_int_equal(problem.desc.has_kv_lens, 1);
    assert_int_equal(problem.group, 3);
    desc.v_head_dim = 7;
    desc.scale = -2.0f;
    desc.max_q_tokens = 11;
    desc.max_kv_tokens = 12;
    desc.kv_length_mode = CLATTN_LENGTH_UNIFORM;
    assert_int_equal(clattn_problem_init(&problem, &desc), CLATTN_OK);
    assert_int_equal(problem.desc.v_head_dim, 7);
    assert_true(problem.desc.scale == -2.0f);
    assert_int_equal(problem.desc.max_q_tokens, 11);
    assert_int_equal(problem.desc.max_kv_tokens, 12);
    assert_int_equal(problem.desc.has_kv_lens, 0);
}

static void tokens_by_default_do_not_overflow(void **state)
{
    (void)state;
    clattn_attention_desc desc = wide_desc();
    clattn_problem problem;
    desc.max_batch = desc.max_kv_len = MOST_TOKENS;
    desc.k = desc.v = (clattn_strides){ 0, 0, 0 };
    assert_int_equal(clattn_problem_init(&problem, &desc), CLATTN_OK);
    assert_int_equal(problem.desc.max_kv_tokens, (int64_t)1 << 60);
}

typedef struct mask_row {
    int causal;
    clattn_window_mode mode;
    int32_t left, right;
    clattn_mask_kind mask;
    float softcap;
    int alibi, sinks;
    clattn_mask_class class;
    int32_t want_left, want_right;
} mask_row;

static void chooses_the_mask_class(void **state)
{
    (void)state;
    static const mask_row table[] = {
        { 0, 0, 0, 0, 0, 0.0f, 0, 0, CLATTN_MASK_CLASS_NONE, -1, -1 },
        { 0, 0, 5, 6, 0, 0.0f, 0, 0, CLATTN_MASK_CLASS_NONE, -1, -1 }, /* without a mode windows do not count */
        { 0, 1, -1, -1, 0, 0.0f, 0, 0, CLATTN_MASK_CLASS_NONE, -1, -1 },
        { 0, 0, 0, 0, 0, 0.0f, 0, 1, CLATTN_MASK_CLASS_NONE, -1, -1 }, /* sinks mask nothing */
        { 0, 1, 0, -1, 0, 0.0f, 0, 0, CLATTN_MASK_CLASS_POSITIONAL, 0, -1 },
        { 0, 1, -1, 0, 0, 0.0f, 0, 0, CLATTN_MASK_CLASS_POSITIONAL, -1, 0 },
        { 0, 1, 5, 6, 0, 0.0f, 0, 0, CLATTN_MASK_CLASS_POSITIONAL, 5, 6 },
        { 1, 0, 0, 0, 0, 0.0f, 0, 0, CLATTN_MASK_CLASS_POSITIONAL, -1, 0 },
        { 7, 0, 5, 6, 0, 0.0f, 0, 0, CLATTN_MASK_CLASS_POSITIONAL, -1, 0 },
        { 1, 1, -1, -1, 0, 0.0f, 0, 0, CLATTN_MASK_CLASS_POSITIONAL, -1, 0 }, /* causal is the narrower window */
        { 1, 1, 5, 6, 0, 0.0f, 0, 0, CLATTN_MASK_CLASS_POSITIONAL, 5, 0 },
        { 0, 0, 0, 0, CLATTN_MASK_BOOL, 0.0f, 0, 0, CLATTN_MASK_CLASS_GENERAL, -1, -1 },
        { 0, 0, 0, 0, CLATTN_MASK_ADD_F32, 0.0f, 0, 0, CLATTN_MASK_CLASS_GENERAL, -1, -1 },
        { 0, 0, 0, 0, CLATTN_MASK_ADD_F16, 0.0f, 0, 0, CLATTN_MASK_CLASS_GENERAL, -1, -1 },
        { 0, 0, 0, 0, 0, 30.0f, 0, 0, CLATTN_MASK_CLASS_GENERAL, -1, -1 },
        { 0, 0, 0, 0, 0, 0.0f, 1, 0, CLATTN_MASK_CLASS_GENERAL, -1, -1 },
        { 1, 1, 5, 6, 0, 30.0f, 0, 0, CLATTN_MASK_CLASS_GENERAL, 5, 0 },
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        const mask_row *r = &table[i];
        clattn_attention_desc desc = wide_desc();
        clattn_problem problem;
        desc.causal = r->causal;
        desc.window_mode = r->mode;
        desc.window_left = r->left;
        desc.window_right = r->right;
        desc.mask_kind = r->mask;
        desc.softcap = r->softcap;
        desc.has_alibi = r->alibi;
        desc.has_sinks = r->sinks;
        assert_int_equal(clattn_problem_init(&problem, &desc), CLATTN_OK);
        if (problem.mask_class != r->class || problem.desc.window_left != r->want_left ||
            problem.desc.window_right != r->want_right)
            fail_msg("row %zu of the table: class %d, window %d to %d", i, (int)problem.mask_class,
                     problem.desc.window_left, problem.desc.window_right);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reach_counts_up_to_the_last_element),
        cmocka_unit_test(reach_of_nothing_is_0),
        cmocka_unit_test(reach_sees_overflow),
        cmocka_unit_test(mask_reach_leaves_out_what_the_device_knows),
        cmocka_unit_test(overlap_is_judged_by_nesting),
        cmocka_unit_test(fields_have_their_limits),
        cmocka_unit_test(length_modes_have_their_limits),
        cmocka_unit_test(ragged_tensors_have_no_batch_stride),
        cmocka_unit_test(lengths_below_0_are_named_first),
        cmocka_unit_test(heads_and_rows_have_their_limits),
        cmocka_unit_test(logits_have_their_limits),
        cmocka_unit_test(reads_no_field_that_does_not_count),
        cmocka_unit_test(asks_for_its_struct),
        cmocka_unit_test(outputs_may_not_overlap),
        cmocka_unit_test(strides_reach_at_most_2_to_the_60),
        cmocka_unit_test(masks_reach_less_than_2_to_the_63),
        cmocka_unit_test(fills_in_defaults),
        cmocka_unit_test(tokens_by_default_do_not_overflow),
        cmocka_unit_test(chooses_the_mask_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
