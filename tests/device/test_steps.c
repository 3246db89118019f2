/* SPDX-License-Identifier: BSD-2-Clause */
/* A thousand steps of an engine: sequences that prefill in chunks and decode side by side, over four layers that share
 * a schedule a step. Once the plans are made the library compiles nothing, creates nothing, copies nothing and
 * allocates nothing on the host; sampled steps are right. Exit status 0, 1 for a failure, 77 without a device. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clattn/clattn.h>

#include "counted.h"
#include "harness.h"

#define STEPS       1000
#define SAMPLED     90 /* every so many steps are compared */
#define LAYERS      4
#define SEQUENCES   4
#define Q_HEADS     4
#define KV_HEADS    2
#define DIM         32
#define PAGE_SIZE   16
#define PAGES       180
#define MAX_CHUNK   48
#define MAX_KV_LEN  640
#define MAX_COLUMNS (MAX_KV_LEN / PAGE_SIZE)
#define MAX_TOKENS  (SEQUENCES * MAX_CHUNK)
#define KV_ROW      (KV_HEADS * DIM)
#define Q_ROW       (Q_HEADS * DIM)

typedef struct layer {
    cl_mem k_cache, v_cache, k, v, o;
    uint16_t *k_keys,
        *v_keys;            /* f16 [SEQUENCES, MAX_KV_LEN, KV_HEADS, DIM], as attention without pages would have it */
    float *k_rows, *v_rows; /* of the step's tokens */
} layer;

typedef struct engine {
    harness *h;
    outcome out;
    clattn_pages *pages;
    clattn_sequence sequences[SEQUENCES];
    clattn_attention_desc desc;
    clattn_plan *plan;
    clattn_append_plan *append;
    layer layers[LAYERS];
    cl_mem q, cu_q, kv_lens, table, slots, record, workspace;
    float q_rows[MAX_TOKENS * Q_ROW];
    int64_t slot_mapping[MAX_TOKENS];
    int32_t q_lens[SEQUENCES], cu_seqlens[SEQUENCES + 1], lens[SEQUENCES], entries[SEQUENCES * MAX_COLUMNS];
    ref_random random;
    long freed;
} engine;

/* Counted: what the library does during the call. */
static bool ok(engine *e, clattn_status status, const char *call)
{
    counted_end();
    return outcome_ok(&e->out, status, call);
}
#define COUNTING(e, call) (counted_begin(), ok(e, call, #call))

static cl_mem buffer(engine *e, size_t size)
{
    cl_int code = CL_SUCCESS;
    cl_mem made = clCreateBuffer(e->h->context, CL_MEM_READ_WRITE, size ? size : 4, NULL, &code);
    if (!made)
        outcome_fail(&e->out, "clCreateBuffer failed with %d", code);
    return made;
}

static void *memory_for(engine *e, size_t size)
{
    void *made = calloc(1, size);
    if (!made)
        outcome_fail(&e->out, "no memory");
    return made;
}

static void make_layer(engine *e, layer *l)
{
    const size_t keys = (size_t)SEQUENCES * MAX_KV_LEN * KV_ROW * sizeof(uint16_t);
    const size_t cache = (size_t)PAGES * PAGE_SIZE * KV_ROW * sizeof(uint16_t);
    const size_t rows = (size_t)MAX_TOKENS * KV_ROW * sizeof(float);
    l->k_cache = buffer(e, cache);
    l->v_cache = buffer(e, cache);
    l->k = buffer(e, rows);
    l->v = buffer(e, rows);
    l->o = buffer(e, (size_t)MAX_TOKENS * Q_ROW * sizeof(float));
    l->k_keys = memory_for(e, keys);
    l->v_keys = memory_for(e, keys);
    l->k_rows = memory_for(e, rows);
    l->v_rows = memory_for(e, rows);
}

static clattn_attention_desc make_desc(void)
{
    const clattn_page_strides cache = { PAGE_SIZE * KV_ROW, KV_ROW, DIM };
    const clattn_strides rows = { 0, Q_ROW, DIM };
    return CLATTN_ATTENTION_DESC(.k_dtype = CLATTN_F16, .v_dtype = CLATTN_F16, .q_heads = Q_HEADS, .kv_heads = KV_HEADS,
                                 .head_dim = DIM, .max_batch = SEQUENCES, .max_q_len = MAX_CHUNK,
                                 .max_kv_len = MAX_KV_LEN, .q_length_mode = CLATTN_LENGTH_RAGGED,
                                 .kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE, .kv_mode = CLATTN_KV_BLOCK_TABLE,
                                 .page_size = PAGE_SIZE, .pages = PAGES, .k_cache = cache, .v_cache = cache, .q = rows,
                                 .o = rows, .causal = 1);
}

