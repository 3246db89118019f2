/* SPDX-License-Identifier: BSD-2-Clause */
/* A run: which classes, and how much time each has. */
#include "tune/tune.h"

#include <math.h>

#include "tune/run.h"
#include "util/clock.h"
#include "util/status.h"

/* Seconds of a class: for the default and some candidates, on a driver that takes a second to compile. */
#define LEAST_SHARE 15.0

enum { MAX_ROWS = 512 };

typedef struct rows {
    size_t indices[MAX_ROWS];
    int count;
} rows;

static bool is_wanted(const clattn_run *run, const clattn_subject_row *row)
{
    const clattn_tuning_class class = clattn_subject_class(run->device, row);
    return (!run->params->ops || (run->params->ops & (unsigned)row->op) != 0) &&
           clattn_space_size(class.algorithm, class.fragment) > 0;
}

/* The common ones first, as far as the budget goes. */
static void choose_rows(const clattn_run *run, rows *out)
{
    out->count = 0;
    const double left = run->end - clattn_clock_seconds();
    const bool all = run->params->all_classes || !isfinite(left);
    const int most = all ? MAX_ROWS : (int)fmin(MAX_ROWS, fmax(1, floor(left / LEAST_SHARE)));
    const clattn_subject_row *row;
    for (size_t i = 0; out->count < most && (row = clattn_subject_row_at(i)) != NULL; i++)
        if (is_wanted(run, row))
            out->indices[out->count++] = i;
}

/* Each class has an equal share of what those before it have left. */
static clattn_status run_classes(clattn_run *run)
{
    rows chosen;
    choose_rows(run, &chosen);
    run->progress.class_count = chosen.count;
    clattn_status status = CLATTN_OK;
    int done = 0;
    for (; done < chosen.count && status == CLATTN_OK && !run->cancelled; done++) {
        const double now = clattn_clock_seconds();
        if (now >= run->end)
            break;
        run->progress.class_index = done;
        status = clattn_tuned_run(run, chosen.indices[done], now + (run->end - now) / (chosen.count - done));
    }
    CLATTN_TRY(status);
    const bool cancelled = run->cancelled;
    run->progress.class_index = done;
    clattn_run_clear(run);
    clattn_run_tell(run, CLATTN_TUNE_FINISHED);
    return cancelled ? clattn_fail(CLATTN_CANCELLED, "the progress callback asked for an end in class %d of %d", done,
                                   chosen.count)
                     : CLATTN_OK;
}

clattn_status clattn_tune_search(clattn_device *device, const clattn_tune_params *params, const char *folder)
{
    clattn_run run;
    CLATTN_TRY(clattn_run_open(device, params, folder, true, &run));
    const clattn_status status = run_classes(&run);
    clattn_run_close(&run, status == CLATTN_OK);
    clattn_records_reload(device);
    return status;
}
