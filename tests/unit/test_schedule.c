/* SPDX-License-Identifier: BSD-2-Clause */
/* src/plan/schedule.c: what a step launches, from a plan that no device is behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plan/plan.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define MOST_TOKENS   (1 << 30)

/* Ragged, 4 query heads a kv head; decode takes up to 16 packed rows and splits keys by 512. */
static clattn_plan hand_made_plan(void)
{
    static const clattn_tile prefill = { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_SCALAR, 0, { 8, 8, 3, 4, 16, 8 } };
    static const clattn_tile decode = { CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_SCALAR, 0, { 8, 16, 1, 8, 16, 8 } };
    const clattn_attention_desc desc =
        CLATTN_ATTENTION_DESC(.q_heads = 8, .kv_heads = 2, .head_dim = 16, .max_batch = 4, .max_q_len = 100,
                              .max_kv_len = 5000, .q_length_mode = CLATTN_LENGTH_RAGGED,
                              .kv_length_mode = CLATTN_LENGTH_RAGGED, .q = { 0, 128, 16 }, .k = { 0, 32, 16 },
                              .v = { 0, 32, 16 }, .o = { 0, 128, 16 });
    clattn_plan plan = { .serial = 77, .compute_units = 2, .decode_max_rows = 16, .split_size = 512 };
    assert_int_equal(clattn_problem_init(&plan.problem, &desc), CLATTN_OK);
    plan.steps[CLATTN_STEP_PREFILL] =
        (clattn_step){ .present = true, .tile = prefill, .local_size = 64, .most_row_tiles = 1 };
    plan.steps[CLATTN_STEP_DECODE] =
        (clattn_step){ .present = true, .tile = decode, .local_size = 128, .most_row_tiles = 1 };
    plan.steps[CLATTN_STEP_COMBINE] = (clattn_step){ .present = true, .local_size = 32 };
    return plan;
}

static clattn_plan uniform_plan(void)
{
    clattn_plan plan = hand_made_plan();
    plan.problem.desc.q_length_mode = plan.problem.desc.kv_length_mode = CLATTN_LENGTH_UNIFORM;
    return plan;
}

static clattn_launches launches_of(const clattn_plan *plan, int32_t batch, const int32_t *q_lens,
                                   const int32_t *kv_lens)
{
    const clattn_lengths lengths = { .batch = batch, .q_lens = q_lens, .kv_lens = kv_lens };
    clattn_launches launches;
    if (clattn_launches_of_lengths(plan, &lengths, &launches) != CLATTN_OK)
        fail_msg("lengths were refused: %s", clattn_last_error());
    return launches;
}

static void expect_refused(const clattn_plan *plan, const clattn_lengths *lengths, const char *names)
{
    clattn_launches launches, before;
    memset(&launches, 0x5a, sizeof(launches));
    memcpy(&before, &launches, sizeof(launches));
    if (clattn_launches_of_lengths(plan, lengths, &launches) != CLATTN_INVALID_ARGUMENT)
        fail_msg("lengths with a wrong %s were taken", names);
    if (!strstr(clattn_last_error(), names))
        fail_msg("the message does not name %s: %s", names, clattn_last_error());
    assert_memory_equal(&launches, &before, sizeof(launches));
}

static void expect_grid(const clattn_launches *launches, clattn_step_kind kind, size_t x, size_t y, size_t z)
{
    size_t global[3];
    assert_true(clattn_launches_step(launches, kind));
    clattn_launches_grid(launches, kind, global);
    assert_int_equal(global[0], x);
    assert_int_equal(global[1], y);
    assert_int_equal(global[2], z);
}

static void divides_sequences_among_kernels(void **state)
{
    (void)state;
    const clattn_plan plan = hand_made_plan();
    const int32_t q_lens[] = { 1, 5, 4, 0 }, kv_lens[] = { 1025, 5000, 512, 4000 };
    const clattn_launches launches = launches_of(&plan, 4, q_lens, kv_lens);
    assert_ptr_equal(launches.plan, &plan);
    assert_int_equal(launches.serial, 77);
    assert_int_equal(launches.batch, 4);
    assert_int_equal(launches.q_len, 5);
    assert_int_equal(launches.kv_len, 5000);
    assert_int_equal(launches.prefill_rows, 20);
    assert_int_equal(launches.decode_rows, 16);
    assert_int_equal(launches.splits, 3); /* neither prefill's keys nor those of a sequence without a query count */
    expect_grid(&launches, CLATTN_STEP_PREFILL, 64, 2, 4);                 /* 20 rows in one tile of 24 */
    expect_grid(&launches, CLATTN_STEP_DECODE, (size_t)3 * 2 * 128, 1, 4); /* 3 splits of 2 heads */
    expect_grid(&launches, CLATTN_STEP_COMBINE, (size_t)16 * 32, 2, 4);
    assert_int_equal(clattn_launches_workspace(&launches), 4 * 2 * 16 * 3 * (16 + 2) * sizeof(float));
}

