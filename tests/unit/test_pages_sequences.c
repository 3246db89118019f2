/* SPDX-License-Identifier: BSD-2-Clause */
/* Sequences of the page manager: slots, copy on write, forks, truncation, windows, swapping, steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pages_check.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define OK(call)      expect_ok(call, __LINE__)

static void expect_ok(clattn_status status, int line)
{
    if (status != CLATTN_OK)
        fail_msg("line %d: %s", line, clattn_last_error());
}

/* Pages of 4, no sharing, so that page numbers alone are in question. */
static clattn_pages *make(int32_t num_groups, const clattn_pages_group *groups)
{
    clattn_pages *pages = NULL;
    OK(clattn_pages_create(&CLATTN_PAGES_PARAMS(.page_size = 4, .num_groups = num_groups, .groups = groups,
                                                .max_sequences = 8, .max_tokens = 100),
                           &pages));
    return pages;
}

static clattn_pages *make_one(int32_t num_pages, int32_t num_host_pages)
{
    return make(1, &(const clattn_pages_group){ .num_pages = num_pages, .num_host_pages = num_host_pages });
}

static void destroy(clattn_pages *pages)
{
    const char *wrong = pages_check(pages);
    if (wrong)
        fail_msg("inconsistent: %s", wrong);
    clattn_pages_destroy(&pages);
}

static clattn_sequence sequence_of(clattn_pages *pages, int32_t tokens)
{
    clattn_sequence s;
    OK(clattn_pages_sequence_create(pages, 0, &s));
    OK(clattn_pages_append(pages, s, NULL, tokens, NULL, 0, NULL));
    OK(clattn_pages_commit(pages, s));
    return s;
}

/* The row of a sequence, [10], -1 behind its pages. */
typedef struct row {
    int32_t page[10];
} row;

static row row_of(const clattn_pages *pages, clattn_sequence s, int32_t group)
{
    row r;
    OK(clattn_pages_block_table(pages, group, &s, 1, r.page, 10, 10));
    return r;
}

static clattn_pages_stats stats_of(const clattn_pages *pages, int32_t group)
{
    clattn_pages_stats stats;
    OK(clattn_pages_get_stats(pages, group, &stats));
    return stats;
}

static int32_t length_of(const clattn_pages *pages, clattn_sequence s)
{
    int32_t length = -1;
    OK(clattn_pages_kv_lens(pages, &s, 1, &length));
    return length;
}

static void slots_follow_pages(void **state)
{
    (void)state;
    clattn_pages *pages = make_one(10, 0);
    clattn_sequence s;
    int64_t slots[11];
    OK(clattn_pages_sequence_create(pages, 0, &s));
    OK(clattn_pages_append(pages, s, NULL, 3, slots, 0, NULL));
    OK(clattn_pages_append(pages, s, NULL, 8, slots + 3, 0, NULL)); /* more before the commit */
    OK(clattn_pages_append(pages, s, NULL, 0, NULL, 0, NULL));
    const row r = row_of(pages, s, 0);
    for (int i = 0; i < 11; i++)
        assert_int_equal(slots[i], r.page[i / 4] * 4 + i % 4);
    assert_int_equal(r.page[3], -1);
    assert_int_equal(length_of(pages, s), 11);
    assert_int_equal(stats_of(pages, 0).used, 3);
    destroy(pages);
}

/* Each group has numbers of its own; slots of a step lie in one array a group. */
static void groups_grow_together(void **state)
{
    (void)state;
    clattn_pages *pages = make(2, (const clattn_pages_group[]){ { .num_pages = 5 }, { .num_pages = 3 } });
    clattn_sequence a, b;
    int64_t slots[2][16];
    OK(clattn_pages_sequence_create(pages, 0, &a));
    OK(clattn_pages_sequence_create(pages, 0, &b));
    OK(clattn_pages_append(pages, a, NULL, 5, &slots[0][0], 16, NULL));
    OK(clattn_pages_append(pages, b, NULL, 4, &slots[0][5], 16, NULL));
    for (int32_t g = 0; g < 2; g++) {
        const row of_a = row_of(pages, a, g), of_b = row_of(pages, b, g);
        for (int i = 0; i < 9; i++)
            assert_int_equal(slots[g][i], i < 5 ? of_a.page[i / 4] * 4 + i % 4 : of_b.page[0] * 4 + (i - 5));
    }
    /* Group 0 has room for one page more, group 1 has none: neither takes one. */
    assert_int_equal(clattn_pages_append(pages, b, NULL, 1, &slots[0][9], 16, NULL), CLATTN_OUT_OF_PAGES);
    assert_non_null(strstr(clattn_last_error(), "group 1 has 0 pages to hand out"));
    assert_int_equal(stats_of(pages, 0).free, 2);
    assert_int_equal(length_of(pages, b), 4);
    OK(clattn_pages_append(pages, a, NULL, 3, &slots[0][9], 16, NULL));
    destroy(pages);
}

