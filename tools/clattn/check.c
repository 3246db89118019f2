/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_ahead.h"
#include "check_append.h"
#include "check_case.h"
#include "check_copy.h"
#include "check_gather.h"
#include "check_merge.h"
#include "command.h"
#include "kernel/tile.h"
#include "report.h"

/* Dimensions that no tile divides; without --quick also common and extreme ones. */
static const check_dims all_dims[] = { { 20, 4, 40, 23 }, { 4, 4, 64, 64 }, { 7, 1, 128, 96 }, { 2, 1, 576, 512 } };

/* Three tiles of 64 keys and one key. */
#define PREFILL_Q_LEN  77
#define PREFILL_KV_LEN 193

typedef struct tally {
    session on;
    bool quick, as_json;
    int cases, failed, skipped;
} tally;

typedef struct verdict {
    double error, ratio;
    bool passed;
    const char *reason; /* why not */
} verdict;

/* What a line of the report is about. */
typedef struct subject {
    const char *kernel, *fragment, *tile, *dtype, *form, *name;
    int32_t head_dim, v_head_dim;
} subject;

static int print_subject(tally *state, const subject *of, const verdict *found)
{
    state->cases++;
    state->failed += !found->passed;
    if (state->as_json) {
        json_t *line = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:b}", "device",
                                 state->on.info.device_name, "op", "check", "kernel", of->kernel, "fragment",
                                 of->fragment, "tile", of->tile, "dtype", of->dtype, "keys", of->form, "head_dim",
                                 of->head_dim, "v_head_dim", of->v_head_dim, "case", of->name, "passed", found->passed);
        /* JSON has no infinity: what is not finite is null */
        json_object_set_new(line, "max_error", found->error < 1e300 ? json_real(found->error) : json_null());
        json_object_set_new(line, "tolerance_ratio", found->ratio < 1e300 ? json_real(found->ratio) : json_null());
        return report_print(line);
    }
    printf("%-15s %-12s %-38s %-5s %-15s %3d/%-3d %-15s %9.2e %8.3f  %s%s\n", of->kernel, of->fragment, of->tile,
           of->dtype, of->form, of->head_dim, of->v_head_dim, of->name, found->error, found->ratio,
           found->passed ? "pass" : "FAIL: ", found->passed ? "" : found->reason);
    return EXIT_DONE;
}

static int print_verdict(tally *state, const check_problem *problem, const loaded_job *loaded, const verdict *found)
{
    const clattn_attention_desc *desc = &problem->desc;
    char kernel[256], fragment[128], tile[256];
    job_join_names(loaded, JOB_KERNEL_NAMES, kernel, sizeof kernel);
    job_join_names(loaded, JOB_FRAGMENT_NAMES, fragment, sizeof fragment);
    job_join_names(loaded, JOB_TILE_NAMES, tile, sizeof tile);
    const subject of = { .kernel = kernel,
                         .fragment = fragment,
                         .tile = tile,
                         .dtype = clattn_dtype_name(desc->q_dtype),
                         .form = problem->form->name,
                         .name = problem->row->name,
                         .head_dim = desc->head_dim,
                         .v_head_dim = desc->v_head_dim };
    return print_subject(state, &of, found);
}

static bool compare(const check_data *fetched, verdict *out)
{
    ref_inputs in = job_reference(&fetched->job);
    ref_comparison o, lse;
    if (!ref_compare(&fetched->job.desc, &in, fetched->job.o, fetched->job.lse, NULL, &o, &lse))
        return false;
    out->error = o.max_error > lse.max_error ? o.max_error : lse.max_error;
    out->ratio = o.max_ratio > lse.max_ratio ? o.max_ratio : lse.max_ratio;
    bool inside = check_untouched(fetched);
    out->passed = ref_passed(&o) && ref_passed(&lse) && inside;
    out->reason = !ref_passed(&o) ? "O is wrong" : !ref_passed(&lse) ? "LSE is wrong" : "written outside of O or LSE";
    return true;
}

/* The error record, of pages. */
static int compare_record(const loaded_job *loaded, const check_data *data, verdict *found)
{
    clattn_error_record record;
    if (data->job.desc.kv_mode == CLATTN_KV_CONTIGUOUS)
        return EXIT_DONE;
    int status =
        session_read_buffer(loaded->on, "the error record", &loaded->args.error_record, sizeof record, &record);
    if (status == EXIT_DONE && found->passed && !check_record_right(&data->job, data->kv_lens, &record)) {
        found->passed = false;
        found->reason = "the error record is wrong";
    }
    return status;
}

