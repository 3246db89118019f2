/* SPDX-License-Identifier: BSD-2-Clause */
#include "check_merge.h"

#include <math.h>
#include <string.h>

#include "command.h"
#include "ref/ref.h"

/* Rows have a gap behind them. Head h of token t: its parts up to t - 1 are empty; head 1 has a sink. */
enum { PARTS = 3, TOKENS = PARTS + 1, HEADS = 2, DIM = CHECK_MERGE_DIM, ROW = DIM + 3 };
enum { O_COUNT = TOKENS * HEADS * ROW, LSE_COUNT = TOKENS * HEADS, UNTOUCHED = 0xa5 };

typedef struct numbers {
    unsigned char o_parts[PARTS * O_COUNT * sizeof(float)], o[O_COUNT * sizeof(float)];
    float lse_parts[PARTS * LSE_COUNT], lse[LSE_COUNT], sinks[HEADS];
} numbers;

typedef struct buffers {
    clattn_buffer o_parts, lse_parts, o, lse, sinks;
} buffers;

static clattn_merge_desc describe(clattn_dtype dtype)
{
    return CLATTN_MERGE_DESC(.part_dtype = dtype, .o_dtype = dtype, .q_heads = HEADS, .v_head_dim = DIM,
                             .max_parts = PARTS, .max_tokens = TOKENS, .o_parts = { O_COUNT, HEADS * ROW, ROW },
                             .lse_parts = { LSE_COUNT, HEADS, 1 }, .o = { HEADS * ROW, ROW }, .has_lse = 1,
                             .lse = { HEADS, 1 }, .has_sinks = 1);
}

static void fill(clattn_dtype dtype, numbers *out)
{
    ref_random random = { 5 };
    memset(out, 0xff, sizeof *out); /* NaN in every type */
    memset(out->o, UNTOUCHED, sizeof out->o);
    out->sinks[0] = -INFINITY;
    out->sinks[1] = 0.5f;
    for (int part = 0; part < PARTS; part++)
        for (int row = 0; row < TOKENS * HEADS; row++) {
            const bool is_empty = part < row / HEADS;
            out->lse_parts[part * LSE_COUNT + row] = is_empty ? -INFINITY : (float)ref_random_normal(&random);
            for (int dim = 0; dim < DIM && !is_empty; dim++)
                ref_store(out->o_parts, dtype, part * O_COUNT + row * ROW + dim, ref_random_normal(&random));
        }
}

static int make_buffers(const session *on, const numbers *from, buffers *out)
{
    int status = session_make_buffer(on, "the parts' O", sizeof from->o_parts, from->o_parts, &out->o_parts);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "the parts' LSE", sizeof from->lse_parts, from->lse_parts, &out->lse_parts);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "O", sizeof from->o, from->o, &out->o);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "LSE", sizeof from->lse, from->lse, &out->lse);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "the sinks", sizeof from->sinks, from->sinks, &out->sinks);
    return status;
}

static void free_buffers(buffers *used)
{
    session_free_buffer(&used->o_parts);
    session_free_buffer(&used->lse_parts);
    session_free_buffer(&used->o);
    session_free_buffer(&used->lse);
    session_free_buffer(&used->sinks);
}

static int run(const session *on, clattn_dtype dtype, const buffers *with)
{
    const clattn_merge_desc desc = describe(dtype);
    const clattn_merge_args args = CLATTN_MERGE_ARGS(.o_parts = with->o_parts, .lse_parts = with->lse_parts,
                                                     .o = with->o, .lse = with->lse, .sinks = with->sinks);
    clattn_merge_plan *plan = NULL;
    clattn_status status = clattn_merge_plan_create(on->device, &desc, &plan);
    if (status == CLATTN_OK)
        status = clattn_merge_states(plan, PARTS, TOKENS, &args, on->queue, 0, NULL, NULL);
    clattn_merge_plan_destroy(&plan);
    return status == CLATTN_OK ? EXIT_DONE : fail_library("merge cannot run");
}

static void compare_number(clattn_dtype dtype, double got, double want, bool is_exact, check_merge_result *out)
{
    const ref_tolerance tolerance = ref_tolerance_of(dtype);
    if (is_exact && got != want)
        out->exact = false;
    out->ratio = fmax(out->ratio, ref_error_ratio(&tolerance, 0.0, got, want));
    if (isfinite(got) && isfinite(want))
        out->error = fmax(out->error, fabs(got - want));
}

static void compare(clattn_dtype dtype, const numbers *given, const numbers *got, check_merge_result *out)
{
    const clattn_merge_desc desc = describe(dtype);
    const ref_merge_inputs in = { given->o_parts, given->lse_parts, given->sinks, PARTS };
    const size_t size = clattn_dtype_size(dtype);
    *out = (check_merge_result){ .exact = true };
    for (int row = 0; row < TOKENS * HEADS; row++) {
        const int token = row / HEADS, head = row % HEADS;
        const int32_t filled = ref_merge_filled(&desc, &in, token, head);
        const bool is_exact = filled == 0 || (filled == 1 && head == 0);
        double want[DIM];
        compare_number(CLATTN_F32, (double)got->lse[row], ref_merge_row(&desc, &in, token, head, want), is_exact, out);
        for (int dim = 0; dim < DIM; dim++)
            compare_number(dtype, ref_load(got->o, dtype, row * ROW + dim), want[dim], is_exact, out);
        if (memcmp(got->o + (size_t)(row * ROW + DIM) * size, given->o + (size_t)(row * ROW + DIM) * size,
                   (ROW - DIM) * size) != 0)
            out->exact = false;
    }
}

int check_merge(const session *on, clattn_dtype dtype, check_merge_result *out)
{
    static numbers given, got;
    buffers with = { 0 };
    fill(dtype, &given);
    int status = make_buffers(on, &given, &with);
    if (status == EXIT_DONE)
        status = run(on, dtype, &with);
    if (status == EXIT_DONE)
        status = session_read_buffer(on, "O", &with.o, sizeof got.o, got.o);
    if (status == EXIT_DONE)
        status = session_read_buffer(on, "LSE", &with.lse, sizeof got.lse, got.lse);
    free_buffers(&with);
    if (status == EXIT_DONE)
        compare(dtype, &given, &got, out);
    return status;
}
