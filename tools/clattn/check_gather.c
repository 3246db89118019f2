/* SPDX-License-Identifier: BSD-2-Clause */
#include "check_gather.h"

#include <string.h>

#include "command.h"

/* Sizes that no power of two divides, and lengths that end inside, at and before a page's end. */
enum {
    BATCH = 4,
    PAGES = 9,
    COLUMNS = 3,
    PAGE_SIZE = 5,
    HEADS = 3,
    DIM = CHECK_GATHER_DIM,
    OUT_LEN = COLUMNS * PAGE_SIZE
};
enum { HOLE = -1, WRONG_ID = PAGES, WRONG_SEQUENCE = 2 };

static const int32_t block_table[BATCH][COLUMNS] = { { 4, 0, 7 }, { HOLE, 8, 2 }, { 5, WRONG_ID, 1 }, { 3, 6, HOLE } };
static const int32_t kv_lens[BATCH] = { 15, 11, 13, 0 };

/* In bytes: dimension sizes times the largest element. */
enum { CACHE_BYTES = PAGES * PAGE_SIZE * HEADS * DIM * 4, OUT_BYTES = BATCH * OUT_LEN * HEADS * DIM * 4 };

typedef struct buffers {
    clattn_buffer cache, block_table, kv_lens, out, record;
} buffers;

/* What the kernel has to write: [batch, token, head, dim] from pages [page, token, head, dim]. */
static void gather_on_host(const unsigned char *cache, size_t row_bytes, unsigned char *out)
{
    memset(out, 0, BATCH * OUT_LEN * row_bytes);
    for (int b = 0; b < BATCH; b++)
        for (int i = 0; i < kv_lens[b]; i++) {
            const int32_t page = block_table[b][i / PAGE_SIZE];
            if (page >= 0 && page < PAGES)
                memcpy(out + (size_t)(b * OUT_LEN + i) * row_bytes,
                       cache + (size_t)(page * PAGE_SIZE + i % PAGE_SIZE) * row_bytes, row_bytes);
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
    session_free_buffer(&used->out);
    session_free_buffer(&used->record);
}

static int run(const session *on, clattn_dtype dtype, const buffers *with)
{
    const clattn_gather_desc desc =
        CLATTN_GATHER_DESC(.dtype = dtype, .out_dtype = dtype, .page_size = PAGE_SIZE, .pages = PAGES,
                           .kv_heads = HEADS, .head_dim = DIM, .max_batch = BATCH, .max_pages = COLUMNS,
                           .cache = { .page = PAGE_SIZE * HEADS * DIM, .token = HEADS * DIM, .head = DIM },
                           .out = { .batch = OUT_LEN * HEADS * DIM, .token = HEADS * DIM, .head = DIM });
    const clattn_gather_args args =
        CLATTN_GATHER_ARGS(.cache = with->cache, .block_table = with->block_table, .kv_lens = with->kv_lens,
                           .out = with->out, .error_record = with->record);
    clattn_gather_plan *plan = NULL;
    clattn_status status = clattn_gather_plan_create(on->device, &desc, &plan);
    if (status == CLATTN_OK)
        status = clattn_gather_run(plan, BATCH, OUT_LEN, &args, on->queue, 0, NULL, NULL);
    clattn_gather_plan_destroy(&plan);
    return status == CLATTN_OK ? EXIT_DONE : fail_library("gather cannot run");
}

int check_gather(const session *on, clattn_dtype dtype, bool *same)
{
    static unsigned char cache[CACHE_BYTES], got[OUT_BYTES], wanted[OUT_BYTES];
    const size_t row_bytes = HEADS * DIM * clattn_dtype_size(dtype);
    clattn_error_record record;
    buffers with = { 0 };
    for (size_t i = 0; i < sizeof cache; i++)
        cache[i] = (unsigned char)(1 + i * 37 % 251);
    int status = make_buffers(on, cache, &with);
    if (status == EXIT_DONE)
        status = run(on, dtype, &with);
    if (status == EXIT_DONE)
        status = session_read_buffer(on, "the result", &with.out, sizeof got, got);
    if (status == EXIT_DONE)
        status = session_read_buffer(on, "the error record", &with.record, sizeof record, &record);
    free_buffers(&with);
    if (status != EXIT_DONE)
        return status;
    gather_on_host(cache, row_bytes, wanted);
    *same = memcmp(got, wanted, BATCH * OUT_LEN * row_bytes) == 0 && record.kinds == CLATTN_ERROR_PAGE_ID &&
            record.sequence == WRONG_SEQUENCE;
    return EXIT_DONE;
}