/* A warp a kv head: the group has all heads that its tile says. */
static void groups_may_have_several_heads(void **state)
{
    (void)state;
    clattn_plan plan = hand_made_plan();
    plan.steps[CLATTN_STEP_DECODE].tile =
        (clattn_tile){ CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_NV_MMA, 0, { 2, 8, 32, 1 } };
    plan.steps[CLATTN_STEP_DECODE].local_size = 64;
    const int32_t q_lens[] = { 1, 4 }, kv_lens[] = { 1025, 512 };
    const clattn_launches launches = launches_of(&plan, 2, q_lens, kv_lens);
    expect_grid(&launches, CLATTN_STEP_DECODE, (size_t)3 * 64, 2, 2); /* 3 splits of both heads; 16 rows in 2 tiles */
    expect_grid(&launches, CLATTN_STEP_COMBINE, (size_t)16 * 32, 2, 2);
}

/* Of prefill's groups each compute unit gets four, if there are so many tiles of rows, and no group too many tiles. */
static void groups_take_several_tiles_of_rows(void **state)
{
    (void)state;
    static const struct {
        int32_t q_lens[4], tiles;
        size_t groups;
    } cases[] = {
        { { 5, 0, 0, 0 }, 1, 1 },     /* 20 rows: one tile of 24 */
        { { 24, 0, 0, 0 }, 1, 4 },    /* 4 tiles of each of 2 heads: 8 groups */
        { { 24, 24, 0, 0 }, 2, 2 },   /* 16 tiles */
        { { 24, 24, 24, 24 }, 4, 1 }, /* 32 */
        { { 96, 96, 96, 96 }, 5, 4 }, /* 128 tiles could make groups of 16; a tile of this kind allows 5 */
        { { 100, 1, 1, 4 }, 4, 5 },   /* 17 tiles a head; decode's sequences are no work for prefill */
        { { 1, 1, 1, 100 }, 4, 5 },
    };
    clattn_plan plan = hand_made_plan();
    plan.steps[CLATTN_STEP_PREFILL].most_row_tiles = 5;
    const int32_t kv_lens[] = { 1, 1, 1, 1 };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const clattn_launches launches = launches_of(&plan, 4, cases[i].q_lens, kv_lens);
        assert_int_equal(clattn_launches_prefill_tiles(&launches), cases[i].tiles);
        expect_grid(&launches, CLATTN_STEP_PREFILL, cases[i].groups * 64, 2, 4);
    }
    plan.compute_units = 64;
    const clattn_launches launches = launches_of(&plan, 4, cases[4].q_lens, kv_lens);
    assert_int_equal(clattn_launches_prefill_tiles(&launches), 1);
}

/* Of decode's groups each compute unit gets two. */
static void groups_take_several_heads_in_turn(void **state)
{
    (void)state;
    static const struct {
        int32_t splits[2], heads;
        size_t groups;
    } cases[] = { { { 1, 1 }, 2, 4 }, { { 1, 2 }, 4, 4 }, { { 2, 2 }, 5, 4 }, { { 4, 1 }, 6, 8 }, { { 5, 5 }, 6, 10 } };
    clattn_plan plan = hand_made_plan();
    plan.problem.desc.kv_heads = 8;
    plan.problem.group = 1;
    plan.compute_units = 3;
    plan.steps[CLATTN_STEP_DECODE].most_row_tiles = 6;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int32_t q_lens[] = { 1, 1 }, kv_lens[] = { 512 * cases[i].splits[0], 512 * cases[i].splits[1] };
        const clattn_launches launches = launches_of(&plan, 2, q_lens, kv_lens);
        assert_int_equal(clattn_launches_decode_heads(&launches), cases[i].heads);
        expect_grid(&launches, CLATTN_STEP_DECODE, cases[i].groups * 128, 1, 2);
    }
}

