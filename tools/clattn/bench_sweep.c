/* SPDX-License-Identifier: BSD-2-Clause */
/* clattn bench --sweep: every tile of the search space for one shape, timed in turns with the plan's own choice. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_case.h"
#include "command.h"
#include "kernel/tile.h"
#include "plan/problem.h"
#include "report.h"
#include "tune/points.h"

enum { FINALISTS = 3, MIN_TURNS = 3, MAX_TURNS = 200 };
/* How long a point is timed, and a finalist. One that is as much slower than the choice is not timed in turns. */
static const double POINT_SECONDS = 0.15, FINAL_SECONDS = 1.0, TOO_SLOW = 1.25;

typedef struct point {
    char tile[CLATTN_TILE_NAME_SIZE];
    int32_t split_size; /* 0: the kernel has none */
    double ratio;       /* its time over the choice's; 0: not measured */
} point;

typedef struct sweep {
    const bench *with;
    const bench_shape *shape;
    const bench_case *of;
    clattn_algorithm algorithm; /* of the kernel that the shape takes */
    clattn_fragment_id fragment;
    char choice[CLATTN_TILE_NAME_SIZE];
    int32_t choice_split;
    double seconds; /* the choice's median */
    int turn;       /* counts runs, which rotate over the copies of K and V */
    point *points;
    int count, room, measured;
} sweep;

/* Exit status, as for all below that return int. */
static int find_kernel(sweep *of)
{
    const loaded_job *choice = &of->of->copies[0];
    for (int i = 0; i < choice->info.num_kernels; i++) {
        const clattn_kernel_info *kernel = &choice->info.kernels[i];
        const clattn_algorithm algorithm = clattn_algorithm_named(kernel->kernel);
        if (!(choice->kernels >> i & 1) || algorithm == CLATTN_ALGORITHM_COMBINE)
            continue;
        of->algorithm = algorithm;
        of->fragment = clattn_fragment_of_kernel(algorithm, kernel->fragment);
        of->choice_split = job_split_size(choice);
        snprintf(of->choice, sizeof of->choice, "%s", kernel->tile);
        return EXIT_DONE;
    }
    return fail("no kernel with tiles runs for this shape");
}

static int add_point(sweep *to, const clattn_tile *tile, int32_t split_size)
{
    if (to->count == to->room) {
        const int room = to->room ? 2 * to->room : 64;
        point *points = realloc(to->points, (size_t)room * sizeof *points);
        if (!points)
            return fail("no memory for %d points", room);
        to->points = points;
        to->room = room;
    }
    point *added = &to->points[to->count++];
    *added = (point){ .split_size = split_size };
    clattn_tile_name(tile, added->tile);
    return EXIT_DONE;
}

/* A decode tile comes with each split size that the tuner would try. */
static int add_tile(sweep *to, const clattn_tile *tile)
{
    int32_t splits[CLATTN_POINTS_MAX_SPLITS];
    int status = EXIT_DONE;
    if (to->algorithm != CLATTN_ALGORITHM_DECODE)
        return add_point(to, tile, 0);
    const int count = clattn_points_splits(tile, to->shape->kv_len, splits);
    for (int i = 0; i < count && status == EXIT_DONE; i++)
        status = add_point(to, tile, splits[i]);
    return status;
}

static int list_points(sweep *to)
{
    const clattn_device_info *info = &to->with->on.info;
    clattn_problem described;
    if (clattn_problem_init(&described, &to->of->work.desc) != CLATTN_OK)
        return fail_library("the shape has no plan");
    const clattn_tile_problem problem = clattn_problem_of_tile(&described, to->fragment);
    int status = EXIT_DONE;
    for (size_t i = 0; i < clattn_space_size(to->algorithm, to->fragment) && status == EXIT_DONE; i++) {
        clattn_tile tile;
        char why[256];
        clattn_space_point(to->algorithm, to->fragment, i, &tile);
        if (clattn_tile_in_space(&tile, why, sizeof why) && clattn_tile_fits(&tile, &problem, info, why, sizeof why) &&
            (to->with->sweep == BENCH_SWEEP_ALL || clattn_tile_suits(&tile, &problem, info, why, sizeof why)))
            status = add_tile(to, &tile);
    }
    return status;
}

/* The point's plan, on the buffers of the case. False when it is not built, or its tile leaves the shape to another
 * kernel. */