static void forks_copy_on_write(void **state)
{
    (void)state;
    clattn_pages *pages = make_one(10, 0);
    const clattn_sequence a = sequence_of(pages, 6);
    clattn_sequence b;
    OK(clattn_pages_fork(pages, a, &b));
    const row before = row_of(pages, a, 0);
    assert_int_equal(stats_of(pages, 0).used, 2);
    assert_int_equal(stats_of(pages, 0).shared, 2);
    clattn_page_pair pairs[3];
    int64_t slots[2];
    clattn_page_list copies = { pairs, 3, 1 };
    OK(clattn_pages_append(pages, b, NULL, 1, slots, 0, &copies));
    const row of_b = row_of(pages, b, 0);
    assert_int_equal(copies.count, 2);
    assert_int_equal(pairs[1].src, before.page[1]);
    assert_int_equal(pairs[1].dst, of_b.page[1]);
    assert_int_equal(slots[0], of_b.page[1] * 4 + 2);
    assert_int_equal(of_b.page[0], before.page[0]);
    assert_true(of_b.page[1] != before.page[1]);
    /* Until b commits, the page that it copies from stays as it is: a appends to a copy of its own too. */
    OK(clattn_pages_append(pages, a, NULL, 1, slots, 0, &copies));
    assert_int_equal(copies.count, 3);
    OK(clattn_pages_commit(pages, b));
    OK(clattn_pages_commit(pages, a));
    assert_int_equal(stats_of(pages, 0).used, 3);
    /* Nobody shares the last pages now. */
    OK(clattn_pages_append(pages, a, NULL, 1, slots, 0, NULL));
    OK(clattn_pages_append(pages, b, NULL, 1, slots, 0, NULL));
    destroy(pages);
}

static void full_pages_need_no_copy(void **state)
{
    (void)state;
    clattn_pages *pages = make_one(10, 0);
    const clattn_sequence a = sequence_of(pages, 8);
    clattn_sequence b;
    OK(clattn_pages_fork(pages, a, &b));
    OK(clattn_pages_append(pages, b, NULL, 1, NULL, 0, NULL));
    OK(clattn_pages_append(pages, a, NULL, 1, NULL, 0, NULL));
    assert_int_equal(stats_of(pages, 0).used, 4);
    destroy(pages);
}

static void abandon_restores(void **state)
{
    (void)state;
    clattn_pages *pages = make_one(10, 0);
    const clattn_sequence a = sequence_of(pages, 6);
    clattn_sequence b;
    clattn_page_pair pairs[1];
    clattn_page_list copies = { pairs, 1, 0 };
    OK(clattn_pages_fork(pages, a, &b));
    const row before = row_of(pages, b, 0);
    const clattn_pages_stats stats = stats_of(pages, 0);
    OK(clattn_pages_begin_step(pages, 5)); /* what was never enqueued waits for no step */
    OK(clattn_pages_append(pages, b, NULL, 9, NULL, 0, &copies));
    OK(clattn_pages_append(pages, b, NULL, 9, NULL, 0, NULL));
    OK(clattn_pages_abandon(pages, b));
    OK(clattn_pages_abandon(pages, b));
    const row after = row_of(pages, b, 0);
    const clattn_pages_stats stats_after = stats_of(pages, 0);
    assert_memory_equal(&before, &after, sizeof(row));
    assert_memory_equal(&stats, &stats_after, sizeof(stats));
    assert_int_equal(length_of(pages, b), 6);
    destroy(pages);
}

