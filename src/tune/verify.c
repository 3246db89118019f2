/* SPDX-License-Identifier: BSD-2-Clause */
/* Entries of a record against the built-in defaults, again. */
#include <math.h>

#include "tune/run.h"
#include "tune/tune.h"
#include "util/clock.h"
#include "util/status.h"

#define CLASS_SECONDS 5.0

/* The row that has the entry's class; false: there is none. */
static bool find_row(const clattn_run *run, const clattn_record_entry *entry, size_t *out)
{
    const clattn_subject_row *row;
    for (size_t i = 0; (row = clattn_subject_row_at(i)) != NULL; i++) {
        const clattn_tuning_class class = clattn_subject_class(run->device, row);
        *out = i;
        if (clattn_class_equal(&class, &entry->class))
            return true;
    }
    return false;
}

static bool is_wanted(const clattn_run *run, size_t row)
{
    return !run->params->ops || (run->params->ops & (unsigned)clattn_subject_row_at(row)->op) != 0;
}

/* The recorded choice is the incumbent: it loses when the default is faster by more than the noise. */
static void tell(clattn_tuned *of, const clattn_record_entry *entry, const clattn_comparison *result)
{
    clattn_tune_progress *progress = &of->run->progress;
    const bool same = of->best.trial == of->first.trial;
    of->best.seconds = result->incumbent;
    of->first.seconds = same ? result->incumbent : result->incumbent * result->ratio;
    progress->outcome = !same && result->faster ? CLATTN_TUNE_NOT_FASTER : CLATTN_TUNE_FASTER;
    of->tried = of->measured = entry->points;
    progress->clock = result->by_events ? "events" : "wall";
    progress->seconds = result->incumbent;
    progress->exhaustive = entry->exhaustive;
    clattn_tuned_tell(of, CLATTN_TUNE_CLASS_DONE);
}

static clattn_status compare(clattn_tuned *of, const clattn_record_entry *entry)
{
    clattn_comparison result;
    const clattn_candidate recorded = { .tile = entry->tile, .split_size = entry->split_size };
    clattn_tile_name(&entry->tile, of->tile);
    of->run->progress.tile = of->tile;
    of->run->progress.split_size = entry->split_size;
    clattn_tuned_tell(of, CLATTN_TUNE_CLASS_STARTED);
    CLATTN_TRY(clattn_contender_open(of, &of->points.candidates[of->points.start], &of->first));
    of->best = of->first;
    if (!clattn_candidate_equal(&recorded, &of->first.candidate))
        CLATTN_TRY(clattn_contender_open(of, &recorded, &of->best));
    of->meter.deadline = fmin(of->run->end, clattn_clock_seconds() + CLASS_SECONDS);
    CLATTN_TRY(clattn_measure(&of->meter, &of->best.timed, &of->first.timed, &result));
    tell(of, entry, &result);
    return CLATTN_OK;
}

static void recheck(clattn_run *run, const clattn_record_entry *entry, size_t row)
{
    clattn_tuned of;
    clattn_status status = clattn_tuned_open(run, row, &of);
    if (status == CLATTN_OK)
        status = compare(&of, entry);
    if (status != CLATTN_OK)
        clattn_log(run->device, CLATTN_LOG_ERROR, "line %d of the record, '%s', cannot be measured: %s", entry->line,
                   of.name, clattn_last_error());
    clattn_tuned_close(&of);
}

static clattn_status recheck_all(clattn_run *run)
{
    size_t row = 0;
    for (size_t i = 0; i < run->own.entry_count; i++)
        run->progress.class_count += find_row(run, &run->own.entries[i], &row) && is_wanted(run, row);
    for (size_t i = 0; i < run->own.entry_count && !run->cancelled && clattn_clock_seconds() < run->end; i++) {
        if (!find_row(run, &run->own.entries[i], &row) || !is_wanted(run, row))
            continue;
        recheck(run, &run->own.entries[i], row);
        run->progress.class_index++;
    }
    const bool cancelled = run->cancelled;
    clattn_run_clear(run);
    clattn_run_tell(run, CLATTN_TUNE_FINISHED);
    return cancelled ? clattn_fail(CLATTN_CANCELLED, "the progress callback asked for an end after %d of %d entries",
                                   run->progress.class_index, run->progress.class_count)
                     : CLATTN_OK;
}

clattn_status clattn_tune_recheck(clattn_device *device, const clattn_tune_params *params, const char *folder)
{
    clattn_run run;
    CLATTN_TRY(clattn_run_open(device, params, folder, false, &run));
    const clattn_status status = recheck_all(&run);
    clattn_run_close(&run, false);
    return status;
}
