/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "bench.h"
#include "clblast.h"
#include "command.h"
#include "report.h"

enum { MIN_RUNS = 5, MAX_RUNS = 1000 };
static const double MIN_SECONDS = 0.5;

typedef struct times {
    int count;
    double seconds[MAX_RUNS];
    double baseline_seconds[MAX_RUNS];
    double difference; /* largest, of the two answers */
} times;

typedef struct figures {
    double median, best, flops, bandwidth; /* a second; bandwidth 0 where memory is not what is measured */
    double fraction;                       /* of the peak that counts */
    double baseline_median;
} figures;

static int warm_up(const bench_case *on, const baseline *other, times *out)
{
    int status = EXIT_DONE;
    for (int i = 0; i < on->count && status == EXIT_DONE; i++)
        status = job_run(&on->copies[i], NULL);
    if (status != EXIT_DONE || !other)
        return status;
    status = job_fetch(&on->copies[0], &on->work);
    if (status == EXIT_DONE)
        status = baseline_run(other, &on->copies[0], NULL);
    return status == EXIT_DONE ? baseline_compare(other, &on->work, &out->difference) : status;
}

/* Both in turns, so that what disturbs one disturbs the other. */
static int measure(const bench *of, const bench_case *on, const baseline *other, times *out)
{
    double spent = 0;
    int status = warm_up(on, other, out);
    out->count = 0;
    while (status == EXIT_DONE &&
           (of->runs > 0 ? out->count < of->runs
                         : out->count < MIN_RUNS || (spent < MIN_SECONDS && out->count < MAX_RUNS))) {
        const loaded_job *copy = &on->copies[out->count % on->count];
        status = job_run(copy, &out->seconds[out->count]);
        spent += out->seconds[out->count];
        if (status == EXIT_DONE && other)
            status = baseline_run(other, copy, &out->baseline_seconds[out->count]);
        spent += out->baseline_seconds[out->count];
        out->count++;
    }
    return status;
}

static figures evaluate(const bench *of, const bench_case *on, bool with_baseline, times *measured)
{
    figures out = { .median = job_median(measured->seconds, measured->count) };
    out.best = measured->seconds[0];
    out.flops = job_flops(&on->work) / out.median;
    if (on->memory_bound)
        out.bandwidth = bench_case_kv_bytes(on) / out.median;
    out.fraction = on->memory_bound ? out.bandwidth / of->peaks.read_bandwidth : out.flops / of->peaks.fma_flops;
    if (with_baseline)
        out.baseline_median = job_median(measured->baseline_seconds, measured->count);
    return out;
}

static int print_json(const bench_case *on, const figures *found, times *measured)
{
    json_t *object = report_attention(&on->copies[0], &on->work);
    report_times(object, &on->work, measured->seconds, measured->count);
    if (on->memory_bound)
        json_object_set_new(object, "gbytes_per_s", json_real(found->bandwidth * 1e-9));
    json_object_set_new(object, "peak_fraction", json_real(found->fraction));
    json_object_set_new(object, "peak_kind", json_string(on->memory_bound ? "read" : "fma"));
    json_object_set_new(object, "repeat", json_integer(measured->count));
    report_kernels(object, &on->copies[0]);
    if (found->baseline_median > 0) {
        json_object_set_new(object, "baseline_seconds", json_real(found->baseline_median));
        json_object_set_new(object, "baseline_max_difference", json_real(measured->difference));
    }
    return report_print(object);
}

static void print_text(const bench_case *on, const figures *found, const times *measured)
{
    char kernel[128], fragment[128], bandwidth[32] = "";
    const clattn_attention_desc *desc = &on->work.desc;
    printf("%-5s %5d %7d/%-3d %6d %6d %4d %-6s %10.4g %10.4g %8.1f ", clattn_dtype_name(desc->q_dtype), desc->max_batch,
           desc->q_heads, desc->kv_heads, desc->max_q_len, desc->max_kv_len, desc->head_dim,
           desc->causal ? "causal" : "full", found->median * 1e3, found->best * 1e3, found->flops * 1e-9);
    if (on->memory_bound)
        snprintf(bandwidth, sizeof bandwidth, "%.1f", found->bandwidth * 1e-9);
    printf("%7s %5.1f %% %-4s  %s (%s)\n", bandwidth, found->fraction * 100.0, on->memory_bound ? "read" : "fma",
           job_join_names(&on->copies[0], JOB_KERNEL_NAMES, kernel, sizeof kernel),
           job_join_names(&on->copies[0], JOB_FRAGMENT_NAMES, fragment, sizeof fragment));
    if (found->baseline_median > 0)
        printf("      CLBlast, unfused: %.4g ms at the median, %.2f times as long; largest difference %.2g\n",
               found->baseline_median * 1e3, found->baseline_median / found->median, measured->difference);
}

static int measure_and_print(const bench *of, const bench_case *on, const baseline *other)
{
    times measured = { .count = 0 };
    int status = measure(of, on, other, &measured);
    if (status != EXIT_DONE)
        return status;
    figures found = evaluate(of, on, other != NULL, &measured);
    if (of->as_json)
        return print_json(on, &found, &measured);
    print_text(on, &found, &measured);
    return EXIT_DONE;
}

int bench_row(const bench *of, const bench_shape *shape)
{
    bench_case on;
    baseline other;
    bool with_baseline = of->with_baseline && shape->dtype == CLATTN_F32;
    int status = bench_case_open(&of->on, shape, &on);
    if (status != EXIT_DONE)
        return status;
    if (with_baseline)
        status = baseline_open(&on.copies[0], &on.work, &other);
    if (status == EXIT_DONE) {
        status = measure_and_print(of, &on, with_baseline ? &other : NULL);
        if (with_baseline)
            baseline_close(&other);
    }
    bench_case_close(&on);
    return status == EXIT_DONE ? finish_stdout() : status;
}

int bench_print_head(const bench *of)
{
    const peaks *at = &of->peaks;
    if (of->as_json)
        return report_print(json_pack("{s:s, s:s, s:f, s:f, s:f, s:s}", "device", of->on.info.device_name, "op",
                                      "peaks", "fma_gflops", at->fma_flops * 1e-9, "read_gbytes_per_s",
                                      at->read_bandwidth * 1e-9, "copy_gbytes_per_s", at->copy_bandwidth * 1e-9, "how",
                                      at->how));
    printf("%s\npeaks: fma %.1f GFLOP/s, read %.1f GB/s, copy %.1f GB/s read plus written (%s)\n",
           of->on.info.device_name, at->fma_flops * 1e-9, at->read_bandwidth * 1e-9, at->copy_bandwidth * 1e-9,
           at->how);
    printf("%-5s %5s %11s %6s %6s %4s %-6s %10s %10s %8s %7s %12s  %s\n", "dtype", "batch", "heads q/kv", "q_len",
           "kv_len", "dim", "mask", "median ms", "best ms", "GFLOP/s", "GB/s", "of peak", "kernel");
    return EXIT_DONE;
}