static void out_of_pages_changes_nothing(void **state)
{
    (void)state;
    clattn_pages *pages = make_one(3, 0);
    const clattn_sequence a = sequence_of(pages, 10);
    clattn_sequence b;
    clattn_page_pair pairs[1] = { { 8, 9 } };
    int64_t slots[20] = { 77 };
    clattn_page_list copies = { pairs, 1, 0 };
    OK(clattn_pages_fork(pages, a, &b));
    const clattn_pages_stats stats = stats_of(pages, 0);
    for (int32_t count = 1; count < 20; count++) /* a copy of the last page would be one too many */
        assert_int_equal(clattn_pages_append(pages, b, NULL, count, slots, 0, &copies), CLATTN_OUT_OF_PAGES);
    const clattn_pages_stats after = stats_of(pages, 0);
    assert_memory_equal(&stats, &after, sizeof(stats));
    assert_int_equal(copies.count, 0);
    assert_int_equal(pairs[0].src, 8);
    assert_int_equal(slots[0], 77);
    OK(clattn_pages_free(pages, a));
    OK(clattn_pages_append(pages, b, NULL, 2, slots, 0, &copies));
    assert_int_equal(copies.count, 0);
    destroy(pages);
}

static void truncation_gives_pages_back(void **state)
{
    (void)state;
    clattn_pages *pages = make_one(10, 0);
    const clattn_sequence a = sequence_of(pages, 11);
    const row before = row_of(pages, a, 0);
    static const int32_t lengths[] = { 11, 9, 8, 5, 4, 0 }, used[] = { 3, 3, 2, 2, 1, 0 };
    for (size_t i = 0; i < LENGTH(lengths); i++) {
        OK(clattn_pages_truncate(pages, a, lengths[i]));
        const row r = row_of(pages, a, 0);
        assert_int_equal(stats_of(pages, 0).used, used[i]);
        for (int32_t k = 0; k < 10; k++)
            assert_int_equal(r.page[k], k < used[i] ? before.page[k] : -1);
    }
    destroy(pages);
}

static void dropped_pages_are_holes(void **state)
{
    (void)state;
    static const struct {
        int32_t first, end, hole_first, hole_end;
    } cases[] = {
        { 0, 3, 0, 0 },   { 0, 4, 0, 1 },   { 1, 8, 1, 2 },    { 4, 11, 1, 2 },        { 0, 18, 0, 4 },
        { 0, 999, 0, 4 }, { 5, 5, 0, 0 },   { 9, 2, 0, 0 },    { 0, -5, 0, 0 },        { INT32_MAX, INT32_MAX, 0, 0 },
        { 8, 17, 2, 4 },  { 16, 18, 0, 0 }, { 17, 999, 0, 0 }, { 0, INT32_MAX, 0, 4 },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        clattn_pages *pages = make_one(10, 0);
        const clattn_sequence a = sequence_of(pages, 18);
        OK(clattn_pages_drop(pages, a, 0, cases[i].first, cases[i].end));
        const row r = row_of(pages, a, 0);
        for (int32_t k = 0; k < 5; k++)
            if ((r.page[k] == -1) != (k >= cases[i].hole_first && k < cases[i].hole_end))
                fail_msg("case %zu: page %d is %d", i, k, r.page[k]);
        assert_int_equal(stats_of(pages, 0).used, 5 - (cases[i].hole_end - cases[i].hole_first));
        assert_int_equal(length_of(pages, a), 18);
        destroy(pages);
    }
}

/* A sequence that slides through a pool far smaller than itself. */
static void windows_bound_what_is_held(void **state)
{
    (void)state;
    clattn_pages *pages =
        make(2, (const clattn_pages_group[]){ { .num_pages = 25 }, { .num_pages = 4, .window = 8, .sink = 3 } });
    clattn_sequence s;
    OK(clattn_pages_sequence_create(pages, 0, &s));
    for (int32_t length = 1; length <= 100; length++) {
        OK(clattn_pages_append(pages, s, NULL, 1, NULL, 0, NULL));
        OK(clattn_pages_commit(pages, s));
        OK(clattn_pages_drop(pages, s, 1, 3, length - 8));
    }
    clattn_sequence_info info;
    OK(clattn_pages_sequence_info(pages, s, &info));
    assert_int_equal(info.num_pages, 25);
    assert_int_equal(info.num_held[0], 25);
    assert_int_equal(info.num_held[1], 3); /* the sink's, and 92 .. 99 */
    clattn_sequence fork;
    OK(clattn_pages_fork(pages, s, &fork));
    assert_int_equal(clattn_pages_truncate(pages, s, 90), CLATTN_INVALID_ARGUMENT);
    assert_non_null(strstr(clattn_last_error(), "length is 90, in a page that group 1 has dropped"));
    OK(clattn_pages_truncate(pages, s, 88));
    OK(clattn_pages_free(pages, s));
    OK(clattn_pages_free(pages, fork));
    destroy(pages);
}

