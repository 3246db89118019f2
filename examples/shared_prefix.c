/* SPDX-License-Identifier: BSD-2-Clause */
/* A long prefix that a batch shares, such as a system prompt: each sequence's next query attends to the prefix and to
 * what the sequence has of its own. Plain paged attention reads the prefix once for each sequence. Here it is read once
 * for all of them, as the queries of all sequences are taken for one sequence of many queries; then each query attends
 * to the rest of its own sequence, and clattn_merge_states makes one result of both. Prints what that saves, and
 * compares both ways. Build it against an installed clattn:
 *   cc -std=c11 -o shared_prefix shared_prefix.c $(pkg-config --cflags --libs clattn OpenCL) -lm
 * It takes the first OpenCL device that it finds, or the one of the platform that argv[1] counts.
 *
 * Causal order, windows and ALiBi count positions. Keys of a shared prefix come before every query, so that causal
 * order asks nothing of them; a window or ALiBi would need each query's own position, which one sequence of queries
 * from many sequences does not have. A sink is counted once: given to the merge, not to the parts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <clattn/clattn.h>

enum { BATCH = 16, PREFIX = 2048, LONGEST_REST = 90, Q_HEADS = 8, KV_HEADS = 2, DIM = 64 };
enum { PAGE_SIZE = 16, PREFIX_PAGES = PREFIX / PAGE_SIZE, REST_PAGES = (LONGEST_REST + PAGE_SIZE - 1) / PAGE_SIZE };
enum { NUM_PAGES = PREFIX_PAGES + BATCH * REST_PAGES, MAX_PAGES = PREFIX_PAGES + REST_PAGES };
enum { CACHE_COUNT = NUM_PAGES * PAGE_SIZE * KV_HEADS * DIM, Q_COUNT = BATCH * Q_HEADS * DIM };
enum { REPEATS = 30 };

/* One call of attention: its plan, its lengths, its workspace. */
typedef struct part {
    clattn_plan *plan;
    clattn_schedule schedule;
    cl_mem workspace; /* NULL: it needs none */
} part;

typedef struct work {
    cl_context context;
    cl_command_queue queue;
    clattn_device *device;
    part plain, prefix, rest;
    clattn_merge_plan *merge;
    cl_mem q, k, v, block_table, kv_lens, rest_lens;
    cl_mem o_plain, o_shared;          /* float [BATCH, Q_HEADS, DIM] */
    cl_mem o_parts, lse_parts;         /* float [2, BATCH, Q_HEADS, DIM], [2, BATCH, Q_HEADS] */
    int32_t lens[BATCH], rests[BATCH]; /* keys of each sequence; those after the prefix */
} work;

static void check_cl(cl_int code, const char *what)
{
    if (code != CL_SUCCESS) {
        fprintf(stderr, "%s: OpenCL error %d\n", what, code);
        exit(1);
    }
}

static void check(clattn_status status)
{
    if (status != CLATTN_OK) {
        fprintf(stderr, "%s: %s\n", clattn_status_name(status), clattn_last_error());
        exit(1);
    }
}

static cl_device_id first_device(unsigned wanted)
{
    cl_platform_id platforms[16];
    cl_uint count = 0;
    check_cl(clGetPlatformIDs(16, platforms, &count), "clGetPlatformIDs");
    for (cl_uint i = wanted; i < count && i < 16; i++) {
        cl_device_id device;
        if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 1, &device, NULL) == CL_SUCCESS)
            return device;
    }
    fprintf(stderr, "no OpenCL device found\n");
    exit(1);
}

/* `data` NULL: not initialised; size 0: none. */
static cl_mem buffer(const work *w, size_t size, void *data)
{
    if (size == 0)
        return NULL;
    cl_int code;
    cl_mem mem = clCreateBuffer(w->context, CL_MEM_READ_WRITE | (data ? CL_MEM_COPY_HOST_PTR : 0), size, data, &code);
    check_cl(code, "clCreateBuffer");
    return mem;
}

