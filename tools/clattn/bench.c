/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "report.h"

enum { MAX_RUNS = 1000, DEFAULT_RUNS = 10 };

/* An integer option's value within 1 to `most`. Exit status. */
static int read_count(const options *given, option_id id, int32_t otherwise, int32_t most, int32_t *out) {
    const option_value *value = &given->values[id];
    *out = value->given ? (int32_t)value->integer : otherwise;
    if (!value->given || (value->integer >= 1 && value->integer <= most))
        return EXIT_DONE;
    return fail("%s is %s; it has to be 1 to %d", option_rows[id].name, value->text, most);
}

static clattn_strides bhsd(int64_t heads, int64_t length, int64_t dim) {
    return (clattn_strides){ .batch = heads * length * dim, .token = dim, .head = length * dim };
}

static int describe(const options *given, clattn_attention_desc *desc) {
    const int32_t most = 1 << 24;
    clattn_attention_desc_init(desc);
    int status = read_count(given, OPTION_bench_batch, 1, most, &desc->max_batch);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_q_heads, 8, most, &desc->q_heads);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_kv_heads, desc->q_heads, most, &desc->kv_heads);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_q_len, 2048, most, &desc->max_q_len);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_kv_len, desc->max_q_len, most, &desc->max_kv_len);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_head_dim, 64, 576, &desc->head_dim);
    double tokens = (double)desc->max_batch * (desc->max_q_len > desc->max_kv_len ? desc->max_q_len : desc->max_kv_len);
    if (status == EXIT_DONE && tokens * (double)desc->q_heads * desc->head_dim > 1e12)
        return fail("--batch, --q-heads, lengths and --head-dim multiply to over 1e12 elements; fewer have to do");
    int choice = given->values[OPTION_bench_dtype].choice;
    desc->q_dtype = desc->k_dtype = desc->v_dtype = desc->o_dtype = (clattn_dtype)(choice < 0 ? 0 : choice);
    desc->min_q_len = desc->max_q_len;
    desc->v_head_dim = desc->head_dim;
    desc->causal = given->values[OPTION_bench_causal].given;
    desc->q = desc->o = bhsd(desc->q_heads, desc->max_q_len, desc->head_dim);
    desc->k = desc->v = bhsd(desc->kv_heads, desc->max_kv_len, desc->head_dim);
    return status;
}

/* Random numbers for one input; owned by the caller. Exit status. */
static int fill(job *work, job_input which, int64_t elements, ref_random *random) {
    size_t size = (size_t)elements * clattn_dtype_size(work->desc.q_dtype);
    void *data = malloc(size);
    if (!data)
        return fail("no memory for %zu bytes of random numbers", size);
    for (int64_t i = 0; i < elements; i++)
        ref_store(data, work->desc.q_dtype, i, 2.0 * ref_random_uniform(random) - 1.0);
    work->inputs[which].data = data;
    work->inputs[which].size = size;
    return EXIT_DONE;
}

static int make_job(const clattn_attention_desc *desc, job *out) {
    ref_random random = { 1 };
    *out = (job){ .desc = *desc };
    out->lengths = (clattn_lengths){ .batch = desc->max_batch, .q_len = desc->max_q_len, .kv_len = desc->max_kv_len };
    int status = fill(out, JOB_Q, desc->max_batch * desc->q.batch, &random);
    if (status == EXIT_DONE)
        status = fill(out, JOB_K, desc->max_batch * desc->k.batch, &random);
    if (status == EXIT_DONE)
        status = fill(out, JOB_V, desc->max_batch * desc->v.batch, &random);
    out->o_size = out->inputs[JOB_Q].size;
    out->o = calloc(out->o_size ? out->o_size : 1, 1);
    return status == EXIT_DONE && !out->o ? fail("no memory for %zu bytes of results", out->o_size) : status;
}

static void free_job(job *used) {
    for (int i = JOB_Q; i <= JOB_V; i++)
        free((void *)used->inputs[i].data);
    free(used->o);
}

static int measure(const options *given, const session *on, const job *work, double *seconds, int runs) {
    loaded_job loaded;
    int status = job_load(on, work, NULL, &loaded);
    if (status != EXIT_DONE)
        return status;
    status = job_run(&loaded, NULL);
    for (int i = 0; i < runs && status == EXIT_DONE; i++)
        status = job_run(&loaded, &seconds[i]);
    if (status == EXIT_DONE && given->values[OPTION_bench_json].given) {
        json_t *object = report_attention(&loaded, work);
        report_times(object, work, seconds, runs);
        report_kernels(object, &loaded);
        status = report_print(object);
    } else if (status == EXIT_DONE) {
        double median = job_median(seconds, runs);
        printf("%s: %.6g s at the median of %d runs, %.6g s at best, %.4g GFLOP/s\n", on->info.device_name, median,
               runs, seconds[0], job_flops(work) / median * 1e-9);
    }
    job_unload(&loaded);
    return status;
}

int command_bench(const options *given) {
    clattn_attention_desc desc;
    job work = { .o = NULL };
    session on;
    int32_t runs = 0;
    int status = describe(given, &desc);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_repeat, DEFAULT_RUNS, MAX_RUNS, &runs);
    if (status == EXIT_DONE)
        status = make_job(&desc, &work);
    if (status == EXIT_DONE)
        status = session_open(given->values[OPTION_bench_device].text, &on);
    if (status == EXIT_DONE) {
        double *seconds = calloc((size_t)runs, sizeof *seconds);
        status = seconds ? measure(given, &on, &work, seconds, runs) : fail("no memory for %d times", runs);
        free(seconds);
        session_close(&on);
    }
    free_job(&work);
    return status;
}