/* Without a schedule lengths that the device has may be short, and groups stay small; those that are known do not. */
static void bounds_of_unknown_lengths_count_little(void **state)
{
    (void)state;
    clattn_plan ragged = hand_made_plan(), uniform = uniform_plan();
    ragged.steps[CLATTN_STEP_PREFILL].most_row_tiles = uniform.steps[CLATTN_STEP_PREFILL].most_row_tiles = 5;
    ragged.steps[CLATTN_STEP_DECODE].most_row_tiles = uniform.steps[CLATTN_STEP_DECODE].most_row_tiles = 2;
    uniform.problem.desc.max_q_len = 4; /* decode */
    clattn_plan per_sequence = uniform;
    per_sequence.problem.desc.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    per_sequence.compute_units = uniform.compute_units = 8;
    clattn_launches launches = clattn_launches_of_bounds(&ragged);
    assert_int_equal(clattn_launches_prefill_tiles(&launches), 1);
    assert_int_equal(clattn_launches_decode_heads(&launches), 2);
    launches = clattn_launches_of_bounds(&uniform);
    assert_int_equal(clattn_launches_decode_heads(&launches), 2);
    launches = clattn_launches_of_bounds(&per_sequence);
    assert_int_equal(clattn_launches_decode_heads(&launches), 1);
    uniform.problem.desc.max_q_len = 100;
    uniform.compute_units = 2;
    launches = clattn_launches_of_bounds(&uniform);
    assert_int_equal(clattn_launches_prefill_tiles(&launches), 5);
}

static void launches_only_what_there_is(void **state)
{
    (void)state;
    const clattn_plan plan = hand_made_plan();
    const int32_t few[] = { 1, 4 }, many[] = { 5, 18 }, none[] = { 0, 0 }, kv_lens[] = { 512, 100 };
    clattn_launches launches = launches_of(&plan, 2, few, kv_lens);
    assert_false(clattn_launches_step(&launches, CLATTN_STEP_PREFILL));
    assert_true(clattn_launches_step(&launches, CLATTN_STEP_DECODE));
    assert_false(clattn_launches_step(&launches, CLATTN_STEP_COMBINE));
    assert_int_equal(clattn_launches_workspace(&launches), 0);
    launches = launches_of(&plan, 2, many, kv_lens);
    expect_grid(&launches, CLATTN_STEP_PREFILL, (size_t)3 * 64, 2, 2); /* 72 rows are 3 whole tiles */
    assert_false(clattn_launches_step(&launches, CLATTN_STEP_DECODE));
    assert_false(clattn_launches_step(&launches, CLATTN_STEP_COMBINE));
    assert_int_equal(clattn_launches_workspace(&launches), 0);
    launches = launches_of(&plan, 2, none, kv_lens);
    for (int kind = 0; kind <= CLATTN_STEP_COUNT; kind++)
        assert_false(clattn_launches_step(&launches, (clattn_step_kind)kind));
    launches = launches_of(&plan, 0, few, kv_lens);
    assert_int_equal(launches.batch, 0);
    for (int kind = 0; kind <= CLATTN_STEP_COUNT; kind++)
        assert_false(clattn_launches_step(&launches, (clattn_step_kind)kind));
}

static void counts_splits(void **state)
{
    (void)state;
    static const int32_t kv_lens[] = { 0, 1, 512, 513, 1024, 1025, 5000 }, splits[] = { 1, 1, 1, 2, 2, 3, 10 };
    const int32_t q_len = 1;
    clattn_plan plan = hand_made_plan();
    for (size_t i = 0; i < LENGTH(kv_lens); i++)
        assert_int_equal(launches_of(&plan, 1, &q_len, &kv_lens[i]).splits, splits[i]);
    plan.split_size = MOST_TOKENS;
    plan.problem.desc.max_kv_len = MOST_TOKENS;
    plan.problem.desc.max_kv_tokens = MOST_TOKENS;
    const int32_t longest = MOST_TOKENS;
    assert_int_equal(launches_of(&plan, 1, &q_len, &longest).splits, 1);
}

