/* SPDX-License-Identifier: BSD-2-Clause */
/* The page manager as a whole: bounds, memory, arguments. Linked with malloc and its like wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pages_check.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Allocation, watched ---- */

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);

static int allocations, held, fails_at = -1;

static bool refused(void)
{
    if (allocations++ == fails_at)
        return true;
    held++;
    return false;
}

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    allocations++;
    return __real_realloc(memory, size);
}

void __wrap_free(void *memory)
{
    held -= memory != NULL;
    __real_free(memory);
}

/* ---- */

static const clattn_pages_group two_groups[] = { { .num_pages = 40, .num_host_pages = 20 },
                                                 { .num_pages = 30, .num_host_pages = 20, .window = 20, .sink = 2 } };

static clattn_pages_params good_params(void)
{
    return CLATTN_PAGES_PARAMS(.page_size = 4, .num_groups = 2, .groups = two_groups, .max_sequences = 6,
                               .max_tokens = 64, .share_prefixes = 1, .max_attachments = 4);
}

static clattn_pages *make(void)
{
    const clattn_pages_params params = good_params();
    clattn_pages *pages = NULL;
    if (clattn_pages_create(&params, &pages) != CLATTN_OK)
        fail_msg("create: %s", clattn_last_error());
    return pages;
}

static void expect_message(clattn_status status, clattn_status expected, const char *part, int line)
{
    if (status != expected || !strstr(clattn_last_error(), part))
        fail_msg("line %d: %s instead of %s, with \"%s\", which has to contain \"%s\"", line,
                 clattn_status_name(status), clattn_status_name(expected), clattn_last_error(), part);
}

#define EXPECT_INVALID(call, part) expect_message(call, CLATTN_INVALID_ARGUMENT, part, __LINE__)
#define EXPECT_OUT(call, part)     expect_message(call, CLATTN_OUT_OF_PAGES, part, __LINE__)

static void refuses_bad_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *part;
        size_t offset;
        int32_t value;
    } fields[] = {
        { "page_size is 257", offsetof(clattn_pages_params, page_size), 257 },
        { "page_size is -1", offsetof(clattn_pages_params, page_size), -1 },
        { "num_groups is 0", offsetof(clattn_pages_params, num_groups), 0 },
        { "num_groups is 17", offsetof(clattn_pages_params, num_groups), 17 },
        { "max_sequences is -1", offsetof(clattn_pages_params, max_sequences), -1 },
        { "max_sequences is 16777217", offsetof(clattn_pages_params, max_sequences), (1 << 24) + 1 },
        { "max_tokens is -1", offsetof(clattn_pages_params, max_tokens), -1 },
        { "max_tokens is 1073741825", offsetof(clattn_pages_params, max_tokens), (1 << 30) + 1 },
        { "max_attachments is -1", offsetof(clattn_pages_params, max_attachments), -1 },
    };
    clattn_pages *pages = NULL;
    for (size_t i = 0; i < LENGTH(fields); i++) {
        clattn_pages_params params = good_params();
        memcpy((char *)&params + fields[i].offset, &fields[i].value, sizeof(fields[i].value));
        EXPECT_INVALID(clattn_pages_create(&params, &pages), fields[i].part);
    }
    clattn_pages_params params = good_params();
    params.struct_size--;
    EXPECT_INVALID(clattn_pages_create(&params, &pages), "struct_size");
    params = good_params();
    params.groups = NULL;
    EXPECT_INVALID(clattn_pages_create(&params, &pages), "groups is NULL");
    EXPECT_INVALID(clattn_pages_create(NULL, &pages), "params is NULL");
    EXPECT_INVALID(clattn_pages_create(&params, NULL), "out is NULL");
    assert_null(pages);
}

static void refuses_bad_groups(void **state)
{
    (void)state;
    static const struct {
        const char *part;
        clattn_pages_group group;
    } cases[] = {
        { "groups[1].num_pages is 0", { .num_pages = 0 } },
        { "groups[1].num_pages is 1073741825", { .num_pages = (1 << 30) + 1 } },
        { "groups[1].num_host_pages is -1", { .num_pages = 1, .num_host_pages = -1 } },
        { "groups[1].window is -1", { .num_pages = 1, .window = -1 } },
        { "groups[1].sink is -1", { .num_pages = 1, .sink = -1 } },
        { "groups[1].reserved[3] is 9", { .num_pages = 1, .reserved = { 0, 0, 0, 9 } } },
    };
    clattn_pages *pages = NULL;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const clattn_pages_group groups[2] = { two_groups[0], cases[i].group };
        clattn_pages_params params = good_params();
        params.groups = groups;
        EXPECT_INVALID(clattn_pages_create(&params, &pages), cases[i].part);
    }
}

