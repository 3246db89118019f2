/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/plan.h"

#include <inttypes.h>
#include <string.h>

#include "util/status.h"

_Static_assert(sizeof(clattn_launches) <= sizeof(clattn_schedule), "a clattn_schedule holds clattn_launches");

/* Groups that each compute unit is to have at least, so that it does not wait long for others' last. Decode waits for
 * memory, which is the others' meanwhile. */
#define PREFILL_GROUPS_PER_UNIT 4
#define DECODE_GROUPS_PER_UNIT  2

static int64_t in_groups(int64_t count, int32_t a_group)
{
    return (count + a_group - 1) / a_group;
}

static int32_t splits_of(const clattn_plan *plan, int32_t kv_len)
{
    const int32_t splits = (int32_t)in_groups(kv_len, plan->split_size);
    return splits > 1 ? splits : 1;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Tiles that so many rows of a kv head are. */
static int64_t row_tiles(const clattn_step *step, int32_t rows)
{
    return step->present ? in_groups(rows, clattn_tile_rows(&step->tile)) : 0;
}

/* Adds `count` sequences of these lengths to the launches; cl/prefill.cl and cl/decode.cl divide the sequences alike.
 * Lengths that are bounds count as one tile of rows, and as one split: they may be no more. */
static void add_sequences(clattn_launches *launches, int32_t count, int32_t q_len, int32_t kv_len)
{
    const clattn_plan *plan = launches->plan;
    const int32_t rows = q_len * plan->problem.group;
    const bool is_decode = rows <= plan->decode_max_rows;
    const int64_t tiles = row_tiles(&plan->steps[is_decode ? CLATTN_STEP_DECODE : CLATTN_STEP_PREFILL], rows);
    const int64_t counted = launches->q_lens_are_bounds && tiles > 1 ? 1 : tiles;
    if (!is_decode) {
        launches->prefill_rows = larger(launches->prefill_rows, rows);
        launches->prefill_tiles += count * counted;
    } else if (rows > 0) {
        const int32_t splits = splits_of(plan, kv_len);
        launches->decode_rows = larger(launches->decode_rows, rows);
        launches->splits = larger(launches->splits, splits);
        launches->decode_tiles += count * counted * (launches->kv_lens_are_bounds ? 1 : splits);
    }
}

/* Adds as many sequences with the most work that decode may get as the batch may have. */
static void add_largest_decodes(clattn_launches *launches)
{
    const clattn_plan *plan = launches->plan;
    const int32_t most = plan->decode_max_rows / plan->problem.group;
    const int32_t bound = plan->problem.desc.max_q_len;
    if (plan->steps[CLATTN_STEP_DECODE].present)
        add_sequences(launches, launches->batch, most < bound ? most : bound, plan->problem.desc.max_kv_len);
}

clattn_launches clattn_launches_of_bounds(const clattn_plan *plan)
{
    const clattn_attention_desc *desc = &plan->problem.desc;
    clattn_launches launches = { .plan = plan,
                                 .serial = plan->serial,
                                 .batch = desc->max_batch,
                                 .q_len = desc->max_q_len,
                                 .kv_len = desc->max_kv_len,
                                 .splits = 1,
                                 .q_lens_are_bounds = desc->q_length_mode == CLATTN_LENGTH_RAGGED,
                                 .kv_lens_are_bounds = desc->kv_length_mode != CLATTN_LENGTH_UNIFORM };
    if (desc->max_batch == 0)
        return launches;
    add_sequences(&launches, desc->max_batch, desc->max_q_len, desc->max_kv_len);
    if (desc->q_length_mode == CLATTN_LENGTH_RAGGED)
        add_largest_decodes(&launches);
    return launches;
}

clattn_status clattn_workspace_of_bounds(const clattn_plan *plan, size_t *size)
{
    clattn_launches launches = { .plan = plan, .batch = plan->problem.desc.max_batch, .splits = 1 };
    if (launches.batch > 0)
        add_largest_decodes(&launches);
    const size_t factors[] = {
        (size_t)launches.batch,  (size_t)plan->problem.desc.kv_heads,       (size_t)launches.decode_rows,
        (size_t)launches.splits, (size_t)plan->problem.desc.v_head_dim + 2, sizeof(float)
    };
    size_t product = 1;
    for (size_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++)
        if (__builtin_mul_overflow(product, factors[i], &product))
            return clattn_fail(CLATTN_INVALID_ARGUMENT,
                               "max_batch %" PRId32 " and max_kv_len %" PRId32
                               " need a workspace over the address space; the bounds have to be smaller",
                               launches.batch, plan->problem.desc.max_kv_len);
    *size = launches.splits > 1 ? product : 0;
    return CLATTN_OK;
}

static clattn_status check_length(const char *name, int32_t b, int64_t value, int64_t low, int64_t high)
{
    if (value >= low && value <= high)
        return CLATTN_OK;
    if (b < 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is %" PRId64 "; it has to be %" PRId64 " to %" PRId64, name,
                           value, low, high);
    return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s[%" PRId32 "] is %" PRId64 "; it has to be %" PRId64 " to %" PRId64,
                       name, b, value, low, high);
}