static void keeps_the_promise_of_min_q_len(void **state)
{
    (void)state;
    clattn_plan plan = hand_made_plan();
    plan.problem.desc.min_q_len = 3;
    const int32_t kept[] = { 3, 0 }, broken[] = { 3, 2 }, kv_lens[] = { 9, 9 };
    (void)launches_of(&plan, 2, kept, kv_lens);
    expect_refused(&plan, &(clattn_lengths){ .batch = 2, .q_lens = broken, .kv_lens = kv_lens }, "min_q_len");
    expect_refused(&plan, &(clattn_lengths){ .batch = 2, .q_len = 1, .kv_lens = kv_lens }, "min_q_len");
}

static void sums_of_ragged_lengths_have_their_limits(void **state)
{
    (void)state;
    clattn_plan plan = hand_made_plan();
    plan.problem.desc.max_q_tokens = 10;
    plan.problem.desc.max_kv_tokens = 100;
    const int32_t q_most[] = { 4, 6 }, q_over[] = { 5, 6 }, kv_most[] = { 1, 99 }, kv_over[] = { 99, 2 };
    (void)launches_of(&plan, 2, q_most, kv_most);
    expect_refused(&plan, &(clattn_lengths){ .batch = 2, .q_lens = q_over, .kv_lens = kv_most },
                   "sum of q_lens is 11; it has to be up to the plan's max_q_tokens, 10");
    expect_refused(&plan, &(clattn_lengths){ .batch = 2, .q_lens = q_most, .kv_lens = kv_over },
                   "sum of kv_lens is 101; it has to be up to the plan's max_kv_tokens, 100");
    expect_refused(&plan, &(clattn_lengths){ .batch = 3, .q_len = 4, .kv_len = 1 }, "max_q_tokens");
    expect_refused(&plan, &(clattn_lengths){ .batch = 2, .q_len = 4, .kv_len = 51 }, "max_kv_tokens");
    expect_refused(&plan, &(clattn_lengths){ .batch = 2, .q_len = 6, .kv_lens = kv_most }, "max_q_tokens");
    expect_refused(&plan, &(clattn_lengths){ .batch = 2, .q_lens = q_most, .kv_len = 51 }, "max_kv_tokens");
    plan.problem.desc.q_length_mode = CLATTN_LENGTH_UNIFORM;
    plan.problem.desc.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    const clattn_lengths unpacked = { .batch = 2, .q_len = 6, .kv_lens = kv_over };
    clattn_launches launches;
    assert_int_equal(clattn_launches_of_lengths(&plan, &unpacked, &launches), CLATTN_OK);
}

static void uniform_batches_are_alike(void **state)
{
    (void)state;
    clattn_plan plan = uniform_plan();
    plan.problem.desc.max_batch = MOST_TOKENS;
    clattn_lengths lengths = { .batch = MOST_TOKENS, .q_len = 4, .kv_len = 513 };
    clattn_launches launches;
    assert_int_equal(clattn_launches_of_lengths(&plan, &lengths, &launches), CLATTN_OK);
    assert_int_equal(launches.q_len, 4);
    assert_int_equal(launches.kv_len, 513);
    assert_int_equal(launches.prefill_rows, 0);
    assert_int_equal(launches.decode_rows, 16);
    assert_int_equal(launches.splits, 2);
    expect_grid(&launches, CLATTN_STEP_DECODE, (size_t)2 * 2 * 128, 1, MOST_TOKENS);
    lengths.q_len = 5;
    assert_int_equal(clattn_launches_of_lengths(&plan, &lengths, &launches), CLATTN_OK);
    assert_int_equal(launches.prefill_rows, 20);
    assert_int_equal(launches.decode_rows, 0);
}

