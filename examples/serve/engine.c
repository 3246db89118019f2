/* SPDX-License-Identifier: BSD-2-Clause */
/* The device: what is made once, and what a step enqueues, on one in-order queue. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "serve.h"

enum { PLANES = 2 }; /* a layer: keys and values */

struct engine {
    cl_context context;
    cl_command_queue queue;
    clattn_device *device;
    clattn_plan *attention;
    clattn_append_plan *append;
    clattn_copy_plan *copy;
    clattn_pinned *host_pages;
    int32_t layers;
    size_t page_bytes;                         /* of a page in all planes */
    clattn_buffer planes[PLANES * MAX_LAYERS]; /* keys and values of layer 0, of layer 1, ... */
    cl_mem rows, output, indices, workspace, staging, errors;
};

void check_cl(cl_int code, const char *what)
{
    if (code != CL_SUCCESS) {
        fprintf(stderr, "%s: OpenCL error %d\n", what, code);
        exit(1);
    }
}

void check(clattn_status status)
{
    if (status != CLATTN_OK) {
        fprintf(stderr, "%s: %s\n", clattn_status_name(status), clattn_last_error());
        exit(1);
    }
}

static cl_device_id find_device(unsigned wanted)
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

static cl_mem buffer(const engine *e, size_t size)
{
    cl_int code;
    cl_mem mem = clCreateBuffer(e->context, CL_MEM_READ_WRITE, size, NULL, &code);
    check_cl(code, "clCreateBuffer");
    return mem;
}

static void fill(const engine *e, cl_mem mem, size_t size, const void *pattern, size_t pattern_size)
{
    check_cl(clEnqueueFillBuffer(e->queue, mem, pattern, pattern_size, 0, size, 0, NULL, NULL), "clEnqueueFillBuffer");
}

/* Elements of a token's rows, and of its output, over all layers. */
static int64_t row_elements(const engine *e)
{
    return (int64_t)e->layers * QKV_HEADS * DIM;
}

static int64_t output_elements(const engine *e)
{
    return (int64_t)e->layers * Q_HEADS * DIM;
}

/* Both caches: [pages, page_size, kv_heads, dim]. */
static clattn_page_strides cache_strides(void)
{
    return (clattn_page_strides){ .page = PAGE_SIZE * KV_HEADS * DIM, .token = KV_HEADS * DIM, .head = DIM };
}

/* One plan serves every layer and every mix of prompts and single tokens within these bounds. */
static void plan_attention(engine *e)
{
    clattn_attention_desc desc =
        CLATTN_ATTENTION_DESC(.k_dtype = CLATTN_F16, .v_dtype = CLATTN_F16, .q_heads = Q_HEADS, .kv_heads = KV_HEADS,
                              .head_dim = DIM, .max_batch = MAX_BATCH, .max_q_len = MAX_CHUNK, .max_kv_len = MAX_TOKENS,
                              .max_q_tokens = MAX_STEP_TOKENS, .q_length_mode = CLATTN_LENGTH_RAGGED,
                              .kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE, .causal = 1);
    desc.kv_mode = CLATTN_KV_BLOCK_TABLE;
    desc.page_size = PAGE_SIZE;
    desc.pages = NUM_PAGES;
    desc.max_pages = MAX_PAGES;
    desc.k_cache = desc.v_cache = cache_strides();
    desc.q = (clattn_strides){ .token = row_elements(e), .head = DIM };
    desc.o = (clattn_strides){ .token = output_elements(e), .head = DIM };
    check(clattn_plan_create(e->device, &desc, NULL, &e->attention));
}

static void plan_append(engine *e)
{
    const clattn_append_plane plane = {
        .dtype = CLATTN_F16, .head_dim = DIM, .cache = cache_strides(), .src = { .token = row_elements(e), .head = DIM }
    };
    const clattn_append_desc desc = CLATTN_APPEND_DESC(.page_size = PAGE_SIZE, .pages = NUM_PAGES, .kv_heads = KV_HEADS,
                                                       .max_tokens = MAX_STEP_TOKENS, .k = plane, .v = plane);
    check(clattn_append_plan_create(e->device, &desc, &e->append));
}