static void defaults(void **state)
{
    (void)state;
    clattn_pages_params params;
    clattn_pages_params_init(&params);
    clattn_pages_params_init(NULL);
    params.num_groups = 1;
    params.groups = two_groups;
    clattn_pages *pages = NULL;
    assert_int_equal(clattn_pages_create(&params, &pages), CLATTN_OK);
    assert_int_equal(pages->page_size, 16);
    assert_int_equal(pages->max_sequences, 256);
    assert_int_equal(pages->max_tokens, 40 * 16);
    clattn_pages_destroy(&pages);
    assert_null(pages);
    clattn_pages_destroy(&pages);
    clattn_pages_destroy(NULL);
}

/* Where the address sanitizer is in, a request that no machine can serve has to fail as it does without it. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* Tables too large for this machine are a status, whichever it is. */
static void refuses_what_cannot_be_held(void **state)
{
    (void)state;
    clattn_pages_group groups[16];
    for (size_t i = 0; i < LENGTH(groups); i++)
        groups[i] = (clattn_pages_group){ .num_pages = 1 };
    clattn_pages *pages = NULL;
    const clattn_pages_params params = CLATTN_PAGES_PARAMS(.page_size = 1, .num_groups = 16, .groups = groups,
                                                           .max_sequences = 1 << 24, .max_tokens = 1 << 30);
    assert_int_not_equal(clattn_pages_create(&params, &pages), CLATTN_OK);
    assert_null(pages);
}

static void survives_each_failed_allocation(void **state)
{
    (void)state;
    const clattn_pages_params params = good_params();
    const int before = held;
    int count = 0;
    for (;; count++) {
        clattn_pages *pages = NULL;
        allocations = 0;
        fails_at = count;
        const clattn_status status = clattn_pages_create(&params, &pages);
        fails_at = -1;
        if (status == CLATTN_OK) {
            clattn_pages_destroy(&pages);
            break;
        }
        expect_message(status, CLATTN_OUT_OF_MEMORY, "no memory for", __LINE__);
        assert_null(pages);
        assert_int_equal(held, before);
    }
    assert_int_equal(held, before);
    assert_in_range(count, 10, 30);
}

static void allocates_nothing_after_creation(void **state)
{
    (void)state;
    clattn_pages *pages = make();
    int32_t tokens[64] = { 0 }, found, table[16], length;
    clattn_page_pair pairs[2][32];
    int64_t slots[128];
    clattn_sequence a, b;
    clattn_page_list lists[2] = { { pairs[0], 32, 0 }, { pairs[1], 32, 0 } };
    allocations = 0;
    for (int round = 0; round < 50; round++) {
        lists[0].count = lists[1].count = 0;
        assert_int_equal(clattn_pages_begin_step(pages, (uint64_t)round), CLATTN_OK);
        assert_int_equal(clattn_pages_sequence_create(pages, 0, &a), CLATTN_OK);
        assert_int_equal(clattn_pages_attach(pages, a, 0, 3, "image", 5), CLATTN_OK);
        assert_int_equal(clattn_pages_match(pages, a, tokens, 64, &found), CLATTN_OK);
        assert_int_equal(clattn_pages_append(pages, a, tokens + found, 38 - found, slots, 64, lists), CLATTN_OK);
        assert_int_equal(clattn_pages_commit(pages, a), CLATTN_OK);
        assert_int_equal(clattn_pages_fork(pages, a, &b), CLATTN_OK);
        assert_int_equal(clattn_pages_append(pages, b, tokens, 5, slots, 64, lists), CLATTN_OK);
        assert_int_equal(clattn_pages_abandon(pages, b), CLATTN_OK);
        assert_int_equal(clattn_pages_truncate(pages, b, 37), CLATTN_OK);
        assert_int_equal(clattn_pages_drop(pages, b, 1, 2, 17), CLATTN_OK);
        assert_int_equal(clattn_pages_block_table(pages, 1, &b, 1, table, 16, 16), CLATTN_OK);
        assert_int_equal(clattn_pages_kv_lens(pages, &b, 1, &length), CLATTN_OK);
        lists[0].count = lists[1].count = 0;
        assert_int_equal(clattn_pages_swap_out(pages, a, lists), CLATTN_OK);
        assert_int_equal(clattn_pages_swap_in(pages, a, lists), CLATTN_OK);
        assert_int_equal(clattn_pages_free(pages, a), CLATTN_OK);
        assert_int_equal(clattn_pages_free(pages, b), CLATTN_OK);
        assert_int_equal(clattn_pages_retire(pages, (uint64_t)round), CLATTN_OK);
    }
    assert_int_equal(allocations, 0);
    assert_null(pages_check(pages));
    clattn_pages_destroy(&pages);
}

