/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <clattn/kv_cache.h>

#include "command.h"
#include "outputs.h"
#include "page_files.h"
#include "report.h"
#include "timing.h"

/* What the files say, on the host. */
typedef struct gather_problem {
    operand cache, block_table, kv_lens;
    clattn_dtype dtype;
    clattn_gather_desc desc;
    int32_t batch, out_len;
    int64_t tokens_read; /* that have a page */
    void *out;
    size_t out_size;
} gather_problem;

typedef struct loaded_gather {
    const session *on;
    const gather_problem *subject;
    clattn_gather_plan *plan;
    clattn_gather_args args;
} loaded_gather;

static int read_files(const options *given, gather_problem *subject)
{
    const struct {
        operand *target;
        option_id id;
        const char *name;
    } files[] = { { &subject->cache, OPTION_gather_cache, "--cache" },
                  { &subject->block_table, OPTION_gather_block_table, "--block-table" },
                  { &subject->kv_lens, OPTION_gather_kv_lens, "--kv-lens" } };
    int status = EXIT_DONE;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && status == EXIT_DONE; i++)
        status = operand_read(files[i].target, files[i].name, given->values[files[i].id].text);
    return status;
}

/* The files' numbers into the description. */
static int read_cache(gather_problem *subject)
{
    operand *cache = &subject->cache;
    cache_shape n;
    int status = cache_read_shape(cache, &n);
    if (status != EXIT_DONE)
        return status;
    const int64_t token = (int64_t)n.heads * n.dim;
    subject->dtype = cache->array.header.type == NPY_F16 ? CLATTN_F16 : CLATTN_F32;
    subject->desc = CLATTN_GATHER_DESC(.dtype = subject->dtype, .out_dtype = subject->dtype, .pages = n.pages,
                                       .page_size = n.page_size, .kv_heads = n.heads, .head_dim = n.dim,
                                       .cache = { n.page_size * token, token, n.dim });
    status = operand_convert(cache, subject->dtype);
    if (status == EXIT_DONE)
        status = cache_read_table(&subject->block_table, &subject->batch, &subject->desc.max_pages);
    subject->desc.max_batch = subject->batch;
    if (status == EXIT_DONE)
        status = cache_read_lengths(&subject->kv_lens, &n, subject->batch, subject->desc.max_pages);
    if (status == EXIT_DONE)
        status = cache_check_ids(&subject->block_table, &subject->kv_lens, &n, subject->batch, subject->desc.max_pages,
                                 &subject->tokens_read);
    return status;
}

static void find_out_len(gather_problem *subject)
{
    const int32_t *lens = subject->kv_lens.data;
    for (int32_t b = 0; b < subject->batch; b++)
        subject->out_len = lens[b] > subject->out_len ? lens[b] : subject->out_len;
}

static int make_output(gather_problem *subject)
{
    clattn_gather_desc *d = &subject->desc;
    const int64_t row = (int64_t)d->kv_heads * d->head_dim;
    size_t size = (size_t)row * clattn_dtype_size(subject->dtype);
    d->out = (clattn_strides){ .batch = subject->out_len * row, .token = row, .head = d->head_dim };
    if (__builtin_mul_overflow(size, (size_t)subject->out_len, &size) ||
        __builtin_mul_overflow(size, (size_t)subject->batch, &size))
        return fail("--out: [%d, %d, %d, %d] is more than memory can hold", subject->batch, subject->out_len,
                    d->kv_heads, d->head_dim);
    subject->out_size = size;
    subject->out = malloc(size ? size : 1);
    return subject->out ? EXIT_DONE : fail("--out: no memory for %zu bytes", size);
}

static int load_problem(const options *given, gather_problem *subject)
{
    int status = read_files(given, subject);
    if (status == EXIT_DONE)
        status = read_cache(subject);
    if (status != EXIT_DONE)
        return status;
    find_out_len(subject);
    return make_output(subject);
}

static void unload(loaded_gather *loaded)
{
    session_free_buffer(&loaded->args.cache);
    session_free_buffer(&loaded->args.block_table);
    session_free_buffer(&loaded->args.kv_lens);
    session_free_buffer(&loaded->args.out);
    clattn_gather_plan_destroy(&loaded->plan);
}

/* The caller unloads, in either case. */
static int load(const session *on, const gather_problem *subject, loaded_gather *out)
{
    const operand *cache = &subject->cache, *table = &subject->block_table, *lens = &subject->kv_lens;
    *out = (loaded_gather){ .on = on, .subject = subject, .args = CLATTN_GATHER_ARGS(.cache = { .handle = NULL }) };
    if (clattn_gather_plan_create(on->device, &subject->desc, &out->plan) != CLATTN_OK)
        return fail_library("the plan cannot be made");
    int status = session_make_buffer(on, "the cache", cache->size, cache->data, &out->args.cache);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "the block table", table->size, table->data, &out->args.block_table);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "kv_lens", lens->size, lens->data, &out->args.kv_lens);
    return status == EXIT_DONE ? session_make_buffer(on, "the result", subject->out_size, NULL, &out->args.out)
                               : status;
}