static void swaps_there_and_back(void **state)
{
    (void)state;
    clattn_pages *pages = make(2, (const clattn_pages_group[]){ { .num_pages = 4, .num_host_pages = 4 },
                                                                { .num_pages = 4, .num_host_pages = 2 } });
    const clattn_sequence a = sequence_of(pages, 10);
    clattn_page_pair pairs[2][4];
    clattn_page_list lists[2] = { { pairs[0], 4, 0 }, { pairs[1], 4, 0 } };
    assert_int_equal(clattn_pages_swap_out(pages, a, lists), CLATTN_OUT_OF_PAGES);
    assert_non_null(strstr(clattn_last_error(), "group 1 has 2 host pages"));
    assert_int_equal(lists[0].count, 0);
    OK(clattn_pages_drop(pages, a, 1, 0, 4));
    const row before[2] = { row_of(pages, a, 0), row_of(pages, a, 1) };
    OK(clattn_pages_swap_out(pages, a, lists));
    assert_int_equal(lists[0].count, 3);
    assert_int_equal(lists[1].count, 2);
    assert_int_equal(stats_of(pages, 0).used, 0);
    assert_int_equal(stats_of(pages, 1).host_used, 2);
    assert_int_equal(length_of(pages, a), 10);
    const clattn_sequence other = sequence_of(pages, 5);
    clattn_page_list back[2] = { { (clattn_page_pair[4]){ { 0 } }, 4, 0 }, { (clattn_page_pair[4]){ { 0 } }, 4, 0 } };
    assert_int_equal(clattn_pages_swap_in(pages, a, back), CLATTN_OUT_OF_PAGES);
    OK(clattn_pages_free(pages, other));
    OK(clattn_pages_swap_in(pages, a, back));
    for (int32_t g = 0; g < 2; g++) {
        const row after = row_of(pages, a, g);
        assert_int_equal(back[g].count, lists[g].count);
        for (int32_t i = 0; i < 3; i++) {
            if (before[g].page[i] < 0) {
                assert_int_equal(after.page[i], -1);
                continue;
            }
            int32_t host = -1, page = -1;
            for (int32_t k = 0; k < lists[g].count; k++)
                host = lists[g].pairs[k].src == before[g].page[i] ? lists[g].pairs[k].dst : host;
            for (int32_t k = 0; k < back[g].count; k++)
                page = back[g].pairs[k].src == host ? back[g].pairs[k].dst : page;
            assert_int_equal(after.page[i], page);
        }
    }
    assert_int_equal(stats_of(pages, 0).host_free, 4);
    /* Host pages come in a row, the second time too. */
    for (int round = 0; round < 2; round++) {
        lists[0].count = lists[1].count = 0;
        OK(clattn_pages_swap_out(pages, a, lists));
        for (int32_t k = 0; k < 3; k++)
            assert_int_equal(pairs[0][k].dst, k);
        lists[0].count = lists[1].count = 0;
        OK(clattn_pages_swap_in(pages, a, lists));
    }
    destroy(pages);
}

static void pages_wait_for_their_step(void **state)
{
    (void)state;
    clattn_pages *pages = make_one(2, 2);
    const clattn_sequence a = sequence_of(pages, 8);
    clattn_sequence b;
    OK(clattn_pages_sequence_create(pages, 0, &b));
    OK(clattn_pages_begin_step(pages, 3));
    OK(clattn_pages_truncate(pages, a, 4));
    OK(clattn_pages_begin_step(pages, 4));
    OK(clattn_pages_free(pages, a));
    assert_int_equal(stats_of(pages, 0).waiting, 2);
    OK(clattn_pages_retire(pages, 2));
    assert_int_equal(clattn_pages_append(pages, b, NULL, 1, NULL, 0, NULL), CLATTN_OUT_OF_PAGES);
    assert_non_null(strstr(clattn_last_error(), "0 pages to hand out, and 2 more that wait"));
    OK(clattn_pages_retire(pages, 3));
    assert_int_equal(stats_of(pages, 0).free, 1);
    OK(clattn_pages_append(pages, b, NULL, 4, NULL, 0, NULL));
    assert_int_equal(clattn_pages_append(pages, b, NULL, 1, NULL, 0, NULL), CLATTN_OUT_OF_PAGES);
    OK(clattn_pages_retire(pages, 4));
    OK(clattn_pages_retire(pages, 1)); /* long since */
    OK(clattn_pages_append(pages, b, NULL, 4, NULL, 0, NULL));
    OK(clattn_pages_commit(pages, b));
    clattn_page_pair pairs[2];
    clattn_page_list list = { pairs, 2, 0 };
    OK(clattn_pages_begin_step(pages, 5));
    OK(clattn_pages_swap_out(pages, b, &list));
    assert_int_equal(stats_of(pages, 0).waiting, 2); /* the swap reads them */
    OK(clattn_pages_free(pages, b));
    assert_int_equal(stats_of(pages, 0).host_waiting, 2);
    OK(clattn_pages_retire(pages, 5));
    assert_int_equal(stats_of(pages, 0).free, 2);
    assert_int_equal(stats_of(pages, 0).host_free, 2);
    destroy(pages);
}

