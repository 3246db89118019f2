/* SPDX-License-Identifier: BSD-2-Clause */
/* The reference over pages, quantised types and bit masks, on cases small enough to be worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ref/ref.h"

#define LN2    0.69314718055994531
#define LENGTH 6

/* Pages of 2 tokens and 2 heads, head_dim 1: element [page][place][head] is 100 * page + 10 * place + head. */
static float numbered[4 * 2 * 2];
static const float ones[64] = { 1, 1, 1, 1, 1, 1, 1, 1 };
static const float zeros[16] = { 0 };

static int number_pages(void **state)
{
    (void)state;
    for (int n = 0; n < 16; n++)
        numbered[n] = (float)(100 * (n / 4) + 10 * (n / 2 % 2) + n % 2);
    return 0;
}

static clattn_attention_desc paged_desc(void)
{
    return CLATTN_ATTENTION_DESC(.q_heads = 2, .kv_heads = 2, .head_dim = 1, .max_batch = 3, .max_q_len = 1,
                                 .max_kv_len = LENGTH, .kv_mode = CLATTN_KV_BLOCK_TABLE, .page_size = 2, .pages = 4,
                                 .k_cache = { 0, 0, 0 }, .v_cache = { .page = 4, .token = 2, .head = 1 },
                                 .q = { .batch = 2, .token = 2, .head = 1 }, .o = { .batch = 2, .token = 2, .head = 1 },
                                 .scale = 1.0f);
}

/* K is 0, so that O is the mean of the attended values. */
static ref_inputs paged_inputs(const int32_t *table)
{
    return (ref_inputs){ .q = ones,
                         .k = zeros,
                         .v = numbered,
                         .block_table = table,
                         .page_indices = table,
                         .batch = 3,
                         .q_len = 1,
                         .kv_len = LENGTH };
}

static void assert_mean(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t head, double want,
                        int64_t attended)
{
    double out;
    ref_row row;
    assert_true(ref_attention_row(desc, in, b, head, 0, &out, &row));
    assert_int_equal(row.attended, attended);
    if (!(fabs(out - want) <= 1e-9))
        fail_msg("sequence %d, head %d: got %.9g, want %.9g", (int)b, (int)head, out, want);
}

static void test_keys_lie_where_the_table_says(void **state)
{
    (void)state;
    const int32_t table[] = { 3, 0, 2, /* */ 1, 1, 1, /* */ 2, 3, 0 };
    clattn_attention_desc desc = paged_desc();
    ref_inputs in = paged_inputs(table);
    assert_int_equal(ref_key_page(&desc, &in, 0, 0, 0), 3);
    assert_int_equal(ref_key_page(&desc, &in, 0, 1, 1), 3);
    assert_int_equal(ref_key_page(&desc, &in, 0, 0, 2), 0);
    assert_int_equal(ref_key_page(&desc, &in, 2, 0, 5), 0);
    assert_mean(&desc, &in, 0, 0, (300 + 310 + 0 + 10 + 200 + 210) / 6.0, 6);
    assert_mean(&desc, &in, 0, 1, (301 + 311 + 1 + 11 + 201 + 211) / 6.0, 6);
    assert_mean(&desc, &in, 1, 0, 105.0, 6);
    in.kv_len = 3;
    assert_mean(&desc, &in, 2, 0, (200 + 210 + 300) / 3.0, 3);
    in.kv_len = 0;
    assert_mean(&desc, &in, 2, 0, 0.0, 0);
}

static void test_lengths_of_sequences(void **state)
{
    (void)state;
    const int32_t table[] = { 3, 0, 2, 1, 1, 1, 2, 3, 0 }, kv_lens[] = { -1, 1, 99 };
    static const int32_t want[] = { 0, 1, LENGTH };
    clattn_attention_desc desc = paged_desc();
    desc.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    ref_inputs in = paged_inputs(table);
    in.kv_lens = kv_lens;
    for (int32_t b = 0; b < 3; b++)
        assert_int_equal(ref_kv_len(&desc, &in, b), want[b]);
    assert_mean(&desc, &in, 1, 0, 100.0, 1);
}