static clattn_append_desc make_append_desc(void)
{
    const clattn_append_plane plane = { .src_dtype = CLATTN_F32,
                                        .dtype = CLATTN_F16,
                                        .head_dim = DIM,
                                        .src = { 0, KV_ROW, DIM },
                                        .cache = { PAGE_SIZE * KV_ROW, KV_ROW, DIM } };
    return CLATTN_APPEND_DESC(.page_size = PAGE_SIZE, .pages = PAGES, .kv_heads = KV_HEADS, .max_tokens = MAX_TOKENS,
                              .k = plane, .v = plane);
}

static void write(engine *e, cl_mem to, size_t size, const void *from)
{
    const cl_int code = clEnqueueWriteBuffer(e->h->in_order, to, CL_TRUE, 0, size, from, 0, NULL, NULL);
    if (code != CL_SUCCESS)
        outcome_fail(&e->out, "clEnqueueWriteBuffer failed with %d", code);
}

static bool make_engine(engine *e)
{
    const clattn_error_record clear = CLATTN_ERROR_RECORD_CLEAR;
    const clattn_pages_group group = { .num_pages = PAGES };
    const clattn_pages_params params = CLATTN_PAGES_PARAMS(.page_size = PAGE_SIZE, .num_groups = 1, .groups = &group,
                                                           .max_sequences = SEQUENCES, .max_tokens = MAX_KV_LEN);
    const clattn_plan_params plan_params = CLATTN_PLAN_PARAMS(.split_size = 192);
    const clattn_append_desc append = make_append_desc();
    e->desc = make_desc();
    for (int n = 0; n < LAYERS; n++)
        make_layer(e, &e->layers[n]);
    e->q = buffer(e, sizeof(e->q_rows));
    e->cu_q = buffer(e, sizeof(e->cu_seqlens));
    e->kv_lens = buffer(e, sizeof(e->lens));
    e->table = buffer(e, sizeof(e->entries));
    e->slots = buffer(e, sizeof(e->slot_mapping));
    e->record = buffer(e, sizeof(clear));
    write(e, e->record, sizeof(clear), &clear);
    if (!COUNTING(e, clattn_pages_create(&params, &e->pages)) ||
        !COUNTING(e, clattn_plan_create(e->h->device, &e->desc, &plan_params, &e->plan)) ||
        !COUNTING(e, clattn_append_plan_create(e->h->device, &append, &e->append)))
        return false;
    e->workspace = buffer(e, clattn_plan_workspace_size(e->plan));
    for (int b = 0; b < SEQUENCES; b++)
        if (!COUNTING(e, clattn_pages_sequence_create(e->pages, 0, &e->sequences[b])))
            return false;
    return e->out.verdict == PASSED;
}

/* How many tokens a sequence gets: most decode, some prefill a chunk, some wait. One that would grow too long ends,
 * and another starts in its place. */
static int32_t choose_tokens(engine *e, int b)
{
    const int64_t dice = ref_random_range(&e->random, 0, 99);
    int32_t count = dice < 8                      ? 0
                    : dice < 92 && e->lens[b] > 0 ? 1
                                                  : (int32_t)ref_random_range(&e->random, 2, MAX_CHUNK);
    if (e->lens[b] + count <= MAX_KV_LEN)
        return count;
    e->lens[b] = 0;
    e->freed++;
    if (!COUNTING(e, clattn_pages_free(e->pages, e->sequences[b])) ||
        !COUNTING(e, clattn_pages_sequence_create(e->pages, 0, &e->sequences[b])))
        return 0;
    return count;
}

static void fill(engine *e, float *rows, int64_t count)
{
    for (int64_t n = 0; n < count; n++)
        rows[n] = (float)(4.0 * ref_random_uniform(&e->random) - 2.0);
}

/* A layer's new keys and values, and what is in its cache afterwards. */
static void make_rows(engine *e, layer *l)
{
    const int32_t tokens = e->cu_seqlens[SEQUENCES];
    fill(e, l->k_rows, (int64_t)tokens * KV_ROW);
    fill(e, l->v_rows, (int64_t)tokens * KV_ROW);
    for (int b = 0; b < SEQUENCES; b++) {
        const int64_t to = ((int64_t)b * MAX_KV_LEN + e->lens[b] - e->q_lens[b]) * KV_ROW;
        const int64_t from = (int64_t)e->cu_seqlens[b] * KV_ROW;
        for (int64_t n = 0; n < (int64_t)e->q_lens[b] * KV_ROW; n++) {
            ref_store(l->k_keys, CLATTN_F16, to + n, (double)l->k_rows[from + n]);
            ref_store(l->v_keys, CLATTN_F16, to + n, (double)l->v_rows[from + n]);
        }
    }
    if (tokens == 0)
        return;
    write(e, l->k, (size_t)tokens * KV_ROW * sizeof(float), l->k_rows);
    write(e, l->v, (size_t)tokens * KV_ROW * sizeof(float), l->v_rows);
}