static clattn_status check_arrays(const clattn_attention_desc *desc, const clattn_lengths *lengths)
{
    if (lengths->q_lens && desc->q_length_mode != CLATTN_LENGTH_RAGGED)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "q_lens is given; it has to be NULL, because the plan's Q is not ragged");
    if (lengths->kv_lens && desc->kv_length_mode == CLATTN_LENGTH_UNIFORM)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "kv_lens is given; it has to be NULL, because the plan's kv_length_mode is UNIFORM");
    return check_length("batch", -1, lengths->batch, 0, desc->max_batch);
}

static clattn_status check_sequence(const clattn_attention_desc *desc, const clattn_lengths *lengths, int32_t b,
                                    int32_t q_len, int32_t kv_len)
{
    CLATTN_TRY(check_length(lengths->q_lens ? "q_lens" : "q_len", lengths->q_lens ? b : -1, q_len, 0, desc->max_q_len));
    CLATTN_TRY(
        check_length(lengths->kv_lens ? "kv_lens" : "kv_len", lengths->kv_lens ? b : -1, kv_len, 0, desc->max_kv_len));
    if (q_len > 0 && q_len < desc->min_q_len)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "a q_len is %" PRId32 "; the plan's min_q_len promised 0 or at least %" PRId32, q_len,
                           desc->min_q_len);
    return CLATTN_OK;
}

/* Packed tokens of the step against the rows that the buffers have. */
static clattn_status check_tokens(const char *name, int64_t tokens, bool packed, const char *bound_name, int64_t bound)
{
    if (!packed || tokens <= bound)
        return CLATTN_OK;
    return clattn_fail(CLATTN_INVALID_ARGUMENT,
                       "the sum of %s is %" PRId64 "; it has to be up to the plan's %s, %" PRId64, name, tokens,
                       bound_name, bound);
}