static void test_tables_by_strides_and_heads(void **state)
{
    (void)state;
    const int32_t table[] = { 0, 1, 2, 9, 3, 2, 1, 9, 2, 2, 2, 9, 0, 0, 0, 9 }; /* [2, 2, 4] */
    clattn_attention_desc desc = paged_desc();
    desc.block_table_stride = 8;
    desc.block_table_head_stride = 4;
    ref_inputs in = paged_inputs(table);
    assert_int_equal(ref_key_page(&desc, &in, 0, 1, 0), 3);
    assert_int_equal(ref_key_page(&desc, &in, 1, 0, 4), 2);
    assert_int_equal(ref_key_page(&desc, &in, 1, 1, 4), 0);
    assert_mean(&desc, &in, 0, 1, (301 + 311 + 201 + 211 + 101 + 111) / 6.0, 6);
}

static void test_holes_and_bad_ids_are_masked(void **state)
{
    (void)state;
    const int32_t table[] = { 3, -1, 2, /* */ 4, 0, INT32_MIN, /* */ -1, -2, INT32_MAX };
    clattn_attention_desc desc = paged_desc();
    ref_inputs in = paged_inputs(table);
    assert_int_equal(ref_key_page(&desc, &in, 0, 0, 2), -1);
    assert_int_equal(ref_key_page(&desc, &in, 1, 0, 0), -1);
    assert_false(ref_attends(&desc, &in, 0, 0, 0, 3));
    assert_true(ref_attends(&desc, &in, 0, 0, 0, 4));
    assert_mean(&desc, &in, 0, 0, (300 + 310 + 200 + 210) / 4.0, 4);
    assert_mean(&desc, &in, 1, 1, 6.0, 2);
    assert_mean(&desc, &in, 2, 0, 0.0, 0);
}

static void test_lists_of_pages(void **state)
{
    (void)state;
    const int32_t list[] = { 3, 0, 2, 1 }, indptr[] = { 0, 2, 2, 4 }, last[] = { 1, 2, 2 };
    clattn_attention_desc desc = paged_desc();
    desc.kv_mode = CLATTN_KV_PAGE_LIST;
    desc.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    desc.max_page_indices = 4;
    desc.block_table_head_stride = 77; /* which is a table's */
    ref_inputs in = paged_inputs(list);
    in.page_indptr = indptr;
    in.last_page_len = last;
    assert_int_equal(ref_kv_len(&desc, &in, 0), 3);
    assert_int_equal(ref_kv_len(&desc, &in, 1), 0);
    assert_int_equal(ref_kv_len(&desc, &in, 2), 4);
    assert_mean(&desc, &in, 0, 1, (301 + 311 + 1) / 3.0, 3);
    assert_mean(&desc, &in, 1, 0, 0.0, 0);
    assert_mean(&desc, &in, 2, 0, (200 + 210 + 100 + 110) / 4.0, 4);
}

typedef struct list_row {
    int32_t first, end, last, want;
} list_row;

static void test_nonsense_in_lists_is_clamped(void **state)
{
    (void)state;
    static const list_row table[] = {
        { 0, 2, 0, 3 }, /* the last page has one token at least */
        { 0, 2, -5, 3 },
        { 0, 2, 3, 4 }, /* and a page's at most */
        { 0, 2, INT32_MAX, 4 },
        { 2, 0, 1, 0 }, /* decreasing: no pages */
        { -7, 1, 2, 2 },
        { INT32_MIN, -1, 2, 0 },
        { 3, 99, 2, 2 },
        { 99, INT32_MAX, 2, 0 },
        { 0, 4, 2, LENGTH }, /* the bound */
        { INT32_MIN, INT32_MAX, 1, LENGTH },
    };
    for (size_t n = 0; n < sizeof(table) / sizeof(table[0]); n++) {
        const int32_t indptr[] = { table[n].first, table[n].end };
        clattn_attention_desc desc = paged_desc();
        desc.kv_mode = CLATTN_KV_PAGE_LIST;
        desc.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
        desc.max_page_indices = 4;
        const ref_inputs in = { .page_indptr = indptr, .last_page_len = &table[n].last, .batch = 1 };
        if (ref_kv_len(&desc, &in, 0) != table[n].want)
            fail_msg("row %zu: got %d, want %d", n, (int)ref_kv_len(&desc, &in, 0), (int)table[n].want);
    }
}

