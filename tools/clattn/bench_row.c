/* SPDX-License-Identifier: BSD-2-Clause */
/* A row of attention or decode. */
#include <stdio.h>

#include "bench_case.h"
#include "clblast.h"
#include "command.h"
#include "report.h"

typedef struct attention_subject {
    const bench_case *of;
    const baseline *other; /* NULL: none */
    double difference;     /* largest, of the two answers */
} attention_subject;

static int run(const void *subject, int copy, double *seconds)
{
    const attention_subject *at = subject;
    return job_run(&at->of->copies[copy], seconds);
}

static int run_other(const void *subject, int copy, double *seconds)
{
    const attention_subject *at = subject;
    return baseline_run(at->other, &at->of->copies[copy], seconds);
}

/* The results count before the times do. */
static int check(attention_subject *at)
{
    int status = run(at, 0, NULL);
    if (status == EXIT_DONE)
        status = bench_case_check(at->of);
    if (status != EXIT_DONE || !at->other)
        return status;
    status = run_other(at, 0, NULL);
    return status == EXIT_DONE ? baseline_compare(at->other, &at->of->work, &at->difference) : status;
}

static int print_json(const bench_shape *shape, const attention_subject *at, const bench_task *task,
                      const bench_times *found)
{
    json_t *object = report_attention(&at->of->copies[0], &at->of->work);
    json_object_set_new(object, "op", json_string(bench_op_name(shape->op)));
    report_kernels(object, &at->of->copies[0]);
    if (at->other) {
        json_object_set_new(object, "baseline_seconds", json_real(found->other_median));
        json_object_set_new(object, "baseline_max_difference", json_real(at->difference));
    }
    return bench_print_json(object, task, found);
}

static void print_text(const bench_shape *shape, const attention_subject *at, const bench_task *task,
                       const bench_times *found)
{
    char kernel[128], fragment[128], text[300];
    snprintf(text, sizeof text, "%s (%s)", job_join_names(&at->of->copies[0], JOB_KERNEL_NAMES, kernel, sizeof kernel),
             job_join_names(&at->of->copies[0], JOB_FRAGMENT_NAMES, fragment, sizeof fragment));
    bench_print_text(shape, task, found, text);
    if (at->other)
        printf("      CLBlast, unfused: %.4g ms at the median, %.2f times as long; largest difference %.2g\n",
               found->other_median * 1e3, found->other_median / found->median, at->difference);
}

static int measure_and_print(const bench *of, const bench_shape *shape, attention_subject *at)
{
    const bench_case *on = at->of;
    const bench_task task = { .subject = at,
                              .copies = on->count,
                              .run = run,
                              .run_other = at->other ? run_other : NULL,
                              .peak = on->memory_bound ? BENCH_PEAK_READ : BENCH_PEAK_FMA,
                              .flops = job_flops(&on->work),
                              .bytes = on->memory_bound ? bench_case_kv_bytes(shape) : 0.0 };
    bench_times found;
    int status = check(at);
    if (status == EXIT_DONE)
        status = bench_measure(of, shape, &task, &found);
    if (status != EXIT_DONE)
        return status;
    if (of->as_json)
        return print_json(shape, at, &task, &found);
    print_text(shape, at, &task, &found);
    return EXIT_DONE;
}

int bench_attention_row(const bench *of, const bench_shape *shape)
{
    bench_case on;
    baseline other;
    attention_subject subject = { .of = &on };
    bool with_baseline =
        of->with_baseline && shape->dtype == CLATTN_F32 && shape->page_size == 0 && !shape->window.given;
    int status = bench_case_open(&of->on, shape, &on);
    if (status != EXIT_DONE)
        return status;
    if (with_baseline)
        status = baseline_open(&on.copies[0], &on.work, &other);
    if (status == EXIT_DONE) {
        subject.other = with_baseline ? &other : NULL;
        status = measure_and_print(of, shape, &subject);
        if (with_baseline)
            baseline_close(&other);
    }
    bench_case_close(&on);
    return status;
}