clattn_status clattn_launches_of_lengths(const clattn_plan *plan, const clattn_lengths *lengths, clattn_launches *out)
{
    const clattn_attention_desc *desc = &plan->problem.desc;
    CLATTN_TRY(check_arrays(desc, lengths));
    const bool uniform = !lengths->q_lens && !lengths->kv_lens;
    if (uniform)
        CLATTN_TRY(check_sequence(desc, lengths, 0, lengths->q_len, lengths->kv_len));
    clattn_launches launches = { .plan = plan, .serial = plan->serial, .batch = lengths->batch, .splits = 1 };
    const int32_t alike = uniform ? lengths->batch : 1;
    int64_t q_tokens = 0, kv_tokens = 0;
    for (int32_t b = 0; b < (uniform && lengths->batch > 1 ? 1 : lengths->batch); b++) {
        const int32_t q_len = lengths->q_lens ? lengths->q_lens[b] : lengths->q_len;
        const int32_t kv_len = lengths->kv_lens ? lengths->kv_lens[b] : lengths->kv_len;
        CLATTN_TRY(check_sequence(desc, lengths, b, q_len, kv_len));
        launches.q_len = larger(launches.q_len, q_len);
        launches.kv_len = larger(launches.kv_len, kv_len);
        add_sequences(&launches, alike, q_len, kv_len);
        q_tokens += q_len;
        kv_tokens += kv_len;
    }
    CLATTN_TRY(check_tokens("q_lens", q_tokens * alike, desc->q_length_mode == CLATTN_LENGTH_RAGGED, "max_q_tokens",
                            desc->max_q_tokens));
    CLATTN_TRY(check_tokens("kv_lens", kv_tokens * alike, desc->kv_length_mode == CLATTN_LENGTH_RAGGED, "max_kv_tokens",
                            desc->max_kv_tokens));
    *out = launches;
    return CLATTN_OK;
}

bool clattn_launches_step(const clattn_launches *launches, clattn_step_kind kind)
{
    switch (kind) {
    case CLATTN_STEP_PREFILL:
        return launches->prefill_rows > 0;
    case CLATTN_STEP_DECODE:
        return launches->decode_rows > 0;
    case CLATTN_STEP_COMBINE:
        return launches->decode_rows > 0 && launches->splits > 1;
    default:
        return false;
    }
}

/* How many of `tiles` tiles of rows of each kv head a group takes, so that there are `per_unit` groups for each compute
 * unit. */
static int32_t tiles_of_a_group(const clattn_plan *plan, clattn_step_kind kind, int64_t tiles, int per_unit)
{
    const int32_t most = plan->steps[kind].most_row_tiles;
    const double spread = (double)tiles * plan->problem.desc.kv_heads / plan->compute_units / per_unit;
    return spread < 2 ? 1 : spread > most ? most : (int32_t)spread;
}

int32_t clattn_launches_prefill_tiles(const clattn_launches *launches)
{
    return tiles_of_a_group(launches->plan, CLATTN_STEP_PREFILL, launches->prefill_tiles, PREFILL_GROUPS_PER_UNIT);
}

int32_t clattn_launches_decode_heads(const clattn_launches *launches)
{
    return tiles_of_a_group(launches->plan, CLATTN_STEP_DECODE, launches->decode_tiles, DECODE_GROUPS_PER_UNIT);
}

void clattn_launches_grid(const clattn_launches *launches, clattn_step_kind kind, size_t global[3])
{
    const clattn_step *step = &launches->plan->steps[kind];
    const size_t kv_heads = (size_t)launches->plan->problem.desc.kv_heads;
    size_t groups = (size_t)launches->decode_rows, second = kv_heads;
    if (kind == CLATTN_STEP_DECODE) {
        const int32_t heads = clattn_tile_heads(&step->tile) * clattn_launches_decode_heads(launches);
        groups = (size_t)(launches->splits * in_groups((int64_t)kv_heads, heads));
        second = (size_t)row_tiles(step, launches->decode_rows);
    }
    if (kind == CLATTN_STEP_PREFILL)
        groups = (size_t)in_groups(row_tiles(step, launches->prefill_rows), clattn_launches_prefill_tiles(launches));
    global[0] = groups * step->local_size;
    global[1] = second;
    global[2] = (size_t)launches->batch;
}

size_t clattn_launches_workspace(const clattn_launches *launches)
{
    if (!clattn_launches_step(launches, CLATTN_STEP_COMBINE))
        return 0;
    const clattn_attention_desc *desc = &launches->plan->problem.desc;
    const size_t states = (size_t)launches->batch * desc->kv_heads * launches->decode_rows * launches->splits;
    return states * ((size_t)desc->v_head_dim + 2) * sizeof(float);
}
