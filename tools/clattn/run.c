/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "problem.h"
#include "report.h"
#include "timing.h"

static int compute(const loaded_job *loaded, const timing *times)
{
    int status = job_run(loaded, NULL);
    for (int i = 0; i < times->count && status == EXIT_DONE; i++)
        status = job_run(loaded, &times->seconds[i]);
    return status;
}

/* bf16 has no type in .npy: it is written as f32. In place of O, so that no second copy stays. */
static int widen_output(problem *solved)
{
    job *work = &solved->job;
    size_t elements = work->o_size / sizeof(uint16_t);
    if (solved->dtype != CLATTN_BF16)
        return EXIT_DONE;
    float *wide = malloc(elements ? elements * sizeof *wide : 1);
    if (!wide)
        return fail("--out: no memory for %zu bytes", elements * sizeof *wide);
    for (size_t i = 0; i < elements; i++)
        wide[i] = ref_f32_from_bf16(((const uint16_t *)work->o)[i]);
    free(work->o);
    work->o = wide;
    work->o_size = elements * sizeof *wide;
    return EXIT_DONE;
}

static int write_outputs(const problem *solved, outputs *files)
{
    char header[NPY_HEADER_MAX];
    npy_type type = solved->dtype == CLATTN_F16 ? NPY_F16 : NPY_F32;
    size_t size = npy_format_header(type, solved->out_rank, solved->out_shape, header);
    int status = outputs_write(files, 0, header, size, solved->job.o, solved->job.o_size);
    if (status != EXIT_DONE || !solved->job.lse)
        return status;
    size = npy_format_header(NPY_F32, solved->out_rank - 1, solved->out_shape, header);
    return outputs_write(files, 1, header, size, solved->job.lse, solved->job.lse_size);
}

static void print_pages(const problem *solved)
{
    const clattn_attention_desc *desc = &solved->job.desc;
    char types[32];
    if (desc->kv_mode == CLATTN_KV_CONTIGUOUS)
        return;
    printf("K and V in %s, %d pages of %d tokens, at most %d a sequence\n",
           report_kv_dtype(desc->k_dtype, desc->v_dtype, types, sizeof types), desc->pages, desc->page_size,
           desc->max_pages);
    if (solved->job.append)
        printf("runs append: before attention, %d times\n", solved->append.runs);
}

static void print_explanation(const problem *solved, const loaded_job *loaded)
{
    const clattn_plan_info *info = &loaded->info;
    printf("tuning level %s, workspace %zu bytes, split size %d keys\n", job_tuning_level(loaded), info->workspace_size,
           job_split_size(loaded));
    print_pages(solved);
    for (int i = 0; i < info->num_kernels; i++) {
        const clattn_kernel_info *kernel = &info->kernels[i];
        printf("%s %s: fragment %s, tile %s (%s%s%s), work-group %zu, local memory %llu bytes, options %s\n",
               loaded->kernels >> i & 1 ? "runs" : "does not run", kernel->kernel, kernel->fragment, kernel->tile,
               kernel->tuning_level, *kernel->tuning_source ? ", by " : "", kernel->tuning_source,
               kernel->work_group_size, (unsigned long long)kernel->local_mem_size, kernel->options);
    }
    if (*info->refused)
        printf("refused:\n%s\n", info->refused);
}

static json_t *list_kernels(const problem *solved, const loaded_job *loaded)
{
    const clattn_plan_info *info = &loaded->info;
    json_t *kernels = json_array();
    if (solved->job.append)
        json_array_append_new(kernels, json_pack("{s:s, s:s, s:b}", "kernel", "append", "fragment", "none", "runs", 1));
    for (int i = 0; i < info->num_kernels; i++) {
        const clattn_kernel_info *kernel = &info->kernels[i];
        json_array_append_new(
            kernels, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b}", "kernel", kernel->kernel, "fragment",
                               kernel->fragment, "tile", kernel->tile, "tuning_level", kernel->tuning_level,
                               "tuning_source", kernel->tuning_source, "options", kernel->options, "work_group_size",
                               (json_int_t)kernel->work_group_size, "local_mem_size",
                               (json_int_t)kernel->local_mem_size, "runs", (int)(loaded->kernels >> i & 1)));
    }
    return kernels;
}

static void explain_in_json(json_t *object, const problem *solved, const loaded_job *loaded)
{
    json_object_set_new(object, "kernels", list_kernels(solved, loaded));
    json_object_set_new(object, "workspace_size", json_integer((json_int_t)loaded->info.workspace_size));
    json_object_set_new(object, "refused", json_string(loaded->info.refused));
    if (solved->job.desc.kv_mode == CLATTN_KV_CONTIGUOUS)
        return;
    json_object_set_new(object, "pages", json_integer(solved->job.desc.pages));
    json_object_set_new(object, "max_pages", json_integer(solved->job.desc.max_pages));
}