/* ---- Arguments ---- */

static void refuses_sequences_that_are_not_alive(void **state)
{
    (void)state;
    clattn_pages *pages = make();
    clattn_sequence live, gone;
    assert_int_equal(clattn_pages_sequence_create(pages, 0, &gone), CLATTN_OK);
    assert_int_equal(clattn_pages_free(pages, gone), CLATTN_OK);
    assert_int_equal(clattn_pages_sequence_create(pages, 0, &live), CLATTN_OK);
    const clattn_sequence bad[] = {
        0, gone, live + 1, live ^ (UINT64_C(1) << 33), UINT64_MAX, 6 + (UINT64_C(1) << 32)
    };
    int32_t number;
    clattn_sequence_info info;
    clattn_sequence other = 99;
    for (size_t i = 0; i < LENGTH(bad); i++) {
        EXPECT_INVALID(clattn_pages_attach(pages, bad[i], 0, 1, "", 1), "not alive");
        EXPECT_INVALID(clattn_pages_match(pages, bad[i], &number, 1, &number), "not alive");
        EXPECT_INVALID(clattn_pages_append(pages, bad[i], &number, 1, NULL, 0, NULL), "not alive");
        EXPECT_INVALID(clattn_pages_commit(pages, bad[i]), "not alive");
        EXPECT_INVALID(clattn_pages_abandon(pages, bad[i]), "not alive");
        EXPECT_INVALID(clattn_pages_truncate(pages, bad[i], 0), "not alive");
        EXPECT_INVALID(clattn_pages_fork(pages, bad[i], &other), "not alive");
        EXPECT_INVALID(clattn_pages_drop(pages, bad[i], 0, 0, 0), "not alive");
        EXPECT_INVALID(clattn_pages_free(pages, bad[i]), "not alive");
        EXPECT_INVALID(clattn_pages_swap_out(pages, bad[i], NULL), "not alive");
        EXPECT_INVALID(clattn_pages_swap_in(pages, bad[i], NULL), "not alive");
        EXPECT_INVALID(clattn_pages_block_table(pages, 0, &bad[i], 1, &number, 1, 1), "not alive");
        EXPECT_INVALID(clattn_pages_kv_lens(pages, &bad[i], 1, &number), "not alive");
        EXPECT_INVALID(clattn_pages_sequence_info(pages, bad[i], &info), "not alive");
    }
    assert_int_equal(other, 99);
    clattn_pages_destroy(&pages);
}