static uint32_t next(uint32_t *state)
{
    return *state = *state * 1664525u + 1013904223u;
}

/* Caches filled with f16 numbers in (-1, -1/8] and [1/8, 1): a sign, an exponent of three kinds, any fraction. */
static cl_mem random_cache(const work *w, uint32_t seed)
{
    cl_half *x = malloc(sizeof(cl_half) * CACHE_COUNT);
    if (!x)
        check_cl(CL_OUT_OF_HOST_MEMORY, "malloc");
    for (int32_t i = 0; i < CACHE_COUNT; i++) {
        const uint32_t bits = next(&seed) >> 8;
        x[i] = (cl_half)((bits & 0x83ff) | (12 + bits % 3) << 10);
    }
    cl_mem mem = buffer(w, sizeof(cl_half) * CACHE_COUNT, x);
    free(x);
    return mem;
}

static cl_mem random_queries(const work *w, uint32_t seed)
{
    static float q[Q_COUNT];
    for (int32_t i = 0; i < Q_COUNT; i++)
        q[i] = (float)(next(&seed) >> 8) / 4194304.0f - 2.0f;
    return buffer(w, sizeof(q), q);
}

/* One sequence has the prefix; each of the batch is a fork of it that goes on by itself. What the pages hold does not
 * matter here, so nothing is appended on the device. */
static void make_tables(work *w)
{
    static int32_t table[BATCH][MAX_PAGES];
    const clattn_pages_group group = { .num_pages = NUM_PAGES };
    const clattn_pages_params params =
        CLATTN_PAGES_PARAMS(.page_size = PAGE_SIZE, .num_groups = 1, .groups = &group, .max_sequences = BATCH + 1);
    clattn_pages *pages = NULL;
    clattn_sequence prefix, sequences[BATCH];
    check(clattn_pages_create(&params, &pages));
    check(clattn_pages_sequence_create(pages, 0, &prefix));
    check(clattn_pages_append(pages, prefix, NULL, PREFIX, NULL, 0, NULL));
    check(clattn_pages_commit(pages, prefix));
    for (int32_t b = 0; b < BATCH; b++) {
        w->rests[b] = LONGEST_REST - 5 * b;
        check(clattn_pages_fork(pages, prefix, &sequences[b]));
        check(clattn_pages_append(pages, sequences[b], NULL, w->rests[b], NULL, 0, NULL));
    }
    check(clattn_pages_block_table(pages, 0, sequences, BATCH, table[0], MAX_PAGES, MAX_PAGES));
    check(clattn_pages_kv_lens(pages, sequences, BATCH, w->lens));
    clattn_pages_destroy(&pages);
    w->block_table = buffer(w, sizeof(table), table);
    w->kv_lens = buffer(w, sizeof(w->lens), w->lens);
    w->rest_lens = buffer(w, sizeof(w->rests), w->rests);
}

/* Attention of `batch` sequences of `q_len` queries each over pages; Q and O are packed [tokens, heads, dim]. */
static part make_part(const work *w, int32_t batch, int32_t q_len, int32_t kv_len, const int32_t *kv_lens)
{
    const int64_t token = Q_HEADS * DIM, cache = KV_HEADS * DIM;
    clattn_attention_desc desc =
        CLATTN_ATTENTION_DESC(.k_dtype = CLATTN_F16, .v_dtype = CLATTN_F16, .q_heads = Q_HEADS, .kv_heads = KV_HEADS,
                              .head_dim = DIM, .max_batch = batch, .max_q_len = q_len, .max_kv_len = kv_len,
                              .kv_mode = CLATTN_KV_BLOCK_TABLE,
                              .kv_length_mode = kv_lens ? CLATTN_LENGTH_PER_SEQUENCE : CLATTN_LENGTH_UNIFORM,
                              .page_size = PAGE_SIZE, .pages = NUM_PAGES, .block_table_stride = MAX_PAGES,
                              .has_lse = 1);
    desc.k_cache = desc.v_cache = (clattn_page_strides){ .page = PAGE_SIZE * cache, .token = cache, .head = DIM };
    desc.q = desc.o = (clattn_strides){ .batch = q_len * token, .token = token, .head = DIM };
    desc.lse = (clattn_strides){ .batch = q_len * Q_HEADS, .token = Q_HEADS, .head = 1 };
    part p = { 0 };
    check(clattn_plan_create(w->device, &desc, NULL, &p.plan));
    p.workspace = buffer(w, clattn_plan_workspace_size(p.plan), NULL);
    const clattn_lengths lengths = { .batch = batch, .q_len = q_len, .kv_len = kv_len, .kv_lens = kv_lens };
    check(clattn_schedule_make(p.plan, &lengths, &p.schedule));
    return p;
}

