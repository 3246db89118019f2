/* SPDX-License-Identifier: BSD-2-Clause */
/* What pages change in src/plan and src/kernel, without a device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "desc_limits.h"
#include "kernel/tile.h"
#include "plan/plan.h"
#include "plan/problem.h"
#include "plan/reach.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define MOST          (1 << 30)

/* One head, and strides so small that any one length may grow to its limit. */
static clattn_attention_desc table_desc(void)
{
    return CLATTN_ATTENTION_DESC(.q_heads = 1, .kv_heads = 1, .head_dim = 32, .max_batch = 1, .max_q_len = 8,
                                 .max_kv_len = 24, .kv_mode = CLATTN_KV_BLOCK_TABLE, .page_size = 7, .pages = 5,
                                 .k_cache = { 1024, 64, 32 }, .v_cache = { 1024, 64, 32 }, .q = { 0, 32, 32 },
                                 .o = { 0, 32, 32 });
}

static clattn_attention_desc list_desc(void)
{
    clattn_attention_desc desc = table_desc();
    desc.kv_mode = CLATTN_KV_PAGE_LIST;
    desc.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    return desc;
}

/* One page of one token with one head, so that no stride is stepped along, and lengths that every kv_mode may have. */
static void prepare_one_page(clattn_attention_desc *d)
{
    d->kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    d->page_size = d->pages = d->max_kv_len = 1;
}

#define FIELD(member, low, high) DESC_LIMITS(member, low, high, prepare_one_page)

static const desc_limits fields[] = {
    FIELD(kv_mode, 0, 2),
    FIELD(page_size, 1, 256),
    FIELD(pages, 0, MOST),
    FIELD(block_table_stride, 0, INT64_MAX),
    FIELD(block_table_head_stride, 0, INT64_MAX),
    FIELD(k_cache.page, 0, INT64_MAX),
    FIELD(k_cache.token, 0, INT64_MAX),
    FIELD(k_cache.head, 0, INT64_MAX),
    FIELD(v_cache.page, 0, INT64_MAX),
    FIELD(v_cache.token, 0, INT64_MAX),
    FIELD(v_cache.head, 0, INT64_MAX),
};

static void fields_have_their_limits(void **state)
{
    (void)state;
    expect_limits(fields, LENGTH(fields), table_desc);
}

/* 4 kv heads of rows of 64 elements, 2 blocks of q8_0. */
static int32_t heads_together(clattn_attention_desc desc)
{
    clattn_problem problem;
    desc.q_heads = desc.kv_heads = 4;
    desc.q = desc.o = (clattn_strides){ 0, 256, 64 };
    desc.q_dtype = desc.o_dtype = CLATTN_F16;
    desc.k_dtype = desc.v_dtype = CLATTN_Q8_0;
    desc.head_dim = desc.v_head_dim = 64;
    if (clattn_problem_init(&problem, &desc) != CLATTN_OK)
        fail_msg("refused: %s", clattn_last_error());
    return clattn_problem_of_tile(&problem, CLATTN_FRAGMENT_NV_MMA).heads_together;
}

/* One behind the other, in K and in V, and in the same pages: what a group of several heads loads as one row. */
static void heads_lie_together_or_not(void **state)
{
    (void)state;
    static const clattn_page_strides by_token = { 7 * 8, 8, 2 }, by_head = { 7 * 8, 2, 14 },
                                     with_gap = { 7 * 12, 12, 3 };
    clattn_attention_desc desc = table_desc();
    desc.k_cache = desc.v_cache = by_token;
    assert_int_equal(heads_together(desc), 4);
    desc.kv_mode = CLATTN_KV_PAGE_LIST;
    desc.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    assert_int_equal(heads_together(desc), 4);
    desc = table_desc();
    desc.k_cache = by_token;
    desc.v_cache = by_head;
    assert_int_equal(heads_together(desc), 1);
    desc.k_cache = with_gap;
    desc.v_cache = by_token;
    assert_int_equal(heads_together(desc), 1);
    desc.k_cache = desc.v_cache = by_token;
    desc.block_table_head_stride = 4;
    desc.block_table_stride = 16;
    assert_int_equal(heads_together(desc), 1);
    desc = table_desc();
    desc.kv_mode = CLATTN_KV_CONTIGUOUS;
    desc.k = desc.v = (clattn_strides){ 0, 8, 2 };
    assert_int_equal(heads_together(desc), 4);
    desc.k = (clattn_strides){ 0, 2, 48 };
    assert_int_equal(heads_together(desc), 1);
}