/* One step of a plan, compared with the reference. */
static int check_step(tally *state, const check_problem *problem, loaded_job *loaded, int32_t q_len, int32_t kv_len)
{
    check_data data;
    verdict found = { .passed = false };
    int status = check_fill(problem->row, &problem->desc, q_len, kv_len, &data);
    if (status == EXIT_DONE)
        status = job_load_step(loaded, &data.job);
    if (status == EXIT_DONE)
        status = job_run(loaded, NULL);
    if (status == EXIT_DONE)
        status = job_fetch(loaded, &data.job);
    if (status == EXIT_DONE && !compare(&data, &found))
        status = fail("no memory for the reference of the case '%s'", problem->row->name);
    if (status == EXIT_DONE)
        status = compare_record(loaded, &data, &found);
    if (status == EXIT_DONE)
        status = print_verdict(state, problem, loaded, &found);
    check_free(&data);
    return status;
}

/* Keys enough for two whole splits and a part of a third, whose last tile has one key. */
static int32_t decode_kv_len(const clattn_plan_info *info)
{
    int64_t wanted = 2 * (int64_t)info->split_size + 65;
    return wanted < CHECK_MAX_KV_LEN ? (int32_t)wanted : CHECK_MAX_KV_LEN;
}

/* Two queries where the decode kernel takes them: with one, no stride between rows counts. */
static int32_t decode_q_len(const clattn_plan_info *info, const check_dims *dims)
{
    return 2 * (dims->q_heads / dims->kv_heads) <= info->decode_max_rows ? 2 : 1;
}

/* Traits of the general mask class, whose programs have the code of the others in them. */
#define GENERAL_TRAITS (CASE_SOFTCAP | CASE_ALIBI | CASE_MASK_BOOL | CASE_MASK_F32 | CASE_MASK_F16 | CASE_MASK_BITS)

static int mask_class(const check_case *row)
{
    return row->traits & GENERAL_TRAITS ? 2 : row->traits & (CASE_CAUSAL | CASE_WINDOW) ? 1 : 0;
}

/* With --quick, the fragments that the device does not prefer, and the class without masks, are checked by prefill
 * alone: its products and loads are decode's, and to compile both would take the time of all other checks. */
static bool has_decode(const tally *state, const char *fragment, const check_case *row)
{
    return !state->quick || (strcmp(fragment, state->on.info.fragment) == 0 && mask_class(row) != 0);
}

/* What making a plan with the fragment comes to. CLATTN_UNSUPPORTED: plans of these types cannot have it. */
static clattn_status try_plan(const tally *state, const char *fragment, const clattn_attention_desc *desc)
{
    clattn_plan_params params = CLATTN_PLAN_PARAMS(.fragment = fragment);
    clattn_plan *plan = NULL;
    const clattn_status status = clattn_plan_create(state->on.device, desc, &params, &plan);
    clattn_plan_destroy(&plan);
    return status;
}

static int check_one(tally *state, const char *fragment, const check_problem *problem)
{
    clattn_plan_params params = CLATTN_PLAN_PARAMS(.fragment = fragment);
    loaded_job loaded;
    const clattn_status planned = job_load_plan(&state->on, &problem->desc, &params, &loaded);
    if (planned == CLATTN_UNSUPPORTED)
        return EXIT_DONE; /* such types are others' */
    if (planned != CLATTN_OK)
        return fail_library("the plan cannot be made");
    int status = check_step(state, problem, &loaded, PREFILL_Q_LEN, PREFILL_KV_LEN);
    if (status == EXIT_DONE && has_decode(state, fragment, problem->row))
        status =
            check_step(state, problem, &loaded, decode_q_len(&loaded.info, problem->dims), decode_kv_len(&loaded.info));
    job_unload(&loaded);
    return status;
}

static int print_skipped(tally *state, const char *fragment, const char *reason)
{
    state->skipped++;
    if (state->as_json)
        return report_print(json_pack("{s:s, s:s, s:s, s:s}", "device", state->on.info.device_name, "op", "check",
                                      "fragment", fragment, "skipped", reason));
    printf("%-15s %-12s skipped: %s\n", "", fragment, reason);
    return EXIT_DONE;
}

/* The form that --quick has for the last case, so that trying costs no program of its own. */
static const check_form *form_of_last(void)
{
    const check_form *form = check_forms;
    while (form < check_forms + check_form_count - 1 &&
           !(form->quick_classes >> mask_class(&check_cases[check_case_count - 1]) & 1))
        form++;
    return form;
}

/* The first type in which the device can run the fragment: *dtype; CLATTN_FLOAT_DTYPE_COUNT: in none. Fails when no
 * case could be told from another, as without sources. */