static clattn_merge_plan *plan_merge(const work *w)
{
    const clattn_merge_desc desc =
        CLATTN_MERGE_DESC(.q_heads = Q_HEADS, .v_head_dim = DIM, .max_parts = 2, .max_tokens = BATCH,
                          .o_parts = { .part = Q_COUNT, .token = Q_HEADS * DIM, .head = DIM },
                          .lse_parts = { .part = BATCH * Q_HEADS, .token = Q_HEADS, .head = 1 },
                          .o = { .token = Q_HEADS * DIM, .head = DIM });
    clattn_merge_plan *plan = NULL;
    check(clattn_merge_plan_create(w->device, &desc, &plan));
    return plan;
}

static void setup(work *w, cl_device_id id)
{
    cl_int code;
    w->context = clCreateContext(NULL, 1, &id, NULL, NULL, &code);
    check_cl(code, "clCreateContext");
    w->queue = clCreateCommandQueue(w->context, id, 0, &code);
    check_cl(code, "clCreateCommandQueue");
    check(clattn_device_create(w->context, id, NULL, &w->device));
    w->q = random_queries(w, 1);
    w->k = random_cache(w, 2);
    w->v = random_cache(w, 3);
    make_tables(w);
    w->plain = make_part(w, BATCH, 1, PREFIX + LONGEST_REST, w->lens);
    w->prefix = make_part(w, 1, BATCH, PREFIX, NULL);
    w->rest = make_part(w, BATCH, 1, LONGEST_REST, w->rests);
    w->merge = plan_merge(w);
    w->o_plain = buffer(w, sizeof(float) * Q_COUNT, NULL);
    w->o_shared = buffer(w, sizeof(float) * Q_COUNT, NULL);
    w->o_parts = buffer(w, sizeof(float) * 2 * Q_COUNT, NULL);
    w->lse_parts = buffer(w, sizeof(float) * 2 * BATCH * Q_HEADS, NULL);
}

static void free_part(part *p)
{
    clattn_plan_destroy(&p->plan);
    if (p->workspace)
        clReleaseMemObject(p->workspace);
}

static void teardown(work *w)
{
    cl_mem mems[] = { w->q,         w->k,       w->v,        w->block_table, w->kv_lens,
                      w->rest_lens, w->o_plain, w->o_shared, w->o_parts,     w->lse_parts };
    for (size_t i = 0; i < sizeof(mems) / sizeof(mems[0]); i++)
        clReleaseMemObject(mems[i]);
    free_part(&w->plain);
    free_part(&w->prefix);
    free_part(&w->rest);
    clattn_merge_plan_destroy(&w->merge);
    clattn_device_destroy(&w->device);
    clReleaseCommandQueue(w->queue);
    clReleaseContext(w->context);
}

/* Rows of the block table count from `column` on: so the table of whole sequences serves their rests too. O and LSE are
 * the `index`-th part's. */
