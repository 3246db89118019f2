/* SPDX-License-Identifier: BSD-2-Clause */
/* One class: the default, what an earlier run chose, the search, and the record. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tune/run.h"
#include "util/clock.h"
#include "util/status.h"

/* Of the class's time: what tiles of decode leave to split sizes, and what is kept for the last comparison. */
#define SPLITS_SHARE  0.25
#define LAST_SHARE    0.2
#define LAST_SECONDS  2.5
#define FINAL_SECONDS 2.0

static const char *op_name(clattn_tune_op op)
{
    switch (op) {
    case CLATTN_TUNE_ATTENTION:
        return "attention";
    case CLATTN_TUNE_DECODE:
        return "decode";
    case CLATTN_TUNE_GATHER:
        return "gather";
    default:
        return "append";
    }
}

clattn_status clattn_tuned_open(clattn_run *run, size_t row_index, clattn_tuned *of)
{
    clattn_candidate start;
    const clattn_subject_row *row = clattn_subject_row_at(row_index);
    *of = (clattn_tuned){
        .run = run,
        .row_index = row_index,
        .row = row,
        .class = clattn_subject_class(run->device, row),
        .meter = { .device = run->device, .queue = run->queue, .told = run->told_clock },
    };
    clattn_class_name(&of->class, of->name);
    CLATTN_TRY(clattn_run_kernels(run, row->algorithm, of->class.fragment, &of->kernels));
    CLATTN_TRY(clattn_subject_open(run->device, run->queue, row, run->params->seed, &of->subject));
    CLATTN_TRY(clattn_subject_default(of->subject, &start));
    const clattn_tile_problem problem = clattn_subject_tile_problem(of->subject);
    if (!clattn_points_make(&start, &problem, clattn_device_probed(run->device), &of->points))
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the tiles of a search space");
    clattn_tile_name(&start.tile, of->default_tile);
    clattn_run_clear(run);
    run->progress.tile = of->default_tile;
    run->progress.split_size = start.split_size;
    return CLATTN_OK;
}

void clattn_tuned_close(clattn_tuned *of)
{
    if (of->best.trial != of->first.trial)
        clattn_contender_close(&of->best);
    clattn_contender_close(&of->first);
    clattn_points_free(&of->points);
    if (of->subject)
        clattn_subject_close(of->subject);
    of->run->told_clock = of->meter.told;
}

void clattn_tuned_tell(clattn_tuned *of, clattn_tune_event event)
{
    int32_t splits[CLATTN_POINTS_MAX_SPLITS];
    clattn_tune_progress *progress = &of->run->progress;
    size_t candidates = of->points.count;
    if (of->row->algorithm == CLATTN_ALGORITHM_DECODE)
        candidates += (size_t)clattn_points_splits(&of->points.candidates[0].tile, of->row->kv_len, splits) - 1;
    progress->op = op_name(of->row->op);
    progress->class_name = of->name;
    progress->candidate = of->tried;
    progress->candidates = (int)candidates > of->tried ? (int)candidates : of->tried;
    progress->best_seconds = of->best.seconds;
    progress->default_seconds = of->first.seconds;
    progress->default_tile = of->default_tile;
    progress->work = clattn_subject_work(of->subject);
    progress->shape = clattn_subject_shape(of->subject);
    clattn_run_tell(of->run, event);
}

/* What an earlier run found is not lost to one that finds less in less time. */
static void try_earlier(clattn_tuned *of)
{
    const clattn_record_entry *entry = clattn_record_find(&of->run->own, &of->class);
    if (!entry)
        return;
    of->seen = (clattn_candidate){ .tile = entry->tile, .split_size = entry->split_size };
    if (clattn_candidate_equal(&of->seen, &of->first.candidate))
        return;
    of->seen_answer = clattn_tuned_try(of, &of->seen, &of->seen_cost);
    of->has_seen = of->seen_answer != CLATTN_SEARCH_STOP;
}

static clattn_search_answer try_point(void *user, size_t index, double *cost)
{
    clattn_tuned *of = user;
    const clattn_candidate *candidate = &of->points.candidates[index];
    if (index == of->points.start) { /* it was the first */
        *cost = of->first.cost;
        return CLATTN_SEARCH_MEASURED;
    }
    if (!of->has_seen || !clattn_candidate_equal(candidate, &of->seen))
        return clattn_tuned_try(of, candidate, cost);
    *cost = of->seen_cost;
    return of->seen_answer;
}

/* Returns whether all were tried. */
static bool search_tiles(clattn_tuned *of, double end)
{
    clattn_search_result result = { 0 };
    const clattn_search search = { of->points.places,     of->points.count, of->points.start,
                                   of->run->params->seed, try_point,        of };
    of->end = end;
    if (!clattn_search_run(&search, &result))
        of->status = clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a search");
    return result.exhaustive;
}

/* With the best tile; no program is compiled for them. */
static bool search_splits(clattn_tuned *of, double end)
{
    int32_t splits[CLATTN_POINTS_MAX_SPLITS];
    clattn_candidate candidate = of->best.candidate;
    const int32_t tried = candidate.split_size;
    const int count = clattn_points_splits(&candidate.tile, of->row->kv_len, splits);
    clattn_search_answer answer = CLATTN_SEARCH_MEASURED;
    of->end = end;
    for (int i = 0; i < count && answer != CLATTN_SEARCH_STOP; i++) {
        double cost = 0;
        candidate.split_size = splits[i];
        if (splits[i] != tried && !(of->has_seen && clattn_candidate_equal(&candidate, &of->seen)))
            answer = clattn_tuned_try(of, &candidate, &cost);
    }
    return answer != CLATTN_SEARCH_STOP;
}