static void refuses_null_managers(void **state)
{
    (void)state;
    clattn_sequence s = 1;
    int32_t number = 0;
    clattn_sequence_info info;
    clattn_pages_stats stats;
    EXPECT_INVALID(clattn_pages_sequence_create(NULL, 0, &s), "pages is NULL");
    EXPECT_INVALID(clattn_pages_attach(NULL, s, 0, 1, "", 1), "pages is NULL");
    EXPECT_INVALID(clattn_pages_match(NULL, s, &number, 1, &number), "pages is NULL");
    EXPECT_INVALID(clattn_pages_append(NULL, s, &number, 1, NULL, 0, NULL), "pages is NULL");
    EXPECT_INVALID(clattn_pages_commit(NULL, s), "pages is NULL");
    EXPECT_INVALID(clattn_pages_abandon(NULL, s), "pages is NULL");
    EXPECT_INVALID(clattn_pages_truncate(NULL, s, 0), "pages is NULL");
    EXPECT_INVALID(clattn_pages_fork(NULL, s, &s), "pages is NULL");
    EXPECT_INVALID(clattn_pages_drop(NULL, s, 0, 0, 0), "pages is NULL");
    EXPECT_INVALID(clattn_pages_free(NULL, s), "pages is NULL");
    EXPECT_INVALID(clattn_pages_swap_out(NULL, s, NULL), "pages is NULL");
    EXPECT_INVALID(clattn_pages_swap_in(NULL, s, NULL), "pages is NULL");
    EXPECT_INVALID(clattn_pages_block_table(NULL, 0, &s, 1, &number, 1, 1), "pages is NULL");
    EXPECT_INVALID(clattn_pages_kv_lens(NULL, &s, 1, &number), "pages is NULL");
    EXPECT_INVALID(clattn_pages_sequence_info(NULL, s, &info), "pages is NULL");
    EXPECT_INVALID(clattn_pages_get_stats(NULL, 0, &stats), "pages is NULL");
    EXPECT_INVALID(clattn_pages_begin_step(NULL, 0), "pages is NULL");
    EXPECT_INVALID(clattn_pages_retire(NULL, 0), "pages is NULL");
}

static void refuses_null_outputs_and_bad_groups(void **state)
{
    (void)state;
    clattn_pages *pages = make();
    clattn_sequence s;
    int32_t table[2] = { 5, 5 };
    clattn_pages_stats stats;
    EXPECT_INVALID(clattn_pages_sequence_create(pages, 0, NULL), "out is NULL");
    assert_int_equal(clattn_pages_sequence_create(pages, 0, &s), CLATTN_OK);
    EXPECT_INVALID(clattn_pages_fork(pages, s, NULL), "out is NULL");
    EXPECT_INVALID(clattn_pages_match(pages, s, table, 1, NULL), "found is NULL");
    EXPECT_INVALID(clattn_pages_match(pages, s, NULL, 1, table), "tokens is NULL");
    EXPECT_INVALID(clattn_pages_append(pages, s, NULL, 1, NULL, 0, NULL), "tokens is NULL");
    EXPECT_INVALID(clattn_pages_sequence_info(pages, s, NULL), "info is NULL");
    EXPECT_INVALID(clattn_pages_get_stats(pages, 0, NULL), "stats is NULL");
    EXPECT_INVALID(clattn_pages_get_stats(pages, 2, &stats), "group is 2; it has to be 0 to 1");
    EXPECT_INVALID(clattn_pages_drop(pages, s, -1, 0, 1), "group is -1");
    EXPECT_INVALID(clattn_pages_drop(pages, s, 0, -1, 1), "first_token is -1");
    EXPECT_INVALID(clattn_pages_block_table(pages, 2, &s, 1, table, 2, 2), "group is 2");
    EXPECT_INVALID(clattn_pages_block_table(pages, 0, NULL, 1, table, 2, 2), "sequences is NULL");
    EXPECT_INVALID(clattn_pages_block_table(pages, 0, &s, 1, NULL, 2, 2), "table is NULL");
    EXPECT_INVALID(clattn_pages_block_table(pages, 0, &s, -1, table, 2, 2), "batch is -1");
    EXPECT_INVALID(clattn_pages_block_table(pages, 0, &s, 1, table, -1, 2), "columns is -1");
    EXPECT_INVALID(clattn_pages_block_table(pages, 0, &s, 1, table, 2, 1), "stride is 1");
    EXPECT_INVALID(clattn_pages_kv_lens(pages, NULL, 1, table), "sequences is NULL");
    EXPECT_INVALID(clattn_pages_kv_lens(pages, &s, 1, NULL), "kv_lens is NULL");
    EXPECT_INVALID(clattn_pages_kv_lens(pages, &s, -1, table), "batch is -1");
    assert_int_equal(clattn_pages_block_table(pages, 0, NULL, 0, NULL, 0, 0), CLATTN_OK);
    assert_int_equal(clattn_pages_kv_lens(pages, NULL, 0, NULL), CLATTN_OK);
    assert_int_equal(table[0], 5);
    clattn_pages_destroy(&pages);
}