static void plan_copy(engine *e)
{
    clattn_page_plane planes[PLANES * MAX_LAYERS];
    for (int32_t i = 0; i < PLANES * e->layers; i++)
        planes[i] = (clattn_page_plane){ .page_bytes = (int64_t)sizeof(cl_half) * PAGE_SIZE * KV_HEADS * DIM };
    const clattn_copy_desc desc =
        CLATTN_COPY_DESC(.pages = NUM_PAGES, .num_planes = PLANES * e->layers, .planes = planes);
    check(clattn_copy_plan_create(e->device, &desc, &e->copy));
    e->page_bytes = clattn_copy_page_bytes(e->copy);
}

static void make_buffers(engine *e)
{
    const size_t plane_size = sizeof(cl_half) * NUM_PAGES * PAGE_SIZE * KV_HEADS * DIM;
    const cl_half nan = 0x7e00; /* so that a place which is read before it is written shows */
    for (int32_t i = 0; i < PLANES * e->layers; i++) {
        e->planes[i] = (clattn_buffer){ .handle = buffer(e, plane_size) };
        fill(e, e->planes[i].handle, plane_size, &nan, sizeof(nan));
    }
    e->rows = buffer(e, sizeof(float) * MAX_STEP_TOKENS * (size_t)row_elements(e));
    e->output = buffer(e, sizeof(float) * MAX_STEP_TOKENS * (size_t)output_elements(e));
    e->indices = buffer(e, sizeof(step_indices));
    const size_t workspace_size = clattn_plan_workspace_size(e->attention);
    e->workspace = workspace_size ? buffer(e, workspace_size) : NULL;
    e->staging = buffer(e, NUM_HOST_PAGES * e->page_bytes);
    check(clattn_pinned_create(e->device, NUM_HOST_PAGES * e->page_bytes, &e->host_pages));
    const clattn_error_record clear = CLATTN_ERROR_RECORD_CLEAR;
    e->errors = buffer(e, sizeof(clear));
    check_cl(clEnqueueWriteBuffer(e->queue, e->errors, CL_TRUE, 0, sizeof(clear), &clear, 0, NULL, NULL),
             "clEnqueueWriteBuffer");
}

engine *engine_create(int32_t layers, unsigned platform)
{
    engine *e = calloc(1, sizeof(*e));
    if (!e)
        check_cl(CL_OUT_OF_HOST_MEMORY, "calloc");
    cl_int code;
    cl_device_id id = find_device(platform);
    e->layers = layers;
    e->context = clCreateContext(NULL, 1, &id, NULL, NULL, &code);
    check_cl(code, "clCreateContext");
    e->queue = clCreateCommandQueue(e->context, id, 0, &code);
    check_cl(code, "clCreateCommandQueue");
    check(clattn_device_create(e->context, id, NULL, &e->device));
    plan_attention(e);
    plan_append(e);
    plan_copy(e);
    make_buffers(e);
    return e;
}

void engine_destroy(engine **handle)
{
    engine *e = *handle;
    check_cl(clFinish(e->queue), "clFinish");
    cl_mem mems[] = { e->rows, e->output, e->indices, e->staging, e->errors, e->workspace };
    for (size_t i = 0; i < sizeof(mems) / sizeof(mems[0]); i++)
        if (mems[i])
            clReleaseMemObject(mems[i]);
    for (int32_t i = 0; i < PLANES * e->layers; i++)
        clReleaseMemObject(e->planes[i].handle);
    clattn_pinned_destroy(&e->host_pages);
    clattn_copy_plan_destroy(&e->copy);
    clattn_append_plan_destroy(&e->append);
    clattn_plan_destroy(&e->attention);
    clattn_device_destroy(&e->device);
    clReleaseCommandQueue(e->queue);
    clReleaseContext(e->context);
    free(e);
    *handle = NULL;
}