static int try_fragment(tally *state, const char *fragment, int *dtype)
{
    const check_case *last = &check_cases[check_case_count - 1];
    for (*dtype = 0; *dtype < CLATTN_FLOAT_DTYPE_COUNT; (*dtype)++) {
        clattn_attention_desc desc;
        check_describe(last, *dtype == 0 ? form_of_last() : &check_forms[0], &all_dims[0], (clattn_dtype)*dtype, &desc);
        if (!has_decode(state, fragment, last))
            desc.min_q_len = PREFILL_Q_LEN;
        const clattn_status status = try_plan(state, fragment, &desc);
        if (status == CLATTN_IO_ERROR)
            return fail_library("no plan can be made");
        if (status != CLATTN_UNSUPPORTED)
            return EXIT_DONE;
    }
    return print_skipped(state, fragment, clattn_last_error());
}

static bool is_quick(const tally *state, const char *fragment, const check_problem *problem, int dtype)
{
    const check_case *row = problem->row;
    if (!(problem->form->quick_classes >> mask_class(row) & 1))
        return false;
    if (strcmp(fragment, state->on.info.fragment) != 0) /* ragged rows have sequences that are decode's */
        return dtype == CLATTN_F32 && (row->traits & GENERAL_TRAITS) != 0 && !(row->traits & CASE_RAGGED);
    return (row->quick_dtypes >> dtype & 1) != 0;
}

static void list_rows(const tally *state, check_list *list, const check_form *form, const check_dims *dims, int dtype)
{
    for (int i = 0; i < check_case_count; i++) {
        check_problem problem = { .row = &check_cases[i], .form = form, .dims = dims };
        if (state->quick && !is_quick(state, list->fragment, &problem, dtype))
            continue;
        check_describe(problem.row, form, dims, (clattn_dtype)dtype, &problem.desc);
        if (!has_decode(state, list->fragment, problem.row))
            problem.desc.min_q_len = PREFILL_Q_LEN;
        list->problems[list->count++] = problem;
    }
}

/* The first form in all dims and types, unless --quick, the others in the first ones: see check_forms.def. */
static void list_problems(const tally *state, check_list *list, int first_dtype)
{
    const size_t num_dims = sizeof all_dims / sizeof *all_dims;
    for (int form = 0; form < check_form_count; form++) {
        const bool all = form == 0 && !state->quick;
        const int last_dtype = all || state->quick ? CLATTN_FLOAT_DTYPE_COUNT - 1 : first_dtype;
        for (size_t d = 0; d < (all ? num_dims : 1); d++)
            for (int dtype = first_dtype; dtype <= last_dtype; dtype++)
                list_rows(state, list, &check_forms[form], &all_dims[d], dtype);
    }
}

static void check_problems(tally *state, const check_list *list)
{
    check_ahead *ahead = check_ahead_start(&state->on, list);
    for (int i = 0; i < list->count; i++) {
        if (check_one(state, list->fragment, &list->problems[i]) != EXIT_DONE) {
            state->cases++; /* it said why; the other cases still tell something */
            state->failed++;
        }
    }
    check_ahead_stop(ahead);
}

static int check_fragment(tally *state, const char *fragment)
{
    const size_t most = (size_t)check_form_count * (size_t)check_case_count * CLATTN_FLOAT_DTYPE_COUNT *
                        (sizeof all_dims / sizeof *all_dims);
    int first = 0;
    int status = try_fragment(state, fragment, &first);
    if (status != EXIT_DONE || first == CLATTN_FLOAT_DTYPE_COUNT)
        return status;
    check_list list = { .fragment = fragment, .problems = calloc(most, sizeof *list.problems) };
    if (!list.problems)
        return fail("no memory for a list of %zu problems", most);
    list_problems(state, &list, first);
    check_problems(state, &list);
    free(list.problems);
    return EXIT_DONE;
}

/* Operations on paged caches. The first rows of each run with --quick: their programs have most of what others have. */
typedef struct cache_row {
    const char *kernel, *name;
    clattn_dtype from, to, also_to; /* also_to: of values, where append makes keys `to` */
    bool quick;
} cache_row;

static const cache_row cache_rows[] = {
    { "gather", "copied", CLATTN_F32, CLATTN_F32, CLATTN_F32, true },
    { "gather", "copied", CLATTN_F16, CLATTN_F16, CLATTN_F16, true },
    { "gather", "converted", CLATTN_Q8_0, CLATTN_F32, CLATTN_F32, true },
    { "gather", "converted", CLATTN_FP8, CLATTN_F16, CLATTN_F16, false },
    { "gather", "converted", CLATTN_Q4_0, CLATTN_BF16, CLATTN_BF16, false },
    { "append", "copied", CLATTN_F16, CLATTN_F16, CLATTN_F16, true },
    { "append", "to fp8, q8_0", CLATTN_F32, CLATTN_FP8, CLATTN_Q8_0, true },
    { "append", "to q4_0, bf16", CLATTN_F32, CLATTN_Q4_0, CLATTN_BF16, false },
    { "append", "to f16, fp8", CLATTN_BF16, CLATTN_F16, CLATTN_FP8, false },
    { "copy", "odd pages", CLATTN_Q8_0, CLATTN_Q8_0, CLATTN_Q8_0, true },
    { "swap", "odd pages", CLATTN_Q8_0, CLATTN_Q8_0, CLATTN_Q8_0, true },
};