static bool plan_step(engine *e, uint64_t step)
{
    if (!COUNTING(e, clattn_pages_begin_step(e->pages, step)) ||
        (step > 1 && !COUNTING(e, clattn_pages_retire(e->pages, step - 1))))
        return false;
    for (int b = 0; b < SEQUENCES; b++) {
        e->q_lens[b] = choose_tokens(e, b);
        e->cu_seqlens[b + 1] = e->cu_seqlens[b] + e->q_lens[b];
        if (!COUNTING(e, clattn_pages_append(e->pages, e->sequences[b], NULL, e->q_lens[b],
                                             e->slot_mapping + e->cu_seqlens[b], MAX_TOKENS, NULL)))
            return false;
    }
    return COUNTING(e, clattn_pages_block_table(e->pages, 0, e->sequences, SEQUENCES, e->entries, MAX_COLUMNS,
                                                MAX_COLUMNS)) &&
           COUNTING(e, clattn_pages_kv_lens(e->pages, e->sequences, SEQUENCES, e->lens));
}

static clattn_buffer whole(cl_mem made)
{
    return (clattn_buffer){ .handle = made };
}

static bool run_layer(engine *e, const layer *l, const clattn_schedule *schedule)
{
    const clattn_append_args append =
        CLATTN_APPEND_ARGS(.slot_mapping = whole(e->slots), .k = { .src = whole(l->k), .cache = whole(l->k_cache) },
                           .v = { .src = whole(l->v), .cache = whole(l->v_cache) }, .error_record = whole(e->record));
    const clattn_attention_args args =
        CLATTN_ATTENTION_ARGS(.q = whole(e->q), .k = whole(l->k_cache), .v = whole(l->v_cache), .o = whole(l->o),
                              .cu_seqlens_q = whole(e->cu_q), .kv_lens = whole(e->kv_lens),
                              .block_table = whole(e->table), .error_record = whole(e->record),
                              .workspace = whole(e->workspace));
    cl_command_queue queue = e->h->in_order;
    return COUNTING(e, clattn_append_run(e->append, e->cu_seqlens[SEQUENCES], &append, queue, 0, NULL, NULL)) &&
           COUNTING(e, clattn_attention_run(e->plan, schedule, &args, queue, 0, NULL, NULL));
}

static bool run_step(engine *e, uint64_t step)
{
    const clattn_lengths lengths = { .batch = SEQUENCES, .q_lens = e->q_lens, .kv_lens = e->lens };
    clattn_schedule schedule;
    if (!plan_step(e, step))
        return false;
    fill(e, e->q_rows, (int64_t)e->cu_seqlens[SEQUENCES] * Q_ROW);
    write(e, e->q, sizeof(e->q_rows), e->q_rows);
    write(e, e->cu_q, sizeof(e->cu_seqlens), e->cu_seqlens);
    write(e, e->kv_lens, sizeof(e->lens), e->lens);
    write(e, e->table, sizeof(e->entries), e->entries);
    write(e, e->slots, sizeof(e->slot_mapping), e->slot_mapping);
    if (!COUNTING(e, clattn_schedule_make(e->plan, &lengths, &schedule)))
        return false;
    for (int n = 0; n < LAYERS; n++) {
        make_rows(e, &e->layers[n]);
        if (!run_layer(e, &e->layers[n], &schedule))
            return false;
    }
    for (int b = 0; b < SEQUENCES; b++)
        if (!COUNTING(e, clattn_pages_commit(e->pages, e->sequences[b])))
            return false;
    return true;
}

/* Against attention over tensors that hold the same keys. */
static void compare_layer(engine *e, const layer *l, uint64_t step)
{
    static float got[MAX_TOKENS * Q_ROW];
    const ref_sampling sampling = { .max_rows_per_head = 12, .row_tile = 32, .seed = step };
    const clattn_strides keys = { (int64_t)MAX_KV_LEN * KV_ROW, KV_ROW, DIM };
    const ref_inputs in = { .q = e->q_rows,
                            .k = l->k_keys,
                            .v = l->v_keys,
                            .cu_seqlens_q = e->cu_seqlens,
                            .kv_lens = e->lens,
                            .batch = SEQUENCES };
    clattn_attention_desc desc = e->desc;
    ref_comparison found;
    desc.kv_mode = CLATTN_KV_CONTIGUOUS;
    desc.k = desc.v = keys;
    if (clEnqueueReadBuffer(e->h->in_order, l->o, CL_TRUE, 0, sizeof(got), got, 0, NULL, NULL) != CL_SUCCESS)
        outcome_fail(&e->out, "clEnqueueReadBuffer failed");
    else if (!ref_compare(&desc, &in, got, NULL, &sampling, &found, NULL))
        outcome_fail(&e->out, "no memory");
    else if (!ref_passed(&found) && e->cu_seqlens[SEQUENCES] > 0)
        outcome_fail(&e->out, "step %" PRIu64 ": %" PRId64 " of %" PRId64 " elements are wrong", step, found.failed,
                     found.compared);
    e->h->compared += found.compared;
}

