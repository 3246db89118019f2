/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "util/clock.h"
#include "util/status.h"
#include "util/text.h"

#define DEFAULT_BUDGET 300.0

void clattn_run_refuse(void *user, const char *path, int line, const char *reason)
{
    const clattn_run *run = user;
    if (line > 0)
        clattn_log(run->device, CLATTN_LOG_WARN, "%s:%d: not used: %s", path, line, reason);
    else
        clattn_log(run->device, CLATTN_LOG_WARN, "%s: not used: %s", path, reason);
}

void clattn_run_tell(clattn_run *run, clattn_tune_event event)
{
    run->progress.event = event;
    run->progress.elapsed = clattn_clock_seconds() - run->begin;
    if (run->params->progress && run->params->progress(run->params->user, &run->progress) != 0)
        run->cancelled = true;
}

void clattn_run_clear(clattn_run *run)
{
    clattn_tune_progress *progress = &run->progress;
    *progress = (clattn_tune_progress){
        .op = "",
        .class_name = "",
        .class_index = progress->class_index,
        .class_count = progress->class_count,
        .tile = "",
        .detail = "",
        .default_tile = "",
        .budget = progress->budget,
        .shape = "",
        .clock = "",
    };
}

static bool ask_to_stop(void *user)
{
    clattn_run *run = user;
    clattn_run_tell(run, CLATTN_TUNE_WAITING);
    return run->cancelled;
}

clattn_status clattn_run_kernels(clattn_run *run, clattn_algorithm algorithm, clattn_fragment_id fragment,
                                 const char **out)
{
    char **version = &run->kernels[algorithm][fragment];
    if (!*version)
        CLATTN_TRY(clattn_records_kernels(run->device, algorithm, fragment, version));
    *out = *version;
    return CLATTN_OK;
}

static clattn_status open_queue(clattn_run *run)
{
    cl_int code = CL_SUCCESS;
    const cl_context context = clattn_device_context(run->device);
    const cl_device_id id = clattn_device_id(run->device);
    run->queue = clCreateCommandQueue(context, id, CL_QUEUE_PROFILING_ENABLE, &code);
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("clCreateCommandQueue", code);
}

/* Where a binary costs a compilation, candidates are not stored: what the worker compiled comes from the driver's own
 * cache. */
static clattn_status open_device(clattn_run *run)
{
    if (!CLATTN_HAS_QUIRK(run->caller, BINARY_COMPILES))
        return CLATTN_OK;
    clattn_device_settings settings = *clattn_device_settings_of(run->caller);
    settings.cache_dir = NULL;
    run->device = NULL;
    return clattn_device_open(clattn_device_context(run->caller), clattn_device_id(run->caller), &settings,
                              &run->device);
}

/* Opening it tells, too, whether the folder can be written to. */
static clattn_status open_journal(clattn_run *run)
{
    const clattn_record_device device = clattn_records_device(run->device);
    char *record = clattn_record_path(run->folder, &device);
    clattn_text text = { 0 };
    clattn_text_add(&text, "%s.journal", record ? record : "");
    clattn_status status = CLATTN_OK;
    if (!record || text.failed)
        status = clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the path of the tuner's journal");
    else
        status = clattn_journal_open(text.data, run->driver, run->params->resume != 0, clattn_run_refuse, run,
                                     &run->journal);
    clattn_text_free(&text);
    free(record);
    return status;
}

static clattn_status open_worker(clattn_run *run)
{
    if (!run->params->worker) {
        clattn_log(run->device, CLATTN_LOG_WARN, "tuning without a worker: only built-in defaults are measured");
        return CLATTN_OK;
    }
    return clattn_worker_open(run->device, run->params->worker, ask_to_stop, run, &run->worker);
}

static void set_date(clattn_run *run)
{
    struct tm parts;
    const time_t now = time(NULL);
    if (!gmtime_r(&now, &parts) || strftime(run->date, sizeof(run->date), "%Y-%m-%d", &parts) == 0)
        snprintf(run->date, sizeof(run->date), "1970-01-01");
}

static void set_end(clattn_run *run)
{
    const clattn_tune_params *params = run->params;
    const double budget = params->budget != 0 ? params->budget : DEFAULT_BUDGET;
    run->begin = clattn_clock_seconds();
    run->end = budget < 0 || params->exhaustive ? HUGE_VAL : run->begin + budget;
    run->progress.budget = isfinite(run->end) ? budget : -1;
}

clattn_status clattn_run_open(clattn_device *device, const clattn_tune_params *params, const char *folder,
                              bool searching, clattn_run *run)
{
    *run = (clattn_run){ .device = device, .caller = device, .params = params, .folder = folder };
    clattn_run_clear(run);
    run->driver = clattn_device_probed(device)->driver_version;
    set_end(run);
    set_date(run);
    clattn_status status = searching ? open_device(run) : CLATTN_OK;
    if (status == CLATTN_OK)
        status = clattn_records_own(device, folder, &run->own);
    if (status == CLATTN_OK)
        status = open_queue(run);
    if (status == CLATTN_OK && searching)
        status = open_journal(run);
    if (status == CLATTN_OK && searching)
        status = open_worker(run);
    if (status != CLATTN_OK)
        clattn_run_close(run, false);
    return status;
}

void clattn_run_close(clattn_run *run, bool finished)
{
    clattn_worker_close(run->worker);
    clattn_journal_close(run->journal, finished);
    clattn_record_free(&run->own);
    clattn_kernel_versions_free(run->kernels);
    if (run->queue)
        clReleaseCommandQueue(run->queue);
    if (run->device && run->device != run->caller)
        clattn_device_release(run->device);
}