static int run_cache_row(const session *on, const cache_row *row, bool *same)
{
    if (strcmp(row->kernel, "gather") == 0)
        return check_gather(on, row->from, row->to, same);
    if (strcmp(row->kernel, "append") == 0)
        return check_append(on, row->from, row->to, row->also_to, same);
    return strcmp(row->kernel, "copy") == 0 ? check_copy(on, same) : check_swap(on, same);
}

/* Exact, so that there is no error to tell: 0, or infinitely many tolerances. */
static void check_cache_operations(tally *state)
{
    for (size_t i = 0; i < sizeof cache_rows / sizeof *cache_rows; i++) {
        const cache_row *row = &cache_rows[i];
        verdict found = { .reason = "a byte or the error record is wrong" };
        const int32_t dim = check_gather_dim(row->from);
        const subject of = { .kernel = row->kernel,
                             .fragment = "none",
                             .tile = "",
                             .dtype = clattn_dtype_name(row->from),
                             .form = "",
                             .name = row->name,
                             .head_dim = dim,
                             .v_head_dim = dim };
        if (state->quick && !row->quick)
            continue;
        if (run_cache_row(&state->on, row, &found.passed) != EXIT_DONE) {
            state->cases++; /* it said why */
            state->failed++;
            continue;
        }
        found.ratio = found.passed ? 0.0 : (double)INFINITY;
        print_subject(state, &of, &found);
    }
}

static void check_merges(tally *state)
{
    for (clattn_dtype dtype = 0; dtype < CLATTN_FLOAT_DTYPE_COUNT; dtype++) {
        if (state->quick && dtype != CLATTN_F16)
            continue;
        const subject of = { .kernel = "merge",
                             .fragment = "none",
                             .tile = "",
                             .dtype = clattn_dtype_name(dtype),
                             .form = "",
                             .name = "empty parts",
                             .head_dim = CHECK_MERGE_DIM,
                             .v_head_dim = CHECK_MERGE_DIM };
        check_merge_result merged;
        if (check_merge(&state->on, dtype, &merged) != EXIT_DONE) {
            state->cases++; /* it said why */
            state->failed++;
            continue;
        }
        const verdict found = { merged.error, merged.ratio, merged.exact && merged.ratio <= 1.0,
                                merged.exact ? "O or LSE is wrong" : "a copied row or a gap is wrong" };
        print_subject(state, &of, &found);
    }
}

static int print_summary(const tally *state)
{
    int status = EXIT_DONE;
    if (!state->as_json)
        printf("%s: %d of %d cases pass, %d fragments skipped\n", state->on.info.device_name,
               state->cases - state->failed, state->cases, state->skipped);
    if (state->failed > 0 || state->cases == 0)
        status = fail("%d of %d cases fail on %s; all have to pass", state->failed, state->cases,
                      state->on.info.device_name);
    return status;
}

int command_check(const options *given)
{
    tally state = { .quick = given->values[OPTION_check_quick].given,
                    .as_json = given->values[OPTION_check_json].given };
    /* Nobody asks for these programs again; in the disk cache they would push out those of others. */
    const clattn_device_params params = CLATTN_DEVICE_PARAMS(.no_disk = 1);
    int status = session_open_with(given->values[OPTION_check_device].text, &params, &state.on);
    if (status != EXIT_DONE)
        return status;
    if (!state.as_json)
        printf("%-15s %-12s %-38s %-5s %-15s %-7s %-15s %9s %8s\n", "kernel", "fragment", "tile", "dtype", "keys",
               "dims", "case", "error", "of tol.");
    for (int id = 0; id < CLATTN_FRAGMENT_COUNT && status == EXIT_DONE; id++) {
        const clattn_fragment *fragment = clattn_fragment_row((clattn_fragment_id)id);
        if (fragment->role == CLATTN_ROLE_PLAN)
            status = check_fragment(&state, fragment->name);
    }
    if (status == EXIT_DONE) {
        check_cache_operations(&state);
        check_merges(&state);
        status = print_summary(&state);
    }
    session_close(&state.on);
    return status;
}