static void read_record(engine *e)
{
    clattn_error_record record;
    if (clEnqueueReadBuffer(e->h->in_order, e->record, CL_TRUE, 0, sizeof(record), &record, 0, NULL, NULL) !=
        CL_SUCCESS)
        outcome_fail(&e->out, "clEnqueueReadBuffer failed");
    else if (record.kinds != 0)
        outcome_fail(&e->out, "the error record has kinds %u", record.kinds);
}

static void count(engine *e, const char *what, bool holds)
{
    if (!holds)
        outcome_fail(&e->out, "does not hold");
    harness_count(e->h, what, NULL, &e->out);
    e->out = (outcome){ PASSED, "", 0, 0.0 };
}

static void run_steps(engine *e)
{
    count(e, "plans are made, and counting sees it",
          make_engine(e) && counted_calls("clCreateKernel") > 0 && counted_calls("calloc") > 0 &&
              counted_calls("clBuildProgram") + counted_calls("clCompileProgram") > 0 && counted_kernels("") > 0);
    counted_reset();
    bool going = e->plan && e->append;
    for (uint64_t step = 1; going && step <= STEPS; step++) {
        going = run_step(e, step) && e->out.verdict == PASSED;
        for (int n = 0; going && n < LAYERS && (step % SAMPLED == 0 || step == STEPS); n++)
            compare_layer(e, &e->layers[n], step);
    }
    count(e, "a thousand steps, sampled ones compared", going && e->out.verdict == PASSED && e->freed > 0);
    read_record(e);
    count(e, "the error record is clear", true);
    const long kernels = counted_kernels(""), attention = counted_kernels("clattn_prefill") +
                                                          counted_kernels("clattn_decode") +
                                                          counted_kernels("clattn_combine");
    printf("# %ld kernels, %ld of attention (%ld combine), %ld of append; %ld sequences ended\n", kernels, attention,
           counted_kernels("clattn_combine"), counted_kernels("clattn_append"), e->freed);
    count(e, "append and attention are all kernels that ran, combine among them",
          kernels == attention + counted_kernels("clattn_append") && counted_kernels("clattn_append") >= LAYERS &&
              counted_kernels("clattn_combine") > 0 && counted_kernels("clattn_prefill") > 0);
    count(e, "no step compiled, created, copied, waited or allocated", counted_report() == 0);
}

static void release(cl_mem *made)
{
    if (*made)
        clReleaseMemObject(*made);
    *made = NULL;
}

static void free_engine(engine *e)
{
    cl_mem *shared[] = { &e->q, &e->cu_q, &e->kv_lens, &e->table, &e->slots, &e->record, &e->workspace };
    for (int n = 0; n < LAYERS; n++) {
        layer *l = &e->layers[n];
        cl_mem *own[] = { &l->k_cache, &l->v_cache, &l->k, &l->v, &l->o };
        for (size_t m = 0; m < sizeof(own) / sizeof(own[0]); m++)
            release(own[m]);
        free(l->k_keys);
        free(l->v_keys);
        free(l->k_rows);
        free(l->v_rows);
    }
    for (size_t n = 0; n < sizeof(shared) / sizeof(shared[0]); n++)
        release(shared[n]);
    clattn_append_plan_destroy(&e->append);
    clattn_plan_destroy(&e->plan);
    clattn_pages_destroy(&e->pages);
}

int main(int argc, char **argv)
{
    static engine e;
    harness h = { .program = argv[0], .suite = "steps" };
    (void)argc;
    if (!harness_open(&h, NULL)) {
        printf("0 passed, 0 failed, 1 skipped\n");
        return 77;
    }
    e = (engine){ .h = &h, .out = { PASSED, "", 0, 0.0 }, .random = { 4 } };
    run_steps(&e);
    free_engine(&e);
    harness_close(&h);
    printf("# %" PRId64 " elements compared\n%d passed, %d failed, %d skipped\n", h.compared, h.passed, h.failed,
           h.skipped);
    return h.failed > 0 || h.compared == 0;
}