/* A page that a freed fork's step may still read is not written in place. */
static void pages_under_read_are_copied(void **state)
{
    (void)state;
    for (int retired = 0; retired < 2; retired++) {
        clattn_pages *pages = make_one(4, 0);
        const clattn_sequence a = sequence_of(pages, 3);
        clattn_sequence b;
        clattn_page_pair pairs[1];
        clattn_page_list copies = { pairs, 1, 0 };
        OK(clattn_pages_fork(pages, a, &b));
        OK(clattn_pages_begin_step(pages, 1));
        OK(clattn_pages_free(pages, b));
        OK(clattn_pages_begin_step(pages, 2));
        OK(clattn_pages_retire(pages, (uint64_t)retired));
        OK(clattn_pages_append(pages, a, NULL, 1, NULL, 0, &copies));
        assert_int_equal(copies.count, retired ? 0 : 1);
        destroy(pages);
    }
}

static void frees_uncommitted_and_swapped(void **state)
{
    (void)state;
    clattn_pages *pages = make_one(6, 6);
    const clattn_sequence a = sequence_of(pages, 6);
    clattn_sequence b, c;
    clattn_page_pair pairs[6];
    clattn_page_list list = { pairs, 6, 0 };
    OK(clattn_pages_fork(pages, a, &b));
    OK(clattn_pages_fork(pages, a, &c));
    OK(clattn_pages_append(pages, b, NULL, 3, NULL, 0, &list));
    OK(clattn_pages_swap_out(pages, c, &list));
    OK(clattn_pages_free(pages, b));
    OK(clattn_pages_free(pages, c));
    OK(clattn_pages_free(pages, a));
    assert_int_equal(stats_of(pages, 0).free, 6);
    assert_int_equal(stats_of(pages, 0).host_free, 6);
    assert_int_equal(stats_of(pages, 0).sequences, 0);
    destroy(pages);
}

/* A batch's table: rows of their own lengths, a stride, untouched columns behind. */
static void writes_tables_of_a_batch(void **state)
{
    (void)state;
    clattn_pages *pages = make_one(10, 0);
    const clattn_sequence batch[] = { sequence_of(pages, 9), sequence_of(pages, 0), sequence_of(pages, 4) };
    int32_t table[3][6], lens[3];
    memset(table, 0x55, sizeof(table));
    OK(clattn_pages_block_table(pages, 0, batch, 3, &table[0][0], 4, 6));
    OK(clattn_pages_kv_lens(pages, batch, 3, lens));
    static const int32_t lengths[] = { 9, 0, 4 }, held[] = { 3, 0, 1 };
    for (int b = 0; b < 3; b++) {
        assert_int_equal(lens[b], lengths[b]);
        for (int i = 0; i < 6; i++) {
            if (i < held[b])
                assert_in_range(table[b][i], 0, 9);
            else
                assert_int_equal(table[b][i], i < 4 ? -1 : 0x55555555);
        }
    }
    destroy(pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_follow_pages),
        cmocka_unit_test(groups_grow_together),
        cmocka_unit_test(forks_copy_on_write),
        cmocka_unit_test(full_pages_need_no_copy),
        cmocka_unit_test(abandon_restores),
        cmocka_unit_test(out_of_pages_changes_nothing),
        cmocka_unit_test(truncation_gives_pages_back),
        cmocka_unit_test(dropped_pages_are_holes),
        cmocka_unit_test(windows_bound_what_is_held),
        cmocka_unit_test(swaps_there_and_back),
        cmocka_unit_test(pages_wait_for_their_step),
        cmocka_unit_test(pages_under_read_are_copied),
        cmocka_unit_test(frees_uncommitted_and_swapped),
        cmocka_unit_test(writes_tables_of_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