const char *engine_device_name(const engine *e)
{
    clattn_device_info info;
    check(clattn_device_get_info(e->device, &info));
    return info.device_name;
}

void engine_init_step(const engine *e, step *st)
{
    st->swap_out = (clattn_page_list){ .pairs = st->swap_out_pairs, .capacity = NUM_PAGES };
    st->swap_in = (clattn_page_list){ .pairs = st->swap_in_pairs, .capacity = NUM_PAGES };
    st->copies = (clattn_page_list){ .pairs = st->copy_pairs, .capacity = MAX_BATCH };
    st->rows = malloc(sizeof(float) * MAX_STEP_TOKENS * (size_t)row_elements(e));
    st->output = malloc(sizeof(float) * MAX_STEP_TOKENS * (size_t)output_elements(e));
    if (!st->rows || !st->output)
        check_cl(CL_OUT_OF_HOST_MEMORY, "malloc");
}

void engine_free_step(step *st)
{
    free(st->rows);
    free(st->output);
}

/* In the place of a model's projections. In a model a layer's rows come from the output of the layer before; here those
 * of all layers are known at once, so that they are written with one transfer. */
static void make_rows(const engine *e, step *st)
{
    float *row = st->rows;
    for (int32_t b = 0; b < st->batch; b++) {
        const uint64_t *history = st->jobs[b]->history + st->indices.kv_lens[b] - st->q_lens[b];
        for (int32_t i = 0; i < st->q_lens[b]; i++)
            for (int32_t layer = 0; layer < e->layers; layer++)
                for (int32_t head = 0; head < QKV_HEADS; head++, row += DIM) {
                    const int32_t kv_head = (head - Q_HEADS) % KV_HEADS;
                    if (head < Q_HEADS)
                        make_row(ROW_Q, history[i], layer, head, row);
                    else
                        make_row(head < Q_HEADS + KV_HEADS ? ROW_K : ROW_V, history[i], layer, kv_head, row);
                }
    }
}

static void write(const engine *e, cl_mem to, const void *from, size_t size)
{
    if (size > 0)
        check_cl(clEnqueueWriteBuffer(e->queue, to, CL_FALSE, 0, size, from, 0, NULL, NULL), "clEnqueueWriteBuffer");
}

static int by_source(const void *a, const void *b)
{
    const clattn_page_pair *x = a, *y = b;
    return (x->src > y->src) - (x->src < y->src);
}

static int by_destination(const void *a, const void *b)
{
    const clattn_page_pair *x = a, *y = b;
    return (x->dst > y->dst) - (x->dst < y->dst);
}

/* Pages whose places in host memory follow one another go in one transfer. All of them may use one staging buffer, as
 * the queue is in order. */
static void swap(const engine *e, const clattn_page_list *list, bool out)
{
    if (list->count > 0)
        qsort(list->pairs, (size_t)list->count, sizeof(*list->pairs), out ? by_destination : by_source);
    int32_t pages[NUM_HOST_PAGES];
    for (int32_t i = 0, count = 0, first = 0; i < list->count; i++) {
        const clattn_page_pair *pair = &list->pairs[i];
        if (count == 0)
            first = out ? pair->dst : pair->src;
        pages[count++] = out ? pair->src : pair->dst;
        if (i + 1 < list->count && (out ? pair[1].dst : pair[1].src) == first + count)
            continue;
        const clattn_swap_args args =
            CLATTN_SWAP_ARGS(.num_planes = PLANES * e->layers, .planes = e->planes, .staging = { .handle = e->staging },
                             .host = (char *)clattn_pinned_data(e->host_pages) + (size_t)first * e->page_bytes,
                             .host_size = (size_t)count * e->page_bytes);
        check((out ? clattn_swap_out_run : clattn_swap_in_run)(e->copy, count, pages, &args, e->queue, 0, NULL, NULL));
        count = 0;
    }
}