static void attend(const work *w, const part *p, cl_mem kv_lens, int32_t column, cl_mem o, int32_t index)
{
    const clattn_attention_args args =
        CLATTN_ATTENTION_ARGS(.q = { .handle = w->q }, .k = { .handle = w->k }, .v = { .handle = w->v },
                              .kv_lens = { .handle = kv_lens },
                              .block_table = { .handle = w->block_table, .offset = sizeof(int32_t) * (size_t)column },
                              .o = { .handle = o, .offset = sizeof(float) * (size_t)index * Q_COUNT },
                              .lse = { .handle = w->lse_parts,
                                       .offset = sizeof(float) * (size_t)index * BATCH * Q_HEADS },
                              .workspace = { .handle = p->workspace });
    check(clattn_attention_run(p->plan, &p->schedule, &args, w->queue, 0, NULL, NULL));
}

static void enqueue_plain(const work *w)
{
    attend(w, &w->plain, w->kv_lens, 0, w->o_plain, 0);
}

/* Part 0 is the prefix: the first row of the table, as all rows start alike. Part 1 is each sequence's rest. */
static void enqueue_shared(const work *w)
{
    attend(w, &w->prefix, NULL, 0, w->o_parts, 0);
    attend(w, &w->rest, w->rest_lens, PREFIX_PAGES, w->o_parts, 1);
    const clattn_merge_args args =
        CLATTN_MERGE_ARGS(.o_parts = { .handle = w->o_parts }, .lse_parts = { .handle = w->lse_parts },
                          .o = { .handle = w->o_shared });
    check(clattn_merge_states(w->merge, 2, BATCH, &args, w->queue, 0, NULL, NULL));
}

static double seconds_now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The shortest of REPEATS runs, in seconds, after one that warms up. */
static double time_of(const work *w, void (*enqueue)(const work *))
{
    double shortest = HUGE_VAL;
    for (int i = 0; i <= REPEATS; i++) {
        const double started = seconds_now();
        enqueue(w);
        check_cl(clFinish(w->queue), "clFinish");
        if (i > 0)
            shortest = fmin(shortest, seconds_now() - started);
    }
    return shortest;
}

static void download(const work *w, cl_mem mem, float o[Q_COUNT])
{
    check_cl(clEnqueueReadBuffer(w->queue, mem, CL_TRUE, 0, sizeof(float) * Q_COUNT, o, 0, NULL, NULL),
             "clEnqueueReadBuffer");
}

/* The largest difference between both results; a NaN is as bad as can be. */
static double compare(const work *w)
{
    static float plain[Q_COUNT], shared[Q_COUNT];
    double worst = 0;
    download(w, w->o_plain, plain);
    download(w, w->o_shared, shared);
    for (int32_t i = 0; i < Q_COUNT; i++) {
        const double off = fabs((double)plain[i] - (double)shared[i]);
        worst = off >= 0 ? fmax(worst, off) : HUGE_VAL;
        if (worst == HUGE_VAL)
            break;
    }
    return worst;
}

int main(int argc, char **argv)
{
    static work w;
    setup(&w, first_device(argc > 1 ? (unsigned)atoi(argv[1]) : 0));
    const double plain = time_of(&w, enqueue_plain), shared = time_of(&w, enqueue_shared);
    const double worst = compare(&w), key_bytes = 2.0 * sizeof(cl_half) * KV_HEADS * DIM;
    double rests = 0;
    for (int32_t b = 0; b < BATCH; b++)
        rests += w.rests[b];
    printf("%d sequences, a prefix of %d tokens, rests of up to %d\n", BATCH, PREFIX, LONGEST_REST);
    printf("plain:  %7.0f us, %6.2f MB of keys and values\n", 1e6 * plain, 1e-6 * key_bytes * (BATCH * PREFIX + rests));
    printf("shared: %7.0f us, %6.2f MB of keys and values\n", 1e6 * shared, 1e-6 * key_bytes * (PREFIX + rests));
    printf("%.1f times as fast; largest difference %.1e\n", plain / shared, worst);
    teardown(&w);
    return worst <= 1e-4 ? 0 : 1;
}
