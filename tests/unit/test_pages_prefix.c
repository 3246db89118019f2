/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared prefixes: what is found, what is not, what is given up. */
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

/* Token i of prompt `kind` in a number, so that prompts are alike or differ as the test says. */
static const int32_t *prompt(int32_t kind)
{
    static int32_t tokens[4][64];
    for (int32_t i = 0; i < 64; i++)
        tokens[kind][i] = kind * 1000 + i;
    return tokens[kind];
}

static clattn_pages *make_groups(int32_t num_groups, const clattn_pages_group *groups)
{
    clattn_pages *pages = NULL;
    OK(clattn_pages_create(&CLATTN_PAGES_PARAMS(.page_size = 4, .num_groups = num_groups, .groups = groups,
                                                .max_sequences = 8, .max_tokens = 64, .share_prefixes = 1,
                                                .max_attachments = 4),
                           &pages));
    return pages;
}

static clattn_pages *make(int32_t num_pages)
{
    return make_groups(1, &(const clattn_pages_group){ .num_pages = num_pages, .num_host_pages = 16 });
}

static void destroy(clattn_pages *pages)
{
    const char *wrong = pages_check(pages);
    if (wrong)
        fail_msg("inconsistent: %s", wrong);
    clattn_pages_destroy(&pages);
}

static clattn_pages_stats stats_of(const clattn_pages *pages)
{
    clattn_pages_stats stats;
    OK(clattn_pages_get_stats(pages, 0, &stats));
    return stats;
}

static clattn_sequence create(clattn_pages *pages, uint64_t salt)
{
    clattn_sequence s;
    OK(clattn_pages_sequence_create(pages, salt, &s));
    return s;
}

/* Appends without a lookup. */
static void add(clattn_pages *pages, clattn_sequence s, const int32_t *tokens, int32_t count)
{
    OK(clattn_pages_append(pages, s, tokens, count, NULL, 0, NULL));
    OK(clattn_pages_commit(pages, s));
}

/* Computes a prompt from its start and frees it: what is left can be found. */
static void leave(clattn_pages *pages, const int32_t *tokens, int32_t count)
{
    const clattn_sequence s = create(pages, 0);
    add(pages, s, tokens, count);
    OK(clattn_pages_free(pages, s));
}

/* How much of a prompt is found now; leaves no sequence behind. */
static int32_t found_of(clattn_pages *pages, uint64_t salt, const int32_t *tokens, int32_t count)
{
    int32_t found = -1;
    const clattn_sequence s = create(pages, salt);
    OK(clattn_pages_match(pages, s, tokens, count, &found));
    OK(clattn_pages_free(pages, s));
    return found;
}

static void finds_full_pages_less_one_token(void **state)
{
    (void)state;
    clattn_pages *pages = make(20);
    const clattn_sequence s = create(pages, 0);
    add(pages, s, prompt(0), 18);
    static const int32_t counts[] = { 0, 1, 4, 5, 8, 9, 16, 17, 18, 64 },
                         found[] = { 0, 0, 0, 4, 4, 8, 12, 16, 16, 16 };
    for (size_t i = 0; i < LENGTH(counts); i++)
        assert_int_equal(found_of(pages, 0, prompt(0), counts[i]), found[i]);
    assert_int_equal(found_of(pages, 0, prompt(1), 18), 0);
    assert_int_equal(found_of(pages, 0, prompt(0) + 4, 18), 0); /* the second page's tokens at the start */
    const clattn_pages_stats stats = stats_of(pages);
    assert_int_equal(stats.lookups, LENGTH(counts) + 2);
    assert_int_equal(stats.hits, 7);
    assert_int_equal(stats.tokens_found, 4 + 4 + 8 + 12 + 16 + 16 + 16);
    assert_int_equal(stats.tokens_looked, 1 + 4 + 5 + 8 + 9 + 16 + 17 + 18 + 64 + 18 + 18);
    destroy(pages);
}

static void shares_the_pages_themselves(void **state)
{
    (void)state;
    clattn_pages *pages = make(20);
    const clattn_sequence a = create(pages, 0), b = create(pages, 0);
    int32_t found, rows[2][5];
    add(pages, a, prompt(0), 18);
    OK(clattn_pages_match(pages, b, prompt(0), 14, &found));
    assert_int_equal(found, 12);
    add(pages, b, prompt(1), 3);
    OK(clattn_pages_block_table(pages, 0, (const clattn_sequence[]){ a, b }, 2, &rows[0][0], 5, 5));
    assert_memory_equal(rows[0], rows[1], 3 * sizeof(int32_t));
    assert_true(rows[0][3] != rows[1][3]);
    assert_int_equal(stats_of(pages).used, 6);
    assert_int_equal(stats_of(pages).shared, 3);
    destroy(pages);
}