static bool open_trial(const sweep *of, const point *at, loaded_job *out)
{
    const loaded_job *choice = &of->of->copies[0];
    const bool decodes = of->algorithm == CLATTN_ALGORITHM_DECODE;
    const clattn_plan_params params = { .struct_size = sizeof params,
                                        .prefill_tile = decodes ? NULL : at->tile,
                                        .decode_tile = decodes ? at->tile : NULL,
                                        .split_size = at->split_size };
    *out = (loaded_job){ .on = choice->on, .args = choice->args };
    if (clattn_plan_create(choice->on->device, &of->of->work.desc, &params, &out->plan) != CLATTN_OK)
        return false;
    out->args.workspace.handle = NULL;
    if (clattn_plan_describe(out->plan, &out->info) == CLATTN_OK &&
        clattn_schedule_make(out->plan, &of->of->work.lengths, &out->schedule) == CLATTN_OK) {
        char kernels[128];
        out->kernels = clattn_schedule_kernels(out->plan, &out->schedule);
        job_join_names(out, JOB_KERNEL_NAMES, kernels, sizeof kernels);
        if (strstr(kernels, clattn_algorithm_name(of->algorithm)) &&
            session_make_buffer(out->on, "the workspace", out->info.workspace_size, NULL, &out->args.workspace) ==
                EXIT_DONE)
            return true;
    }
    clattn_plan_destroy(&out->plan);
    return false;
}

static void close_trial(loaded_job *trial)
{
    session_free_buffer(&trial->args.workspace);
    clattn_plan_destroy(&trial->plan);
}

/* Runs the trial, or the choice for NULL. */
static int run(sweep *of, const loaded_job *trial, double *seconds)
{
    loaded_job copy = of->of->copies[of->turn++ % of->of->count];
    if (trial) {
        const clattn_buffer workspace = trial->args.workspace;
        copy.plan = trial->plan;
        copy.schedule = trial->schedule;
        copy.kernels = trial->kernels;
        copy.args.workspace = workspace;
    }
    return job_run(&copy, seconds);
}

/* In turns with the choice, for `seconds`; *ratio of the medians. */
static int time_in_turns(sweep *of, const loaded_job *trial, double once, double seconds, double *ratio)
{
    double own[MAX_TURNS], other[MAX_TURNS];
    const int wanted = (int)fmin(seconds / (once + of->seconds), MAX_TURNS);
    const int turns = wanted < MIN_TURNS ? MIN_TURNS : wanted;
    int status = EXIT_DONE;
    for (int i = 0; i < turns && status == EXIT_DONE; i++) {
        status = run(of, trial, &own[i]);
        if (status == EXIT_DONE)
            status = run(of, NULL, &other[i]);
    }
    if (status == EXIT_DONE)
        *ratio = job_median(own, turns) / job_median(other, turns);
    return status;
}

static int measure_trial(sweep *of, const loaded_job *trial, double *ratio)
{
    double first = 0.0, second = 0.0;
    int status = run(of, trial, NULL);
    if (status == EXIT_DONE)
        status = run(of, trial, &first);
    if (status == EXIT_DONE && first > TOO_SLOW * of->seconds)
        status = run(of, trial, &second);
    else
        second = first;
    const double once = fmin(first, second);
    *ratio = once / of->seconds;
    if (status != EXIT_DONE || once > TOO_SLOW * of->seconds)
        return status;
    return time_in_turns(of, trial, once, POINT_SECONDS, ratio);
}

static int print_point(const sweep *of, const point *at)
{
    if (of->with->as_json)
        return report_print(json_pack("{s:s, s:s, s:i, s:f, s:f}", "op", "point", "tile", at->tile, "split_size",
                                      at->split_size, "seconds_median", at->ratio * of->seconds, "ratio", at->ratio));
    printf("%10.4g ms  %6.3f  %s", at->ratio * of->seconds * 1e3, at->ratio, at->tile);
    if (at->split_size > 0)
        printf(" split %d", at->split_size);
    putchar('\n');
    return EXIT_DONE;
}

static int measure_point(sweep *of, point *at)
{
    loaded_job trial;
    if (!open_trial(of, at, &trial))
        return EXIT_DONE;
    int status = measure_trial(of, &trial, &at->ratio);
    close_trial(&trial);
    of->measured++;
    if (status == EXIT_DONE)
        status = print_point(of, at);
    return status == EXIT_DONE ? finish_stdout() : status;
}