static void a_row_has_entries_for_the_longest_sequence(void **state)
{
    (void)state;
    static const int32_t lengths[] = { 0, 1, 6, 7, 8, 14, 24, MOST }, pages[] = { 0, 1, 1, 1, 2, 2, 4, 153391690 };
    for (size_t n = 0; n < LENGTH(lengths); n++) {
        clattn_attention_desc desc = table_desc();
        clattn_problem problem;
        desc.max_kv_len = lengths[n];
        assert_int_equal(clattn_problem_init(&problem, &desc), CLATTN_OK);
        assert_int_equal(problem.desc.max_pages, pages[n]);
        assert_int_equal(problem.desc.block_table_stride, pages[n]);
        assert_true(problem.paged);
        desc.max_pages = pages[n] + 1;
        assert_int_equal(clattn_problem_init(&problem, &desc), CLATTN_OK);
        assert_int_equal(problem.desc.max_pages, pages[n] + 1);
        desc.max_pages = pages[n] - 1;
        if (pages[n] > 1)
            expect_wrong(&desc, "max_pages");
    }
    clattn_attention_desc desc = table_desc();
    desc.max_pages = MOST;
    expect_right(&desc, "2^30 entries");
    desc.max_pages++;
    expect_wrong(&desc, "max_pages");
}

static void modes_have_their_lengths(void **state)
{
    (void)state;
    clattn_attention_desc table = table_desc(), list = list_desc();
    clattn_problem problem;
    table.kv_length_mode = CLATTN_LENGTH_RAGGED;
    expect_wrong(&table, "kv_length_mode is RAGGED");
    table.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    assert_int_equal(clattn_problem_init(&problem, &table), CLATTN_OK);
    assert_int_equal(problem.desc.has_kv_lens, 1);
    assert_int_equal(clattn_problem_init(&problem, &list), CLATTN_OK);
    assert_int_equal(problem.desc.has_kv_lens, 0); /* last_page_len says it */
    list.kv_length_mode = CLATTN_LENGTH_UNIFORM;
    expect_wrong(&list, "kv_length_mode is 0; with kv_mode PAGE_LIST");
    list.kv_length_mode = CLATTN_LENGTH_RAGGED;
    expect_wrong(&list, "kv_length_mode is RAGGED");
    list = list_desc();
    list.max_page_indices = INT64_MAX;
    expect_right(&list, "any number of indices");
    list.max_page_indices = -1;
    expect_wrong(&list, "max_page_indices");
}

static void reads_no_field_of_another_mode(void **state)
{
    (void)state;
    clattn_attention_desc table = table_desc(), list = list_desc(), dense = table_desc();
    clattn_problem problem;
    table.max_page_indices = -1;
    table.k = table.v = (clattn_strides){ 0, INT64_MAX, INT64_MAX };
    expect_right(&table, "a table beside a list's and tensors' fields");
    list.max_pages = -1;
    list.block_table_stride = -1;
    list.block_table_head_stride = 1 << 20;
    assert_int_equal(clattn_problem_init(&problem, &list), CLATTN_OK);
    assert_int_equal(problem.desc.block_table_head_stride, 0); /* kernels add it */
    dense.kv_mode = CLATTN_KV_CONTIGUOUS;
    dense.page_size = dense.pages = dense.max_pages = -1;
    dense.max_page_indices = -1;
    dense.k_cache = dense.v_cache = (clattn_page_strides){ -1, -1, -1 };
    assert_int_equal(clattn_problem_init(&problem, &dense), CLATTN_OK);
    assert_false(problem.paged);
    assert_true(clattn_problem_has_keys(&problem));
}