static void finds_only_what_is_committed(void **state)
{
    (void)state;
    clattn_pages *pages = make(20);
    const clattn_sequence s = create(pages, 0);
    OK(clattn_pages_append(pages, s, prompt(0), 9, NULL, 0, NULL));
    assert_int_equal(found_of(pages, 0, prompt(0), 20), 0);
    OK(clattn_pages_abandon(pages, s));
    assert_int_equal(found_of(pages, 0, prompt(0), 20), 0);
    OK(clattn_pages_append(pages, s, prompt(0), 9, NULL, 0, NULL));
    OK(clattn_pages_commit(pages, s));
    assert_int_equal(found_of(pages, 0, prompt(0), 20), 8);
    OK(clattn_pages_append(pages, s, prompt(0) + 9, 3, NULL, 0, NULL));
    assert_int_equal(found_of(pages, 0, prompt(0), 20), 8);
    OK(clattn_pages_commit(pages, s));
    assert_int_equal(found_of(pages, 0, prompt(0), 20), 12);
    destroy(pages);
}

static void salts_keep_apart(void **state)
{
    (void)state;
    for (uint64_t mask = UINT64_MAX;; mask = 0) {
        clattn_pages *pages = make(20);
        pages->hash_mask = mask;
        const clattn_sequence s = create(pages, 5);
        add(pages, s, prompt(0), 9);
        assert_int_equal(found_of(pages, 4, prompt(0), 9), 0);
        assert_int_equal(found_of(pages, 5, prompt(0), 9), 8);
        destroy(pages);
        if (mask == 0)
            break;
    }
}

/* All blocks have the same hash, and nothing is mixed up: not tokens, nor the same tokens behind another page. */
static void collisions_share_nothing(void **state)
{
    (void)state;
    clattn_pages *pages = make(40);
    pages->hash_mask = 0;
    int32_t tokens[3][12];
    for (int32_t i = 0; i < 12; i++) {
        tokens[0][i] = i;
        tokens[1][i] = i < 4 ? 100 + i : i; /* differs in the first page only */
        tokens[2][i] = i == 11 ? 7 : i;     /* in the last token only */
    }
    leave(pages, tokens[0], 12);
    assert_int_equal(found_of(pages, 0, tokens[1], 12), 0);
    assert_int_equal(found_of(pages, 0, (const int32_t[]){ 0, 1, 2, 3, 8, 9, 10, 11, 0 }, 9), 4);
    leave(pages, tokens[1], 12);
    leave(pages, tokens[2], 12);
    for (int k = 0; k < 3; k++) {
        int32_t longer[13];
        memcpy(longer, tokens[k], sizeof(tokens[k]));
        longer[12] = 0;
        assert_int_equal(found_of(pages, 0, longer, 13), 12);
    }
    assert_int_equal(stats_of(pages).cached, 3 + 3 + 1); /* the third prompt has two pages of the first */
    destroy(pages);
}

/* Attached bytes, their place and their length are content; what lies behind is told apart by what lies before. */
static void attachments_are_content(void **state)
{
    (void)state;
    static const struct {
        int32_t first, count;
        const char *bytes;
        size_t size;
        int32_t found;
    } cases[] = {
        { 5, 6, "abc", 3, 16 }, { 5, 6, "abd", 3, 4 }, { 5, 6, "ab", 2, 4 },
        { 4, 6, "abc", 3, 4 },  { 5, 7, "abc", 3, 4 }, { 3, 8, "abc", 3, 0 },
        { 5, 2, "abc", 3, 4 },  { 0, 0, NULL, 0, 4 },  { 8, 3, "abc", 3, 4 },
    };
    for (uint64_t mask = UINT64_MAX;; mask = 0) {
        clattn_pages *pages = make(30);
        pages->hash_mask = mask;
        const clattn_sequence a = create(pages, 0);
        OK(clattn_pages_attach(pages, a, 5, 6, "abc", 3));
        add(pages, a, prompt(0), 16);
        for (size_t i = 0; i < LENGTH(cases); i++) {
            const clattn_sequence b = create(pages, 0);
            int32_t found;
            if (cases[i].count > 0)
                OK(clattn_pages_attach(pages, b, cases[i].first, cases[i].count, cases[i].bytes, cases[i].size));
            OK(clattn_pages_match(pages, b, prompt(0), 17, &found));
            if (found != cases[i].found)
                fail_msg("case %zu, mask %llx: found %d", i, (unsigned long long)mask, found);
            OK(clattn_pages_free(pages, b));
        }
        destroy(pages);
        if (mask == 0)
            break;
    }
}