static void test_bits_of_a_mask(void **state)
{
    (void)state;
    const int32_t table[] = { 3, 0, 2, 1, 1, 1, 2, 3, 0 };
    const uint8_t mask[] = { 0x50, 0x01, 0x00 }; /* elements 4, 6 and 8 */
    clattn_attention_desc desc = paged_desc();
    desc.mask_kind = CLATTN_MASK_BITS;
    desc.mask_batch_stride = 4;
    desc.mask_kv_stride = 1;
    ref_inputs in = paged_inputs(table);
    in.mask = mask;
    static const unsigned want[] = { 0x10, 0x15, 0x01 };
    for (int32_t b = 0; b < 3; b++)
        for (int32_t j = 0; j < LENGTH; j++)
            assert_int_equal(ref_attends(&desc, &in, b, 0, 0, j), want[b] >> j & 1);
    desc.mask_kv_stride = 2;
    assert_true(ref_attends(&desc, &in, 0, 0, 0, 2) && ref_attends(&desc, &in, 0, 0, 0, 4));
    assert_false(ref_attends(&desc, &in, 0, 0, 0, 1) || ref_attends(&desc, &in, 0, 0, 0, 5));
}

/* By the definition of E4M3FN: no infinities, one NaN of each sign, subnormals, bias 7. */
static void test_every_fp8_decodes(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 256; bits++) {
        const float got = ref_f32_from_fp8((uint8_t)bits);
        const int exponent = (int)(bits >> 3) & 15, mantissa = (int)bits & 7;
        if ((bits & 127) == 127) {
            assert_true(isnan(got));
            continue;
        }
        const double magnitude =
            exponent ? (1.0 + mantissa / 8.0) * pow(2.0, exponent - 7) : mantissa / 8.0 * pow(2.0, -6);
        assert_true((double)got == (bits & 128 ? -magnitude : magnitude));
        assert_int_equal(!!signbit(got), bits >> 7);
    }
    assert_true(ref_f32_from_fp8(0x7e) == 448.0f);
    assert_true(ref_f32_from_fp8(0x01) == 0x1p-9f);
    assert_true(ref_f32_from_fp8(0xb8) == -1.0f);
}

static void test_blocks_decode(void **state)
{
    (void)state;
    uint8_t q8[2 * 34] = { 0 }, q4[2 * 18] = { 0 };
    q8[34] = 0x00, q8[35] = 0x38; /* d of the second block: 0.5 */
    q4[18] = 0x00, q4[19] = 0xc0; /* -2 */
    for (int n = 0; n < 32; n++)
        q8[36 + n] = (uint8_t)(n == 31 ? -128 : n * 4);
    for (int n = 0; n < 16; n++)
        q4[20 + n] = (uint8_t)(n | (15 - n) << 4);
    for (int n = 0; n < 32; n++) {
        const double first = n == 31 ? -64.0 : 2.0 * n, second = -2.0 * ((n < 16 ? n : 31 - n) - 8);
        assert_true(ref_load(q8, CLATTN_Q8_0, 32 + n) == first);
        assert_true(ref_load(q4, CLATTN_Q4_0, 32 + n) == second);
        assert_true(ref_load(q8, CLATTN_Q8_0, n) == 0.0 && ref_load(q4, CLATTN_Q4_0, n) == 0.0);
    }
}