static void no_pages_are_no_keys(void **state)
{
    (void)state;
    clattn_attention_desc desc = table_desc();
    clattn_problem problem;
    assert_int_equal(clattn_problem_init(&problem, &desc), CLATTN_OK);
    assert_true(clattn_problem_has_keys(&problem));
    desc.pages = 0;
    assert_int_equal(clattn_problem_init(&problem, &desc), CLATTN_OK);
    assert_false(clattn_problem_has_keys(&problem));
}

static void strides_reach_at_most_2_to_the_60(void **state)
{
    (void)state;
    static const char *const names[] = { "k_cache.page", "v_cache.page" };
    for (int n = 0; n < 2; n++) {
        clattn_attention_desc desc = table_desc();
        clattn_page_strides *strides = n ? &desc.v_cache : &desc.k_cache;
        desc.page_size = 1;
        desc.pages = 2;
        strides->page = INT64_MAX / 8 - 32;
        expect_right(&desc, names[n]);
        strides->page++;
        expect_wrong(&desc, names[n]);
        strides->page = INT64_MAX;
        expect_wrong(&desc, names[n]);
        desc.k_dtype = desc.v_dtype = CLATTN_Q8_0; /* a row is one block */
        strides->page = INT64_MAX / 8 - 1;
        expect_right(&desc, names[n]);
        desc.pages = 0;
        strides->page = INT64_MAX;
        expect_right(&desc, "strides of no pages");
    }
}

static void tables_reach_less_than_2_to_the_63(void **state)
{
    (void)state;
    clattn_attention_desc desc = table_desc();
    desc.max_batch = 2;
    desc.o.batch = 8 * 32;
    desc.block_table_stride = INT64_MAX - 4;
    expect_right(&desc, "a table's last stride");
    desc.block_table_stride++;
    expect_wrong(&desc, "block_table_stride");
    desc.block_table_stride = 4;
    desc.q_heads = desc.kv_heads = 2;
    desc.o = (clattn_strides){ 8 * 64, 64, 32 };
    desc.block_table_head_stride = INT64_MAX - 8;
    expect_right(&desc, "a table's last head stride");
    desc.block_table_head_stride++;
    expect_wrong(&desc, "block_table_head_stride");
}

static void reaches_count_blocks_and_entries(void **state)
{
    (void)state;
    const clattn_page_strides by_token = { 8 * 4 * 16, 4 * 16, 16 }, by_head = { 4 * 8 * 16, 16, 8 * 16 };
    const clattn_page_strides wide = { INT64_MAX / 2 + 1, 0, 0 };
    assert_int_equal(clattn_cache_reach(&by_token, 9, 8, 4, 16), 9 * 8 * 4 * 16);
    assert_int_equal(clattn_cache_reach(&by_head, 9, 8, 4, 16), 9 * 8 * 4 * 16);
    assert_int_equal(clattn_cache_reach(&by_token, 1, 1, 1, 16), 16);
    assert_int_equal(clattn_cache_reach(&by_token, 0, 8, 4, 16), 0);
    assert_int_equal(clattn_cache_reach(&wide, 3, 1, 1, 1), -1);
    assert_int_equal(clattn_row_blocks(CLATTN_F16, 96), 96);
    assert_int_equal(clattn_row_blocks(CLATTN_FP8, 96), 96);
    assert_int_equal(clattn_row_blocks(CLATTN_Q8_0, 96), 3);
    assert_int_equal(clattn_row_blocks(CLATTN_Q4_0, 32), 1);
    clattn_attention_desc desc = { .kv_heads = 3, .max_pages = 5, .block_table_stride = 100 };
    assert_int_equal(clattn_block_table_reach(&desc, 4), 305);
    desc.block_table_head_stride = 10;
    assert_int_equal(clattn_block_table_reach(&desc, 4), 325);
    assert_int_equal(clattn_block_table_reach(&desc, 0), 0);
    desc.max_pages = 0;
    assert_int_equal(clattn_block_table_reach(&desc, 4), 0);
    desc.max_pages = 5;
    desc.block_table_stride = INT64_MAX;
    assert_int_equal(clattn_block_table_reach(&desc, 4), -1);
}