/* Two images, or one that goes on: the bytes in the second page are the same, the place where they start is not. */
static void attachments_know_where_they_start(void **state)
{
    (void)state;
    clattn_pages *pages = make(30);
    const clattn_sequence a = create(pages, 0), b = create(pages, 0);
    int32_t found;
    OK(clattn_pages_attach(pages, a, 4, 4, "x", 1));
    OK(clattn_pages_attach(pages, a, 8, 4, "x", 1));
    add(pages, a, prompt(0), 12);
    OK(clattn_pages_attach(pages, b, 4, 8, "x", 1));
    OK(clattn_pages_match(pages, b, prompt(0), 13, &found));
    assert_int_equal(found, 4);
    destroy(pages);
}

/* With four records in all: findable pages give theirs up; held by sequences, the next one shares no more. */
static void attachments_run_out(void **state)
{
    (void)state;
    clattn_pages *pages = make(60);
    clattn_sequence s[5];
    clattn_sequence_info info;
    for (int i = 0; i < 6; i++) {
        const clattn_sequence a = create(pages, 0);
        OK(clattn_pages_attach(pages, a, 0, 2, &i, sizeof(i)));
        add(pages, a, prompt(0), 8);
        OK(clattn_pages_free(pages, a));
    }
    assert_true(stats_of(pages).evictions > 0);
    for (int i = 0; i < 5; i++) {
        s[i] = create(pages, 0);
        OK(clattn_pages_attach(pages, s[i], 0, 2, &i, sizeof(i)));
        OK(clattn_pages_sequence_info(pages, s[i], &info));
        assert_int_equal(info.sharing != 0, i < 4);
        add(pages, s[i], prompt(0), 8);
    }
    assert_int_equal(found_of(pages, 0, prompt(0), 9), 0);
    OK(clattn_pages_truncate(pages, s[4], 0)); /* empty: it may begin to share again */
    OK(clattn_pages_sequence_info(pages, s[4], &info));
    assert_true(info.sharing);
    destroy(pages);
}

static void truncation_forgets_attachments_behind_it(void **state)
{
    (void)state;
    clattn_pages *pages = make(30);
    const clattn_sequence a = create(pages, 0);
    OK(clattn_pages_attach(pages, a, 6, 4, "x", 1));
    OK(clattn_pages_attach(pages, a, 13, 2, "y", 1));
    add(pages, a, prompt(0), 10);
    OK(clattn_pages_truncate(pages, a, 6));
    OK(clattn_pages_attach(pages, a, 6, 1, "z", 1)); /* nothing is in the way */
    OK(clattn_pages_truncate(pages, a, 0));
    add(pages, a, prompt(0), 16);
    assert_int_equal(found_of(pages, 0, prompt(0), 17), 16);
    destroy(pages);
}

/* Pages are given up least recently let go of first, and of one prompt the end before the start. */
static void gives_up_the_oldest_end_first(void **state)
{
    (void)state;
    clattn_pages *pages = make(8);
    leave(pages, prompt(0), 12);
    leave(pages, prompt(1), 12);
    assert_int_equal(found_of(pages, 0, prompt(0), 13), 12); /* prompt 0 has been used last now */
    const clattn_sequence s = create(pages, 0);
    static const int32_t left[][2] = { { 12, 12 }, { 12, 12 }, { 12, 8 }, { 12, 4 },
                                       { 12, 0 },  { 8, 0 },   { 4, 0 },  { 0, 0 } };
    for (int32_t n = 0; n < 8; n++) {
        add(pages, s, prompt(2) + 4 * n, 4);
        /* Looked for in the manager's own table: a lookup would make the pages recent. */
        int32_t cached = 0;
        for (int kind = 0; kind < 2; kind++) {
            clattn_sequence_state probe = { .tail = NONE, .attachment = NONE };
            int32_t count = clattn_blocks_find(pages, &probe, prompt(kind), 3);
            while (count > 0 && *clattn_block_page(pages, pages->row_blocks[count - 1], 0) == NONE)
                count--;
            assert_int_equal(count * 4, left[n][kind]);
            cached += count;
        }
        assert_int_equal(stats_of(pages).cached, cached);
    }
    assert_int_equal(stats_of(pages).evictions, 6);
    destroy(pages);
}