static int measure_choice(sweep *of)
{
    double seconds[MAX_TURNS], spent = 0.0;
    int count = 0, status = EXIT_DONE;
    for (int i = 0; i < of->of->count && status == EXIT_DONE; i++)
        status = run(of, NULL, NULL);
    while (status == EXIT_DONE && count < MAX_TURNS && (count < MIN_TURNS || spent < FINAL_SECONDS / 2)) {
        status = run(of, NULL, &seconds[count]);
        spent += seconds[count++];
    }
    if (status == EXIT_DONE)
        of->seconds = job_median(seconds, count);
    return status;
}

/* Points that were not measured come last. */
static int compare_points(const void *a, const void *b)
{
    const point *x = a, *y = b;
    if ((x->ratio > 0) != (y->ratio > 0))
        return x->ratio > 0 ? -1 : 1;
    return (x->ratio > y->ratio) - (x->ratio < y->ratio);
}

/* The least of many times is less than the truth, so that the first ones are timed again, and their results count. */
static int time_finalist(sweep *of, point *at)
{
    loaded_job trial;
    if (!open_trial(of, at, &trial))
        return fail("tile %s was built once and is not built again", at->tile);
    int status = run(of, &trial, NULL);
    if (status == EXIT_DONE)
        status = bench_case_check(of->of);
    if (status == EXIT_DONE)
        status = time_in_turns(of, &trial, at->ratio * of->seconds, FINAL_SECONDS, &at->ratio);
    close_trial(&trial);
    return status;
}

static int find_best(sweep *of)
{
    qsort(of->points, (size_t)of->count, sizeof *of->points, compare_points);
    int finalists = 0, status = EXIT_DONE;
    while (finalists < FINALISTS && finalists < of->count && of->points[finalists].ratio > 0 && status == EXIT_DONE)
        status = time_finalist(of, &of->points[finalists++]);
    qsort(of->points, (size_t)finalists, sizeof *of->points, compare_points);
    return status;
}

/* What part of the best speed the choice has: at most 1, since it is a point itself. */
static double efficiency(const sweep *of)
{
    return of->measured > 0 ? fmin(of->points[0].ratio, 1.0) : 1.0;
}

static int print_summary(const sweep *of)
{
    const point *best = &of->points[0];
    const char *level = job_tuning_level(&of->of->copies[0]);
    if (of->measured == 0)
        return fail("no point of the search space runs on this device");
    if (!of->with->as_json) {
        printf("choice: %s split %d (%s), %.4g ms; best: %s split %d, %.4g ms; the choice has %.3f of the best speed; "
               "%d points\n",
               of->choice, of->choice_split, level, of->seconds * 1e3, best->tile, best->split_size,
               best->ratio * of->seconds * 1e3, efficiency(of), of->measured);
        return EXIT_DONE;
    }
    json_t *object = report_attention(&of->of->copies[0], &of->of->work);
    json_object_set_new(object, "op", json_string(bench_op_name(of->shape->op)));
    report_kernels(object, &of->of->copies[0]);
    json_object_set_new(object, "tile", json_string(of->choice));
    json_object_set_new(object, "seconds_median", json_real(of->seconds));
    json_object_set_new(object, "best_tile", json_string(best->tile));
    json_object_set_new(object, "best_split_size", json_integer(best->split_size));
    json_object_set_new(object, "best_seconds", json_real(best->ratio * of->seconds));
    json_object_set_new(object, "efficiency", json_real(efficiency(of)));
    json_object_set_new(object, "points", json_integer(of->measured));
    json_object_set_new(object, "refused", json_integer(of->count - of->measured));
    return report_print(object);
}

static int measure(sweep *of)
{
    int status = find_kernel(of);
    if (status == EXIT_DONE)
        status = list_points(of);
    if (status == EXIT_DONE)
        status = measure_choice(of);
    for (int i = 0; i < of->count && status == EXIT_DONE; i++)
        status = measure_point(of, &of->points[i]);
    if (status == EXIT_DONE)
        status = find_best(of);
    return status == EXIT_DONE ? print_summary(of) : status;
}

int bench_sweep_row(const bench *with, const bench_shape *shape)
{
    bench_case on;
    int status = bench_case_open(&with->on, shape, &on);
    if (status != EXIT_DONE)
        return status;
    sweep of = { .with = with, .shape = shape, .of = &on };
    status = measure(&of);
    free(of.points);
    bench_case_close(&on);
    return status;
}