static void blocks_divide_head_dims(void **state)
{
    (void)state;
    static const clattn_dtype types[] = { CLATTN_Q8_0, CLATTN_Q4_0 };
    static const int32_t dims[] = { 1, 31, 32, 33, 48, 64, 575, 576 };
    for (size_t t = 0; t < LENGTH(types); t++) {
        for (size_t n = 0; n < LENGTH(dims); n++) {
            for (int of_v = 0; of_v < 2; of_v++) {
                clattn_attention_desc desc = table_desc();
                desc.k_cache = desc.v_cache = (clattn_page_strides){ 0, 0, 0 };
                desc.q = (clattn_strides){ 0, 0, 0 };
                desc.max_q_len = 1;
                *(of_v ? &desc.v_dtype : &desc.k_dtype) = types[t];
                *(of_v ? &desc.v_head_dim : &desc.head_dim) = dims[n];
                if (dims[n] % 32 == 0)
                    expect_right(&desc, "whole blocks");
                else
                    expect_wrong(&desc, of_v ? "v_head_dim is" : "head_dim is");
            }
        }
    }
}

/* By hand, since no device is behind it. */
static clattn_plan plan_of(const clattn_attention_desc *desc)
{
    static const clattn_tile decode = { CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_SCALAR, 0, { 8, 16, 1, 8, 16, 8 } };
    clattn_plan plan = { .serial = 77, .compute_units = 1, .decode_max_rows = 16, .split_size = 512 };
    assert_int_equal(clattn_problem_init(&plan.problem, desc), CLATTN_OK);
    plan.steps[CLATTN_STEP_DECODE] =
        (clattn_step){ .present = true, .tile = decode, .local_size = 128, .most_row_tiles = 1 };
    return plan;
}

/* Partial states of splits and nothing else, whatever the pool and the tables are like. */
static void workspace_is_that_of_the_splits(void **state)
{
    (void)state;
    static const int32_t lengths[] = { 512, 1024, 65536 };
    static const size_t splits[] = { 0, 2, 128 };
    static const int32_t page_sizes[] = { 1, 16, 256 };
    for (size_t n = 0; n < LENGTH(lengths); n++) {
        clattn_attention_desc desc = table_desc();
        desc.q_heads = 8;
        desc.kv_heads = 2;
        desc.max_batch = 6;
        desc.max_kv_len = lengths[n];
        desc.max_q_len = 2;
        desc.q = desc.o = (clattn_strides){ 1024, 256, 32 };
        desc.k = desc.v = (clattn_strides){ 0, 64, 32 };
        const size_t want = 6 * 2 * 8 * splits[n] * (32 + 2) * sizeof(float);
        for (size_t m = 0; m < LENGTH(page_sizes); m++) {
            size_t size = 1;
            desc.page_size = page_sizes[m];
            desc.pages = (int32_t)(m * 1000);
            const clattn_plan plan = plan_of(&desc);
            assert_int_equal(clattn_workspace_of_bounds(&plan, &size), CLATTN_OK);
            assert_int_equal(size, want);
        }
        size_t size = 1;
        desc.kv_mode = CLATTN_KV_CONTIGUOUS;
        const clattn_plan dense = plan_of(&desc);
        assert_int_equal(clattn_workspace_of_bounds(&dense, &size), CLATTN_OK);
        assert_int_equal(size, want);
    }
}