static void copy(const engine *e, const clattn_page_list *list)
{
    const clattn_copy_args args = CLATTN_COPY_ARGS(.num_planes = PLANES * e->layers, .planes = e->planes);
    if (list->count > 0)
        check(clattn_copy_run(e->copy, list->count, list->pairs, &args, e->queue, 0, NULL, NULL));
}

static clattn_buffer part(cl_mem mem, size_t offset)
{
    return (clattn_buffer){ .handle = mem, .offset = offset };
}

/* One layer: new keys and values go to their slots, then every query attends what its sequence has. */
static void run_layer(const engine *e, const step *st, const clattn_schedule *schedule, int32_t layer)
{
    const clattn_buffer *k_cache = &e->planes[PLANES * layer], *v_cache = k_cache + 1;
    const size_t row = sizeof(float) * DIM, q = (size_t)layer * QKV_HEADS * row;
    const size_t k = q + Q_HEADS * row, v = k + KV_HEADS * row;
    const clattn_buffer errors = part(e->errors, 0);
    const clattn_append_args append =
        CLATTN_APPEND_ARGS(.slot_mapping = part(e->indices, offsetof(step_indices, slot_mapping)),
                           .k = { .src = part(e->rows, k), .cache = *k_cache },
                           .v = { .src = part(e->rows, v), .cache = *v_cache }, .error_record = errors);
    check(clattn_append_run(e->append, st->tokens, &append, e->queue, 0, NULL, NULL));

    const clattn_attention_args attention =
        CLATTN_ATTENTION_ARGS(.q = part(e->rows, q), .k = *k_cache, .v = *v_cache,
                              .o = part(e->output, (size_t)layer * Q_HEADS * row),
                              .cu_seqlens_q = part(e->indices, offsetof(step_indices, cu_seqlens)),
                              .kv_lens = part(e->indices, offsetof(step_indices, kv_lens)),
                              .block_table = part(e->indices, offsetof(step_indices, block_table)),
                              .error_record = errors, .workspace = part(e->workspace, 0));
    check(clattn_attention_run(e->attention, schedule, &attention, e->queue, 0, NULL, NULL));
}

void engine_run(engine *e, step *st)
{
    make_rows(e, st);
    swap(e, &st->swap_out, true);
    swap(e, &st->swap_in, false);
    copy(e, &st->copies);

    write(e, e->indices, &st->indices, sizeof(st->indices));
    write(e, e->rows, st->rows, sizeof(float) * (size_t)st->tokens * (size_t)row_elements(e));
    clattn_schedule schedule;
    const clattn_lengths lengths = { .batch = st->batch, .q_lens = st->q_lens, .kv_lens = st->indices.kv_lens };
    check(clattn_schedule_make(e->attention, &lengths, &schedule));
    for (int32_t layer = 0; layer < e->layers; layer++)
        run_layer(e, st, &schedule, layer);
    const size_t output_size = sizeof(float) * (size_t)st->tokens * (size_t)output_elements(e);
    if (output_size > 0)
        check_cl(clEnqueueReadBuffer(e->queue, e->output, CL_FALSE, 0, output_size, st->output, 0, NULL, NULL),
                 "clEnqueueReadBuffer");
    check_cl(clEnqueueMarkerWithWaitList(e->queue, 0, NULL, &st->done), "clEnqueueMarkerWithWaitList");
    check_cl(clFlush(e->queue), "clFlush");
}

clattn_error_record engine_errors(engine *e)
{
    clattn_error_record found;
    check_cl(clEnqueueReadBuffer(e->queue, e->errors, CL_TRUE, 0, sizeof(found), &found, 0, NULL, NULL),
             "clEnqueueReadBuffer");
    return found;
}