static void refuses_bad_lengths_and_ranges(void **state)
{
    (void)state;
    clattn_pages *pages = make();
    int32_t tokens[65] = { 0 }, found;
    int64_t slots[130];
    clattn_sequence s;
    assert_int_equal(clattn_pages_sequence_create(pages, 0, &s), CLATTN_OK);
    EXPECT_INVALID(clattn_pages_match(pages, s, tokens, -1, &found), "count is -1");
    EXPECT_INVALID(clattn_pages_match(pages, s, tokens, 65, &found), "count is 65; it has to be 0 to 64");
    EXPECT_INVALID(clattn_pages_append(pages, s, tokens, -1, NULL, 0, NULL), "count is -1");
    EXPECT_INVALID(clattn_pages_append(pages, s, tokens, 65, NULL, 0, NULL), "count is 65; it has to be 0 to 64");
    EXPECT_INVALID(clattn_pages_append(pages, s, tokens, 10, slots, 9, NULL), "slot_stride is 9");
    assert_int_equal(clattn_pages_append(pages, s, tokens, 10, slots, 10, NULL), CLATTN_OK);
    EXPECT_INVALID(clattn_pages_append(pages, s, tokens, 55, slots, 65, NULL), "count is 55; it has to be 0 to 54");
    EXPECT_INVALID(clattn_pages_append(pages, s, tokens, INT32_MAX, slots, INT64_MAX, NULL), "count is");
    EXPECT_INVALID(clattn_pages_match(pages, s, tokens, 10, &found), "has 10 tokens");
    EXPECT_INVALID(clattn_pages_truncate(pages, s, 5), "10 uncommitted tokens");
    EXPECT_INVALID(clattn_pages_fork(pages, s, &s), "10 uncommitted tokens");
    EXPECT_INVALID(clattn_pages_swap_out(pages, s, NULL), "10 uncommitted tokens");
    EXPECT_INVALID(clattn_pages_truncate(pages, s, 11), "length is 11; it has to be 0 to 10");
    EXPECT_INVALID(clattn_pages_truncate(pages, s, -1), "length is -1");
    EXPECT_INVALID(clattn_pages_attach(pages, s, 9, 1, "x", 1), "first_token is 9; it has to be 10 to 63");
    EXPECT_INVALID(clattn_pages_attach(pages, s, 64, 1, "x", 1), "first_token is 64");
    EXPECT_INVALID(clattn_pages_attach(pages, s, 60, 5, "x", 1), "num_tokens is 5; it has to be 1 to 4");
    EXPECT_INVALID(clattn_pages_attach(pages, s, 60, 0, "x", 1), "num_tokens is 0");
    EXPECT_INVALID(clattn_pages_attach(pages, s, 60, INT32_MAX, "x", 1), "num_tokens is");
    EXPECT_INVALID(clattn_pages_attach(pages, s, 60, 1, NULL, 1), "bytes is NULL");
    EXPECT_INVALID(clattn_pages_attach(pages, s, 60, 1, "x", 0), "size is 0");
    EXPECT_INVALID(clattn_pages_attach(pages, s, 60, 1, tokens, 65), "size is 65; it has to be 1 to 64");
    assert_int_equal(clattn_pages_attach(pages, s, 12, 4, "x", 1), CLATTN_OK);
    EXPECT_INVALID(clattn_pages_attach(pages, s, 15, 4, "x", 1), "first_token is 15; it has to be 16 to 63");
    EXPECT_INVALID(clattn_pages_retire(pages, 1), "step is 1; it has to be at most the current one, 0");
    assert_int_equal(clattn_pages_begin_step(pages, 7), CLATTN_OK);
    EXPECT_INVALID(clattn_pages_begin_step(pages, 6), "step is 6; it has to be at least the current one, 7");
    EXPECT_INVALID(clattn_pages_retire(pages, 8), "step is 8; it has to be at most the current one, 7");
    assert_null(pages_check(pages));
    clattn_pages_destroy(&pages);
}