static clattn_status enqueue(const void *subject, cl_command_queue queue, cl_event *done)
{
    const loaded_gather *loaded = subject;
    return clattn_gather_run(loaded->plan, loaded->subject->batch, loaded->subject->out_len, &loaded->args, queue, 0,
                             NULL, done);
}

static int run_once(const loaded_gather *loaded, double *seconds)
{
    const timed_call call = {
        .name = "gather", .refusal = "gather cannot run", .single = true, .enqueue = enqueue, .subject = loaded
    };
    return job_time_call(loaded->on, &call, seconds);
}

static int compute(const loaded_gather *loaded, gather_problem *subject, const timing *times)
{
    int status = run_once(loaded, NULL);
    for (int i = 0; i < times->count && status == EXIT_DONE; i++)
        status = run_once(loaded, &times->seconds[i]);
    if (status == EXIT_DONE)
        status = session_read_buffer(loaded->on, "the result", &loaded->args.out, subject->out_size, subject->out);
    return status;
}

/* What is read and what is written. */
static double bytes_moved(const gather_problem *subject)
{
    const clattn_gather_desc *d = &subject->desc;
    double row = (double)d->kv_heads * (double)d->head_dim * (double)clattn_dtype_size(subject->dtype);
    return (double)subject->tokens_read * row + (double)subject->out_size;
}

static int print_result(const options *given, const session *on, const gather_problem *subject, const timing *times)
{
    const clattn_gather_desc *d = &subject->desc;
    double median = times->count > 0 ? job_median(times->seconds, times->count) : 0.0;
    double rate = median > 0 ? bytes_moved(subject) / median * 1e-9 : 0.0;
    if (given->values[OPTION_gather_json].given)
        return report_print(json_pack(
            "{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:i, s:s}", "device", on->info.device_name, "op",
            "gather", "dtype", clattn_dtype_name(d->dtype), "batch", subject->batch, "kv_heads", d->kv_heads, "kv_len",
            subject->out_len, "head_dim", d->head_dim, "page_size", d->page_size, "seconds_median", median,
            "seconds_min", times->seconds[0], "gbytes_per_s", rate, "repeat", times->count, "kernel", "gather"));
    printf("%s: gather in %s of %d sequences, up to %d tokens, pages of %d", on->info.device_name,
           clattn_dtype_name(d->dtype), subject->batch, subject->out_len, d->page_size);
    if (times->count > 0)
        printf(", %.6g s at the median of %d runs, %.4g s at best, %.4g GB/s", median, times->count, times->seconds[0],
               rate);
    putchar('\n');
    return EXIT_DONE;
}

static int write_output(const gather_problem *subject, outputs *files)
{
    const clattn_gather_desc *d = &subject->desc;
    const int64_t shape[4] = { subject->batch, subject->out_len, d->kv_heads, d->head_dim };
    char header[NPY_HEADER_MAX];
    size_t size = npy_format_header(subject->dtype == CLATTN_F16 ? NPY_F16 : NPY_F32, 4, shape, header);
    return outputs_write(files, 0, header, size, subject->out, subject->out_size);
}

/* The report is printed before the file appears: a failure leaves nothing. */
static int solve(const options *given, const session *on, gather_problem *subject, const timing *times, outputs *files)
{
    loaded_gather loaded;
    int status = load(on, subject, &loaded);
    if (status == EXIT_DONE)
        status = compute(&loaded, subject, times);
    unload(&loaded);
    if (status == EXIT_DONE)
        status = print_result(given, on, subject, times);
    if (status == EXIT_DONE)
        status = write_output(subject, files);
    if (status == EXIT_DONE)
        status = finish_stdout();
    return status == EXIT_DONE ? outputs_commit(files) : status;
}

static void free_problem(gather_problem *subject)
{
    operand_free(&subject->cache);
    operand_free(&subject->block_table);
    operand_free(&subject->kv_lens);
    free(subject->out);
}

int command_gather(const options *given)
{
    gather_problem subject = { .batch = 0 };
    timing times;
    outputs files = { .count = 0 };
    session on;
    outputs_add(&files, "--out", given->values[OPTION_gather_out].text);
    outputs_add_input(&files, "--cache", given->values[OPTION_gather_cache].text);
    outputs_add_input(&files, "--block-table", given->values[OPTION_gather_block_table].text);
    outputs_add_input(&files, "--kv-lens", given->values[OPTION_gather_kv_lens].text);
    int status = timing_make(&given->values[OPTION_gather_repeat], given->values[OPTION_gather_json].given, &times);
    if (status == EXIT_DONE)
        status = load_problem(given, &subject);
    if (status == EXIT_DONE)
        status = outputs_check(&files);
    if (status == EXIT_DONE)
        status = session_open(given->values[OPTION_gather_device].text, &on);
    if (status == EXIT_DONE) {
        status = solve(given, &on, &subject, &times, &files);
        session_close(&on);
    }
    outputs_discard(&files);
    free_problem(&subject);
    timing_free(&times);
    return status;
}