static void lengths_have_their_limits(void **state)
{
    (void)state;
    const clattn_plan plan = uniform_plan(), ragged = hand_made_plan();
    const int32_t q_over[] = { 1, 101 }, q_negative[] = { -1, 1 }, kv_over[] = { 1, 5001 }, kv_negative[] = { 1, -1 };
    const int32_t right[] = { 1, 1 };
    expect_refused(&plan, &(clattn_lengths){ .batch = 5 }, "batch is 5; it has to be 0 to 4");
    expect_refused(&plan, &(clattn_lengths){ .batch = -1 }, "batch is -1");
    expect_refused(&plan, &(clattn_lengths){ .batch = 4, .q_len = 101 }, "q_len is 101; it has to be 0 to 100");
    expect_refused(&plan, &(clattn_lengths){ .batch = 4, .q_len = -1 }, "q_len is -1");
    expect_refused(&plan, &(clattn_lengths){ .batch = 4, .kv_len = 5001 }, "kv_len is 5001; it has to be 0 to 5000");
    expect_refused(&plan, &(clattn_lengths){ .batch = 4, .kv_len = -1 }, "kv_len is -1");
    expect_refused(&plan, &(clattn_lengths){ .batch = 2, .q_lens = right }, "q_lens");
    expect_refused(&plan, &(clattn_lengths){ .batch = 2, .kv_lens = right }, "kv_lens");
    expect_refused(&ragged, &(clattn_lengths){ .batch = 2, .q_lens = q_over, .kv_lens = right }, "q_lens[1] is 101");
    expect_refused(&ragged, &(clattn_lengths){ .batch = 2, .q_lens = q_negative, .kv_lens = right }, "q_lens[0] is -1");
    expect_refused(&ragged, &(clattn_lengths){ .batch = 2, .q_lens = right, .kv_lens = kv_over }, "kv_lens[1] is 5001");
    expect_refused(&ragged, &(clattn_lengths){ .batch = 2, .q_lens = right, .kv_lens = kv_negative },
                   "kv_lens[1] is -1");
}

static void bounds_cover_every_step(void **state)
{
    (void)state;
    clattn_plan plan = hand_made_plan(), uniform = uniform_plan();
    clattn_launches launches = clattn_launches_of_bounds(&plan);
    size_t size = 0;
    assert_int_equal(launches.serial, 77);
    assert_int_equal(launches.batch, 4);
    assert_int_equal(launches.prefill_rows, 400);
    assert_int_equal(launches.decode_rows, 16);
    assert_int_equal(launches.splits, 10);
    assert_int_equal(clattn_workspace_of_bounds(&plan, &size), CLATTN_OK);
    assert_int_equal(size, 4 * 2 * 16 * 10 * (16 + 2) * sizeof(float));
    assert_int_equal(size, clattn_launches_workspace(&launches));
    launches = clattn_launches_of_bounds(&uniform); /* all at the bound, so none is decode's */
    assert_int_equal(launches.prefill_rows, 400);
    assert_int_equal(launches.decode_rows, 0);
    assert_int_equal(clattn_workspace_of_bounds(&uniform, &size), CLATTN_OK);
    assert_int_equal(size, 4 * 2 * 16 * 10 * (16 + 2) * sizeof(float)); /* a schedule may be of fewer queries */
    plan.steps[CLATTN_STEP_DECODE].present = false;
    assert_int_equal(clattn_workspace_of_bounds(&plan, &size), CLATTN_OK);
    assert_int_equal(size, 0);
    plan.problem.desc.max_batch = 0;
    launches = clattn_launches_of_bounds(&plan);
    assert_false(clattn_launches_step(&launches, CLATTN_STEP_PREFILL));
}

static void a_workspace_fits_the_address_space(void **state)
{
    (void)state;
    clattn_plan plan = hand_made_plan();
    size_t size = 42;
    plan.problem.desc.max_batch = plan.problem.desc.max_kv_len = MOST_TOKENS;
    plan.problem.desc.kv_heads = 65535;
    assert_int_equal(clattn_workspace_of_bounds(&plan, &size), CLATTN_INVALID_ARGUMENT);
    assert_non_null(strstr(clattn_last_error(), "max_batch"));
    assert_non_null(strstr(clattn_last_error(), "max_kv_len"));
    assert_int_equal(size, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divides_sequences_among_kernels),
        cmocka_unit_test(groups_may_have_several_heads),
        cmocka_unit_test(groups_take_several_tiles_of_rows),
        cmocka_unit_test(groups_take_several_heads_in_turn),
        cmocka_unit_test(bounds_of_unknown_lengths_count_little),
        cmocka_unit_test(launches_only_what_there_is),
        cmocka_unit_test(counts_splits),
        cmocka_unit_test(keeps_the_promise_of_min_q_len),
        cmocka_unit_test(sums_of_ragged_lengths_have_their_limits),
        cmocka_unit_test(uniform_batches_are_alike),
        cmocka_unit_test(lengths_have_their_limits),
        cmocka_unit_test(bounds_cover_every_step),
        cmocka_unit_test(a_workspace_fits_the_address_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