/* Default and best once more, in turns: what is not faster then was luck, and the default stays. */
static clattn_status settle(clattn_tuned *of)
{
    clattn_comparison result;
    if (of->best.trial == of->first.trial)
        return CLATTN_OK;
    of->meter.deadline = clattn_clock_seconds() + FINAL_SECONDS;
    CLATTN_TRY(clattn_measure(&of->meter, &of->first.timed, &of->best.timed, &result));
    of->run->progress.clock = result.by_events ? "events" : "wall";
    of->first.seconds = result.incumbent;
    of->best.seconds = result.incumbent * result.ratio; /* medians of a disturbed host may be in another order */
    if (result.faster)
        return CLATTN_OK;
    clattn_contender_close(&of->best);
    of->best = of->first;
    return CLATTN_OK;
}

static clattn_status record(const clattn_tuned *of, bool exhaustive)
{
    const clattn_run *run = of->run;
    clattn_record_entry entry = {
        .class = of->class,
        .tile = of->best.candidate.tile,
        .split_size = of->best.candidate.split_size,
        .driver = (char *)run->driver,
        .library = (char *)clattn_version(),
        .kernels = (char *)of->kernels,
        .date = (char *)run->date,
        .seconds = of->best.seconds,
        .default_seconds = of->first.seconds,
        .points = of->measured,
        .exhaustive = exhaustive,
    };
    const clattn_record changes = { .device = clattn_records_device(run->device), .entries = &entry, .entry_count = 1 };
    return clattn_record_merge(run->folder, &changes, clattn_run_refuse, of->run);
}

static void tell_result(clattn_tuned *of, bool exhaustive)
{
    clattn_tune_progress *progress = &of->run->progress;
    clattn_tile_name(&of->best.candidate.tile, of->tile);
    progress->tile = of->tile;
    progress->split_size = of->best.candidate.split_size;
    progress->seconds = of->best.seconds;
    progress->exhaustive = exhaustive;
    progress->outcome = CLATTN_TUNE_FASTER;
    clattn_tuned_tell(of, CLATTN_TUNE_CLASS_DONE);
}

/* A class that compared nothing says nothing. */
static clattn_status finish(clattn_tuned *of, bool exhaustive)
{
    clattn_run *run = of->run;
    CLATTN_TRY(settle(of));
    if (of->measured < 2 && !exhaustive)
        return CLATTN_OK;
    CLATTN_TRY(record(of, exhaustive));
    if (run->journal && !run->cancelled && clattn_journal_end_class(run->journal, of->name, of->kernels) != CLATTN_OK)
        clattn_log(run->device, CLATTN_LOG_WARN, "%s", clattn_last_error());
    tell_result(of, exhaustive);
    return CLATTN_OK;
}

static clattn_status search(clattn_tuned *of, double end)
{
    const double begin = clattn_clock_seconds();
    const double search_end = isfinite(end) ? end - fmin(LAST_SECONDS, LAST_SHARE * (end - begin)) : end;
    const bool has_splits = of->row->algorithm == CLATTN_ALGORITHM_DECODE;
    const double tiles_end =
        has_splits && isfinite(end) ? search_end - SPLITS_SHARE * (search_end - begin) : search_end;
    of->end = search_end;
    if (clattn_tuned_try_default(of) != CLATTN_SEARCH_MEASURED)
        return of->status;
    try_earlier(of);
    bool exhaustive = search_tiles(of, tiles_end);
    if (has_splits)
        exhaustive = search_splits(of, search_end) && exhaustive;
    CLATTN_TRY(of->status);
    return finish(of, exhaustive && of->run->worker);
}

/* A class that an earlier run is done with. */
static void tell_earlier(clattn_tuned *of, const clattn_record_entry *entry)
{
    of->best = of->first = (clattn_contender){ .seconds = entry->default_seconds };
    of->best.candidate = (clattn_candidate){ .tile = entry->tile, .split_size = entry->split_size };
    of->best.seconds = entry->seconds;
    of->tried = of->measured = entry->points;
    tell_result(of, entry->exhaustive);
}

static clattn_status run_open(clattn_tuned *of, double end)
{
    const clattn_run *run = of->run;
    const clattn_record_entry *entry = clattn_record_find(&of->run->own, &of->class);
    clattn_tuned_tell(of, CLATTN_TUNE_CLASS_STARTED);
    if (!entry || !run->journal || !clattn_journal_has_class(run->journal, of->name, of->kernels))
        return search(of, end);
    tell_earlier(of, entry);
    return CLATTN_OK;
}

clattn_status clattn_tuned_run(clattn_run *run, size_t row_index, double end)
{
    clattn_tuned of;
    clattn_status status = clattn_tuned_open(run, row_index, &of);
    if (status == CLATTN_OK)
        status = run_open(&of, end);
    if (status == CLATTN_INVALID_ARGUMENT || status == CLATTN_IO_ERROR) {
        clattn_tuned_close(&of);
        return status;
    }
    if (status != CLATTN_OK)
        clattn_log(run->device, CLATTN_LOG_ERROR, "'%s' cannot be tuned: %s", of.name, clattn_last_error());
    clattn_tuned_close(&of);
    return CLATTN_OK;
}