/* Two sequences compute the same prompt side by side: each has its own pages; whoever stays keeps it findable. */
static void twins_keep_each_others_place(void **state)
{
    (void)state;
    for (int first_freed = 0; first_freed < 2; first_freed++) {
        clattn_pages *pages = make(20);
        const clattn_sequence s[2] = { create(pages, 0), create(pages, 0) };
        add(pages, s[0], prompt(0), 8);
        add(pages, s[1], prompt(0), 8);
        assert_int_equal(stats_of(pages).used, 4);
        OK(clattn_pages_free(pages, s[first_freed]));
        assert_int_equal(stats_of(pages).cached, 0); /* the other's pages are found, these are free */
        assert_int_equal(stats_of(pages).free, 18);
        assert_int_equal(found_of(pages, 0, prompt(0), 9), 8);
        OK(clattn_pages_free(pages, s[1 - first_freed]));
        assert_int_equal(stats_of(pages).cached, 2);
        leave(pages, prompt(0), 8); /* computed again: one copy stays */
        assert_int_equal(stats_of(pages).cached, 2);
        destroy(pages);
    }
}

/* A start that is given up and computed again leads to the later pages, which are still there. */
static void a_start_computed_again_finds_the_rest(void **state)
{
    (void)state;
    clattn_pages *pages = make(20);
    const clattn_sequence a = create(pages, 0);
    add(pages, a, prompt(0), 16);
    OK(clattn_pages_drop(pages, a, 0, 0, 8)); /* findable, held by none */
    while (stats_of(pages).cached > 0)
        assert_true(clattn_page_evict(pages, 0));
    assert_int_equal(found_of(pages, 0, prompt(0), 17), 0);
    leave(pages, prompt(0), 8);
    assert_int_equal(found_of(pages, 0, prompt(0), 17), 16);
    destroy(pages);
}

/* Writing behind a truncation: alone, in place, and the page is not findable by its old content; shared, in a copy. */
static void truncated_pages_are_not_overwritten_for_others(void **state)
{
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        clattn_pages *pages = make(20);
        const clattn_sequence a = create(pages, 0), b = create(pages, 0);
        int32_t found;
        clattn_page_pair pairs[1];
        clattn_page_list copies = { pairs, 1, 0 };
        add(pages, a, prompt(0), 8);
        if (shared)
            OK(clattn_pages_match(pages, b, prompt(0), 9, &found));
        OK(clattn_pages_truncate(pages, a, 6));
        assert_int_equal(found_of(pages, 0, prompt(0), 9), 8);
        OK(clattn_pages_append(pages, a, prompt(1), 2, NULL, 0, &copies));
        assert_int_equal(copies.count, shared);
        assert_int_equal(found_of(pages, 0, prompt(0), 9), shared ? 8 : 4);
        OK(clattn_pages_commit(pages, a));
        const int32_t changed[9] = { 0, 1, 2, 3, 4, 5, 1000, 1001, 0 };
        assert_int_equal(found_of(pages, 0, changed, 9), 8);
        destroy(pages);
    }
}

/* Full layers need all of a prefix, windowed ones the window (and the sink) before its end. */
static void windows_need_only_their_pages(void **state)
{
    (void)state;
    static const clattn_pages_group groups[] = { { .num_pages = 30 },
                                                 { .num_pages = 30, .window = 6, .sink = 1 },
                                                 { .num_pages = 30 } };
    for (int32_t windowed = 0; windowed < 2; windowed++) {
        clattn_pages *pages = make_groups(2, groups + 1 - windowed);
        const clattn_sequence a = create(pages, 0), b = create(pages, 0);
        int32_t found, row[7];
        add(pages, a, prompt(0), 28);
        OK(clattn_pages_drop(pages, a, windowed, 4, 20)); /* pages 1 to 4 of 7 */
        while (clattn_page_evict(pages, windowed))
            continue;
        OK(clattn_pages_match(pages, b, prompt(0), 29, &found));
        assert_int_equal(found, 28);
        OK(clattn_pages_block_table(pages, windowed, &b, 1, row, 7, 7));
        for (int32_t i = 0; i < 7; i++)
            assert_int_equal(row[i] >= 0, i == 0 || i >= 5);
        OK(clattn_pages_block_table(pages, 1 - windowed, &b, 1, row, 7, 7));
        for (int32_t i = 0; i < 7; i++)
            assert_true(row[i] >= 0);
        /* A prefix of 24 would need page 4, of 8 page 1; the sink alone serves 4. */
        assert_int_equal(found_of(pages, 0, prompt(0), 28), 4);
        destroy(pages);
    }
}

