/* SPDX-License-Identifier: BSD-2-Clause */
#include "check_gather.h"

#include <string.h>

#include <clattn/kv_cache.h>

#include "command.h"
#include "ref/ref.h"

/* Sizes that no power of two divides, and lengths that end inside, at and before a page's end. */
enum { BATCH = 4, PAGES = 9, COLUMNS = 3, PAGE_SIZE = 5, HEADS = 3, MAX_DIM = 64, OUT_LEN = COLUMNS * PAGE_SIZE };
enum { HOLE = -1, WRONG_ID = PAGES, WRONG_SEQUENCE = 2 };

static const int32_t block_table[BATCH][COLUMNS] = { { 4, 0, 7 }, { HOLE, 8, 2 }, { 5, WRONG_ID, 1 }, { 3, 6, HOLE } };
static const int32_t kv_lens[BATCH] = { 15, 11, 13, 0 };

/* In bytes: dimension sizes times the largest element. */
enum { CACHE_BYTES = PAGES * PAGE_SIZE * HEADS * MAX_DIM * 4, OUT_BYTES = BATCH * OUT_LEN * HEADS * MAX_DIM * 4 };

static const float scales[HEADS] = { 0.37f, 1.0f, 5.1f };

typedef struct buffers {
    clattn_buffer cache, block_table, kv_lens, scales, out, record;
} buffers;

/* What is gathered to what. */
typedef struct form {
    clattn_dtype dtype, out_dtype;
    int32_t dim;
    int64_t row, out_row; /* of a head, in elements or blocks */
} form;

int32_t check_gather_dim(clattn_dtype dtype)
{
    return clattn_dtype_block_len(dtype) > 1 ? MAX_DIM : 23;
}

static form form_of(clattn_dtype dtype, clattn_dtype out_dtype)
{
    const int32_t dim = check_gather_dim(dtype);
    return (form){ dtype, out_dtype, dim, dim / clattn_dtype_block_len(dtype),
                   dim / clattn_dtype_block_len(out_dtype) };
}

static void fill_cache(const form *f, unsigned char *cache)
{
    ref_random random = { 8 };
    for (int64_t row = 0; row < PAGES * PAGE_SIZE * HEADS; row++) {
        double values[MAX_DIM];
        for (int i = 0; i < f->dim; i++)
            values[i] = 4.0 * ref_random_normal(&random);
        ref_store_row(cache, f->dtype, row * f->row, f->dim, values);
    }
}

static void gather_row(const form *f, const unsigned char *cache, int64_t from, unsigned char *out, int64_t to,
                       float scale)
{
    if (f->dtype == f->out_dtype) {
        const size_t bytes = (size_t)f->row * clattn_dtype_size(f->dtype);
        memcpy(out + (size_t)to * bytes, cache + (size_t)from * bytes, bytes);
        return;
    }
    const size_t size = (size_t)f->row * clattn_dtype_size(f->dtype);
    for (int i = 0; i < f->dim; i++) {
        const float value = (float)ref_load(cache + (size_t)from * size, f->dtype, i);
        ref_store(out, f->out_dtype, to * f->out_row + i, (double)(f->dtype == CLATTN_FP8 ? value * scale : value));
    }
}

/* What the kernel has to write: [batch, token, head, dim] from pages [page, token, head, dim]. */
static void gather_on_host(const form *f, const unsigned char *cache, unsigned char *out)
{
    memset(out, 0, OUT_BYTES);
    for (int b = 0; b < BATCH; b++)
        for (int i = 0; i < kv_lens[b]; i++) {
            const int32_t page = block_table[b][i / PAGE_SIZE];
            if (page < 0 || page >= PAGES)
                continue;
            for (int head = 0; head < HEADS; head++)
                gather_row(f, cache, (page * PAGE_SIZE + i % PAGE_SIZE) * HEADS + head, out,
                           (b * OUT_LEN + i) * HEADS + head, scales[head]);
        }
}

static int make_buffers(const session *on, const unsigned char *cache, buffers *out)
{
    static unsigned char poison[OUT_BYTES];
    memset(poison, 0x5a, sizeof poison);
    const clattn_error_record clear = CLATTN_ERROR_RECORD_CLEAR;
    int status = session_make_buffer(on, "the cache", CACHE_BYTES, cache, &out->cache);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "the block table", sizeof block_table, block_table, &out->block_table);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "the lengths", sizeof kv_lens, kv_lens, &out->kv_lens);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "the scales", sizeof scales, scales, &out->scales);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "the result", OUT_BYTES, poison, &out->out);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "the error record", sizeof clear, &clear, &out->record);
    return status;
}

static void free_buffers(buffers *used)
{
    session_free_buffer(&used->cache);
    session_free_buffer(&used->block_table);
    session_free_buffer(&used->kv_lens);
    session_free_buffer(&used->scales);
    session_free_buffer(&used->out);
    session_free_buffer(&used->record);
}

static int run(const session *on, const form *f, const buffers *with)
{
    const int64_t token = HEADS * f->row, out_token = HEADS * f->out_row;
    const clattn_gather_desc desc =
        CLATTN_GATHER_DESC(.dtype = f->dtype, .out_dtype = f->out_dtype, .page_size = PAGE_SIZE, .pages = PAGES,
                           .kv_heads = HEADS, .head_dim = f->dim, .max_batch = BATCH, .max_pages = COLUMNS,
                           .cache = { .page = PAGE_SIZE * token, .token = token, .head = f->row },
                           .out = { .batch = OUT_LEN * out_token, .token = out_token, .head = f->out_row });
    const clattn_gather_args args =
        CLATTN_GATHER_ARGS(.cache = with->cache, .block_table = with->block_table, .kv_lens = with->kv_lens,
                           .scales = with->scales, .out = with->out, .error_record = with->record);
    clattn_gather_plan *plan = NULL;
    clattn_status status = clattn_gather_plan_create(on->device, &desc, &plan);
    if (status == CLATTN_OK)
        status = clattn_gather_run(plan, BATCH, OUT_LEN, &args, on->queue, 0, NULL, NULL);
    clattn_gather_plan_destroy(&plan);
    return status == CLATTN_OK ? EXIT_DONE : fail_library("gather cannot run");
}

int check_gather(const session *on, clattn_dtype dtype, clattn_dtype out_dtype, bool *same)
{
    static unsigned char cache[CACHE_BYTES], got[OUT_BYTES], wanted[OUT_BYTES];
    const form f = form_of(dtype, out_dtype);
    clattn_error_record record;
    buffers with = { 0 };
    fill_cache(&f, cache);
    int status = make_buffers(on, cache, &with);
    if (status == EXIT_DONE)
        status = run(on, &f, &with);
    if (status == EXIT_DONE)
        status = session_read_buffer(on, "the result", &with.out, sizeof got, got);
    if (status == EXIT_DONE)
        status = session_read_buffer(on, "the error record", &with.record, sizeof record, &record);
    free_buffers(&with);
    if (status != EXIT_DONE)
        return status;
    gather_on_host(&f, cache, wanted);
    const size_t size = (size_t)(BATCH * OUT_LEN * HEADS * f.out_row) * clattn_dtype_size(out_dtype);
    *same = memcmp(got, wanted, size) == 0 && record.kinds == CLATTN_ERROR_PAGE_ID && record.sequence == WRONG_SEQUENCE;
    return EXIT_DONE;
}