static int print_json(const options *given, const problem *solved, const loaded_job *loaded, const timing *times)
{
    json_t *object = report_attention(loaded, &solved->job);
    if (object && solved->layout == LAYOUT_THD)
        json_object_set_new(object, "q_tokens", json_integer(solved->q.length));
    if (object && solved->layout == LAYOUT_THD && !solved->has_cache)
        json_object_set_new(object, "kv_tokens", json_integer(solved->k.length));
    if (solved->pages.page_size > 0) {
        const option_value *order = &given->values[OPTION_run_page_order];
        json_object_set_new(object, "page_order", json_string(order->given ? order->text : "shuffled"));
        json_object_set_new(object, "seed", json_integer(given->values[OPTION_run_seed].integer));
    }
    json_object_set_new(object, "layout",
                        json_string(solved->layout == LAYOUT_BHSD   ? "bhsd"
                                    : solved->layout == LAYOUT_BSHD ? "bshd"
                                                                    : "thd"));
    report_times(object, &solved->job, times->seconds, times->count);
    json_object_set_new(object, "repeat", json_integer(times->count));
    report_kernels(object, loaded);
    if (given->values[OPTION_run_explain].given)
        explain_in_json(object, solved, loaded);
    return report_print(object);
}

static int print_result(const options *given, const problem *solved, const loaded_job *loaded, const timing *times)
{
    char text[512];
    if (given->values[OPTION_run_json].given)
        return print_json(given, solved, loaded, times);
    printf("%s: attention in %s by %s", loaded->on->info.device_name, clattn_dtype_name(solved->dtype),
           job_join_names(loaded, JOB_KERNEL_NAMES, text, sizeof text));
    printf(" (%s)", job_join_names(loaded, JOB_FRAGMENT_NAMES, text, sizeof text));
    if (times->count > 0) {
        double median = job_median(times->seconds, times->count);
        printf(", %.6g s at the median of %d runs, %.4g s at best, %.4g GFLOP/s", median, times->count,
               times->seconds[0], job_flops(&solved->job) / median * 1e-9);
    }
    putchar('\n');
    if (given->values[OPTION_run_explain].given)
        print_explanation(solved, loaded);
    return EXIT_DONE;
}

/* The plan is made before anything is uploaded, the report printed before files appear: a failure leaves nothing. */
static int solve(const options *given, const session *on, problem *subject, const timing *times, outputs *files)
{
    const option_value *split = &given->values[OPTION_run_split_size];
    clattn_plan_params params = CLATTN_PLAN_PARAMS(.split_size = (int32_t)split->integer);
    loaded_job loaded;
    int status = job_load(on, &subject->job, &params, &loaded);
    if (status != EXIT_DONE)
        return status;
    status = compute(&loaded, times);
    if (status == EXIT_DONE)
        status = job_fetch(&loaded, &subject->job);
    if (status == EXIT_DONE)
        status = print_result(given, subject, &loaded, times);
    if (status == EXIT_DONE)
        status = widen_output(subject);
    if (status == EXIT_DONE)
        status = write_outputs(subject, files);
    if (status == EXIT_DONE)
        status = finish_stdout();
    if (status == EXIT_DONE)
        status = outputs_commit(files);
    job_unload(&loaded);
    return status;
}

static int check_split_size(const option_value *split)
{
    if (split->given && (split->integer < 1 || split->integer > INT32_MAX))
        return fail("--split-size is %s; it has to be 1 to %d", split->text, INT32_MAX);
    return EXIT_DONE;
}

int command_run(const options *given)
{
    problem subject = { .batch = 0 };
    timing times = { .count = 0 };
    outputs files = { .count = 0 };
    session on;
    outputs_add(&files, "--out", given->values[OPTION_run_out].text);
    if (given->values[OPTION_run_lse].given)
        outputs_add(&files, "--lse", given->values[OPTION_run_lse].text);
    int status = check_split_size(&given->values[OPTION_run_split_size]);
    if (status == EXIT_DONE)
        status = timing_make(&given->values[OPTION_run_repeat], given->values[OPTION_run_json].given, &times);
    if (status == EXIT_DONE)
        status = problem_load(given, &subject);
    problem_add_inputs(&subject, &files);
    if (status == EXIT_DONE)
        status = outputs_check(&files);
    if (status == EXIT_DONE)
        status = session_open(given->values[OPTION_run_device].text, &on);
    if (status == EXIT_DONE) {
        status = solve(given, &on, &subject, &times, &files);
        session_close(&on);
    }
    outputs_discard(&files);
    problem_free(&subject);
    timing_free(&times);
    return status;
}