static void launches_are_those_of_tensors(void **state)
{
    (void)state;
    clattn_attention_desc desc = list_desc();
    desc.q_length_mode = CLATTN_LENGTH_RAGGED;
    desc.max_batch = 3;
    desc.max_kv_len = 3000;
    const clattn_plan plan = plan_of(&desc);
    const int32_t q_lens[] = { 1, 8, 3 }, kv_lens[] = { 0, 3000, 513 };
    const clattn_lengths lengths = { .batch = 3, .q_lens = q_lens, .kv_lens = kv_lens };
    clattn_launches launches;
    assert_int_equal(clattn_launches_of_lengths(&plan, &lengths, &launches), CLATTN_OK);
    assert_int_equal(launches.kv_len, 3000);
    assert_int_equal(launches.decode_rows, 8);
    assert_int_equal(launches.splits, 6);
    assert_int_equal(clattn_launches_workspace(&launches), 3 * 8 * 6 * (32 + 2) * sizeof(float));
}

/* Of each key its page and its place, and whether one is missing, an int each, in whole vectors of four. */
static void groups_keep_the_places_of_keys(void **state)
{
    (void)state;
    for (size_t i = 0; clattn_tile_row(i); i++) {
        const clattn_tile *tile = clattn_tile_row(i);
        const clattn_tile_problem dense = { .head_dim = 64, .v_head_dim = 64 },
                                  paged = { .head_dim = 64, .v_head_dim = 64, .paged = true };
        const uint64_t without = clattn_tile_local_bytes(tile, &dense), with = clattn_tile_local_bytes(tile, &paged);
        const uint64_t places = (uint64_t)(2 * clattn_tile_keys(tile) + 1) * sizeof(int32_t);
        if (clattn_fragment_is_tensor_core(tile->fragment)) {
            const bool is_mma = tile->fragment == CLATTN_FRAGMENT_NV_MMA;
            const uint64_t tiles = is_mma ? (uint64_t)tile->parameters[CLATTN_MMA_STAGES] + 1 : 3;
            assert_int_equal(with, without + tiles * places); /* by turns */
            continue;
        }
        if (without == 0) { /* a work-item alone */
            assert_int_equal(with, 0);
            continue;
        }
        assert_int_equal(with % 16, 0);
        assert_true(with + 16 > without + places && with < without + places + 16);
    }
}

/* A limit that a tile just meets without pages. */
static void places_count_against_the_limit(void **state)
{
    (void)state;
    char why[256];
    const clattn_tile tile = { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_SCALAR, 0, { 8, 8, 3, 4, 16, 8 } };
    const clattn_tile_problem dense = { .head_dim = 64, .v_head_dim = 64 },
                              paged = { .head_dim = 64, .v_head_dim = 64, .paged = true };
    const clattn_device_info info = { .vendor = "Plain",
                                      .local_mem_size = clattn_tile_local_bytes(&tile, &dense),
                                      .max_work_group_size = SIZE_MAX };
    assert_true(clattn_tile_fits(&tile, &dense, &info, why, sizeof(why)));
    assert_false(clattn_tile_fits(&tile, &paged, &info, why, sizeof(why)));
    assert_non_null(strstr(why, "local memory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_have_their_limits),
        cmocka_unit_test(heads_lie_together_or_not),
        cmocka_unit_test(a_row_has_entries_for_the_longest_sequence),
        cmocka_unit_test(modes_have_their_lengths),
        cmocka_unit_test(reads_no_field_of_another_mode),
        cmocka_unit_test(no_pages_are_no_keys),
        cmocka_unit_test(strides_reach_at_most_2_to_the_60),
        cmocka_unit_test(tables_reach_less_than_2_to_the_63),
        cmocka_unit_test(reaches_count_blocks_and_entries),
        cmocka_unit_test(blocks_divide_head_dims),
        cmocka_unit_test(workspace_is_that_of_the_splits),
        cmocka_unit_test(launches_are_those_of_tensors),
        cmocka_unit_test(groups_keep_the_places_of_keys),
        cmocka_unit_test(places_count_against_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