/* Swapped in again, pages that are still findable are not copied; the others become findable again. */
static void swapping_in_uses_what_is_findable(void **state)
{
    (void)state;
    clattn_pages *pages = make(8);
    const clattn_sequence a = create(pages, 0), b = create(pages, 0);
    clattn_page_pair out[8], in[8];
    clattn_page_list out_list = { out, 8, 0 }, in_list = { in, 8, 0 };
    add(pages, a, prompt(0), 14);
    OK(clattn_pages_swap_out(pages, a, &out_list));
    assert_int_equal(out_list.count, 4);
    assert_int_equal(stats_of(pages).cached, 3);
    add(pages, b, prompt(1), 24); /* 5 free pages, then the last of a's three */
    assert_int_equal(clattn_pages_swap_in(pages, a, &in_list), CLATTN_OUT_OF_PAGES);
    OK(clattn_pages_free(pages, b));
    OK(clattn_pages_swap_in(pages, a, &in_list));
    assert_int_equal(in_list.count, 2);
    assert_int_equal(found_of(pages, 0, prompt(0), 14), 12);
    destroy(pages);
}

static void without_sharing_nothing_is_asked(void **state)
{
    (void)state;
    clattn_pages *pages = NULL;
    OK(clattn_pages_create(
        &CLATTN_PAGES_PARAMS(.page_size = 4, .num_groups = 1, .groups = &(const clattn_pages_group){ .num_pages = 9 }),
        &pages));
    const clattn_sequence a = create(pages, 0), b = create(pages, 0);
    int32_t found = -1;
    OK(clattn_pages_attach(pages, a, 0, 3, "x", 1));
    add(pages, a, NULL, 8);
    OK(clattn_pages_match(pages, b, NULL, 9, &found));
    assert_int_equal(found, 0);
    OK(clattn_pages_free(pages, a));
    assert_int_equal(stats_of(pages).free, 9);
    destroy(pages);
}

/* Sequences that drop their pages and stay can use up the blocks; the next ones go on without sharing. */
static void blocks_run_out(void **state)
{
    (void)state;
    clattn_pages *pages = make(2); /* so 2 + 8 blocks */
    clattn_sequence_info info;
    const clattn_sequence a = create(pages, 0);
    for (int32_t i = 0; i < 16; i++) {
        add(pages, a, prompt(0) + 4 * i, 4);
        OK(clattn_pages_drop(pages, a, 0, 0, 64));
    }
    OK(clattn_pages_sequence_info(pages, a, &info));
    assert_false(info.sharing);
    assert_int_equal(info.length, 64);
    assert_int_equal(info.num_held[0], 0);
    OK(clattn_pages_free(pages, a));
    leave(pages, prompt(1), 8);
    assert_int_equal(found_of(pages, 0, prompt(1), 9), 8);
    destroy(pages);
}

/* Blocks of a long prompt that is all but given up make room for the next one. */
static void blocks_are_given_up_for_others(void **state)
{
    (void)state;
    clattn_pages *pages = make(3); /* so 3 + 8 blocks */
    clattn_sequence_info info;
    const clattn_sequence a = create(pages, 0), b = create(pages, 0);
    for (int32_t i = 0; i < 10; i++) {
        add(pages, a, prompt(0) + 4 * i, 4);
        OK(clattn_pages_drop(pages, a, 0, 0, 64));
    }
    OK(clattn_pages_free(pages, a));
    assert_true(clattn_page_evict(pages, 0));
    add(pages, b, prompt(1), 4); /* the free page, and the last unused block */
    add(pages, b, prompt(1) + 4, 4);
    OK(clattn_pages_sequence_info(pages, b, &info));
    assert_true(info.sharing);
    assert_int_equal(found_of(pages, 0, prompt(1), 9), 8);
    destroy(pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_full_pages_less_one_token),
        cmocka_unit_test(shares_the_pages_themselves),
        cmocka_unit_test(finds_only_what_is_committed),
        cmocka_unit_test(salts_keep_apart),
        cmocka_unit_test(collisions_share_nothing),
        cmocka_unit_test(attachments_are_content),
        cmocka_unit_test(attachments_know_where_they_start),
        cmocka_unit_test(attachments_run_out),
        cmocka_unit_test(truncation_forgets_attachments_behind_it),
        cmocka_unit_test(gives_up_the_oldest_end_first),
        cmocka_unit_test(twins_keep_each_others_place),
        cmocka_unit_test(a_start_computed_again_finds_the_rest),
        cmocka_unit_test(truncated_pages_are_not_overwritten_for_others),
        cmocka_unit_test(windows_need_only_their_pages),
        cmocka_unit_test(swapping_in_uses_what_is_findable),
        cmocka_unit_test(without_sharing_nothing_is_asked),
        cmocka_unit_test(blocks_run_out),
        cmocka_unit_test(blocks_are_given_up_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