/* Strides count blocks; every token here is a block, and a page's tokens lie apart by three. */
static void test_attention_over_blocks_and_scales(void **state)
{
    (void)state;
    uint8_t k[2 * 32] = { 0 }, v[4 * 18] = { 0 };
    const float q[32] = { 1 }, scales[] = { 0.5f };
    const int32_t table[] = { 0 };
    for (int block = 0; block < 4; block += 3) {
        v[block * 18 + 1] = 0x3c;                            /* d is 1 */
        memset(v + block * 18 + 2, block ? 0xf9 : 0x2b, 16); /* low halves 9 and 11, high 15 and 2 */
    }
    clattn_attention_desc desc = paged_desc();
    desc.q_heads = desc.kv_heads = 1;
    desc.head_dim = desc.v_head_dim = 32;
    desc.max_kv_len = desc.page_size = 2;
    desc.pages = 1;
    desc.k_dtype = CLATTN_FP8;
    desc.v_dtype = CLATTN_Q4_0;
    desc.v_cache = (clattn_page_strides){ 0, 3, 0 };
    const ref_inputs in = {
        .q = q, .k = k, .v = v, .block_table = table, .k_scales = scales, .batch = 1, .q_len = 1, .kv_len = 2
    };
    double out[32];
    ref_row row;
    assert_true(ref_attention_row(&desc, &in, 0, 0, 0, out, &row));
    assert_true(fabs(row.lse - LN2) < 1e-9);
    assert_true(fabs(out[0] - (3.0 + 1.0) / 2) < 1e-9 && fabs(out[31] - (-6.0 + 7.0) / 2) < 1e-9);
    k[0] = 0x38; /* 1, times the scale */
    desc.k_cache = (clattn_page_strides){ 0, 1, 0 };
    assert_true(ref_attention_row(&desc, &in, 0, 0, 0, out, &row));
    assert_true(fabs(row.lse - log(exp(0.5) + 1.0)) < 1e-9);
}

static void test_scales_are_those_of_the_kv_head(void **state)
{
    (void)state;
    const uint8_t one[] = { 0x38 };
    const float k_scales[] = { 0.25f, (float)LN2 }, v_scales[] = { 3.0f, -5.0f };
    const int32_t table[] = { 0, 0, 0 };
    clattn_attention_desc desc = paged_desc();
    desc.k_dtype = desc.v_dtype = CLATTN_FP8;
    desc.v_cache = (clattn_page_strides){ 0, 0, 0 };
    ref_inputs in = paged_inputs(table);
    in.k = in.v = one;
    in.k_scales = k_scales;
    in.v_scales = v_scales;
    in.kv_len = 1;
    double out;
    ref_row row;
    assert_true(ref_attention_row(&desc, &in, 0, 0, 0, &out, &row));
    assert_true(fabs(row.lse - 0.25) < 1e-7 && fabs(out - 3.0) < 1e-9);
    assert_true(ref_attention_row(&desc, &in, 0, 1, 0, &out, &row));
    assert_true(fabs(row.lse - LN2) < 1e-7 && fabs(out + 5.0) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_lie_where_the_table_says),
        cmocka_unit_test(test_lengths_of_sequences),
        cmocka_unit_test(test_tables_by_strides_and_heads),
        cmocka_unit_test(test_holes_and_bad_ids_are_masked),
        cmocka_unit_test(test_lists_of_pages),
        cmocka_unit_test(test_nonsense_in_lists_is_clamped),
        cmocka_unit_test(test_bits_of_a_mask),
        cmocka_unit_test(test_every_fp8_decodes),
        cmocka_unit_test(test_blocks_decode),
        cmocka_unit_test(test_attention_over_blocks_and_scales),
        cmocka_unit_test(test_scales_are_those_of_the_kv_head),
    };
    return cmocka_run_group_tests(tests, number_pages, NULL);
}