/* Lists and tables that are too small: the message says what would do, and nothing has changed. */
static void names_the_room_that_is_needed(void **state)
{
    (void)state;
    clattn_pages *pages = make();
    clattn_page_pair pairs[2][9];
    int32_t tokens[20] = { 0 }, table[4] = { 7, 7, 7, 7 };
    clattn_sequence s, fork;
    clattn_page_list lists[2] = { { pairs[0], 0, 0 }, { pairs[1], 9, 5 } };
    assert_int_equal(clattn_pages_sequence_create(pages, 0, &s), CLATTN_OK);
    assert_int_equal(clattn_pages_append(pages, s, tokens, 18, NULL, 0, NULL), CLATTN_OK);
    assert_int_equal(clattn_pages_commit(pages, s), CLATTN_OK);
    assert_int_equal(clattn_pages_fork(pages, s, &fork), CLATTN_OK);
    EXPECT_INVALID(clattn_pages_append(pages, s, tokens, 1, NULL, 0, NULL), "copies is NULL");
    EXPECT_INVALID(clattn_pages_append(pages, s, tokens, 1, NULL, 0, lists), "copies[0].capacity is 0");
    EXPECT_INVALID(clattn_pages_swap_out(pages, s, NULL), "lists is NULL");
    lists[0] = (clattn_page_list){ pairs[0], 5, 0 };
    EXPECT_INVALID(clattn_pages_swap_out(pages, s, lists), "lists[1].capacity is 9; it has to be at least 10");
    lists[0] = (clattn_page_list){ NULL, 5, 0 };
    EXPECT_INVALID(clattn_pages_swap_out(pages, s, lists), "room for 5 pairs more");
    lists[0] = (clattn_page_list){ pairs[0], 5, -1 };
    EXPECT_INVALID(clattn_pages_swap_out(pages, s, lists), "count -1");
    lists[0] = (clattn_page_list){ pairs[0], 5, 6 };
    EXPECT_INVALID(clattn_pages_swap_out(pages, s, lists), "count 6 and capacity 5");
    const clattn_sequence both[2] = { s, fork };
    EXPECT_INVALID(clattn_pages_block_table(pages, 0, both, 2, table, 4, 4), "columns is 4; it has to be at least 5");
    assert_int_equal(table[0], 7);
    assert_int_equal(lists[1].count, 5);
    lists[0] = (clattn_page_list){ pairs[0], 5, 0 };
    lists[1].count = 0;
    assert_int_equal(clattn_pages_swap_out(pages, s, lists), CLATTN_OK);
    EXPECT_INVALID(clattn_pages_append(pages, s, tokens, 1, NULL, 0, lists), "is swapped");
    EXPECT_INVALID(clattn_pages_block_table(pages, 0, both, 2, table, 4, 4), "is swapped");
    EXPECT_INVALID(clattn_pages_swap_in(pages, fork, lists), "is not swapped");
    assert_null(pages_check(pages));
    clattn_pages_destroy(&pages);
}

static void runs_out_of_sequences(void **state)
{
    (void)state;
    clattn_pages *pages = make();
    clattn_sequence s[6], more = 42;
    for (size_t i = 0; i < LENGTH(s); i++)
        assert_int_equal(clattn_pages_sequence_create(pages, 0, &s[i]), CLATTN_OK);
    EXPECT_OUT(clattn_pages_sequence_create(pages, 0, &more), "max_sequences, 6,");
    EXPECT_OUT(clattn_pages_fork(pages, s[0], &more), "max_sequences, 6,");
    assert_int_equal(more, 42);
    assert_int_equal(clattn_pages_free(pages, s[3]), CLATTN_OK);
    assert_int_equal(clattn_pages_fork(pages, s[0], &more), CLATTN_OK);
    assert_true(more != s[3]);
    clattn_pages_destroy(&pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_bounds),
        cmocka_unit_test(refuses_bad_groups),
        cmocka_unit_test(defaults),
        cmocka_unit_test(refuses_what_cannot_be_held),
        cmocka_unit_test(survives_each_failed_allocation),
        cmocka_unit_test(allocates_nothing_after_creation),
        cmocka_unit_test(refuses_sequences_that_are_not_alive),
        cmocka_unit_test(refuses_null_managers),
        cmocka_unit_test(refuses_null_outputs_and_bad_groups),
        cmocka_unit_test(refuses_bad_lengths_and_ranges),
        cmocka_unit_test(names_the_room_that_is_needed),
        cmocka_unit_test(runs_out_of_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
