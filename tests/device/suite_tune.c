/* SPDX-License-Identifier: BSD-2-Clause */
/* clattn_tune: its arguments, what its callback is told, cancelling, and a worker that is none. Runs with a worker are
 * tested by the command. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "expect.h"
#include "suites.h"

/* Seconds: enough for a default on a slow machine, and for no second class. Without a worker nothing else takes time.
 */
#define BUDGET 29

/* What the callback heard. */
typedef struct heard {
    int events[CLATTN_TUNE_WAITING + 1];
    int outcomes[CLATTN_TUNE_SKIPPED + 1];
    int last, stop_after; /* stop_after 0: never */
    bool complete;        /* no field was missing */
} heard;

static int listen(void *user, const clattn_tune_progress *now)
{
    heard *all = user;
    int count = 0;
    all->events[now->event]++;
    all->last = (int)now->event;
    for (int i = 0; i <= CLATTN_TUNE_WAITING; i++)
        count += all->events[i];
    const bool texts =
        now->op && now->class_name && now->tile && now->detail && now->default_tile && now->shape && now->clock;
    all->complete = (count == 1 || all->complete) && texts && now->elapsed >= 0;
    if (now->event != CLATTN_TUNE_FINISHED)
        all->complete = all->complete && now->work > 0 && now->shape[0] && now->class_name[0];
    if (now->event == CLATTN_TUNE_CANDIDATE) {
        all->outcomes[now->outcome]++;
        all->complete = all->complete && now->candidate <= now->candidates && now->tile[0];
    }
    return all->stop_after && count >= all->stop_after;
}

static void expect_error(harness *h, const char *what, const clattn_tune_params *params, const char *names)
{
    expect_invalid(h, what, clattn_tune(h->device, params), names);
    expect_invalid(h, what, clattn_tune_verify(h->device, params), names);
}

static void check_arguments(harness *h, const char *folder)
{
    clattn_tune_params params;
    clattn_tune_params_init(&params);
    expect_true(h, "the initialiser sets the size", params.struct_size == sizeof(params));
    clattn_tune_params_init(NULL);
    expect_invalid(h, "no device", clattn_tune(NULL, &params), "device");
    expect_error(h, "a size", &(clattn_tune_params){ .struct_size = 8 }, "struct_size");
    expect_error(h, "an op", &CLATTN_TUNE_PARAMS(.ops = 16), "ops");
    expect_error(h, "a budget", &CLATTN_TUNE_PARAMS(.budget = (double)NAN), "budget");
    expect_error(h, "a budget without end", &CLATTN_TUNE_PARAMS(.budget = HUGE_VAL), "budget");
    expect_error(h, "a time limit", &CLATTN_TUNE_PARAMS(.candidate_timeout = -1), "candidate_timeout");
    expect_error(h, "an empty folder", &CLATTN_TUNE_PARAMS(.folder = ""), "folder");
    expect_error(h, "a worker that is not there", &CLATTN_TUNE_PARAMS(.folder = folder, .worker = "/nowhere/clattn"),
                 "/nowhere/clattn");
    expect_error(h, "a worker that is a folder", &CLATTN_TUNE_PARAMS(.folder = folder, .worker = "/"), "worker");
    expect(h, "a folder that cannot be made", clattn_tune(h->device, &CLATTN_TUNE_PARAMS(.folder = "/dev/null/x")),
           CLATTN_IO_ERROR, "/dev/null/x");
    expect_invalid(
        h, "a worker that is another program",
        clattn_tune(h->device, &CLATTN_TUNE_PARAMS(.folder = folder, .worker = "/bin/true", .budget = BUDGET)),
        "/bin/true");
}

static clattn_tune_params short_run(const char *folder, heard *all)
{
    *all = (heard){ .last = -1 };
    return CLATTN_TUNE_PARAMS(.folder = folder, .budget = BUDGET, .ops = CLATTN_TUNE_APPEND, .progress = listen,
                              .user = all);
}

static int files_in(const char *folder)
{
    int count = 0;
    DIR *list = opendir(folder);
    for (struct dirent *entry; list && (entry = readdir(list)) != NULL;)
        count += entry->d_name[0] != '.';
    if (list)
        closedir(list);
    return count;
}

static void check_runs(harness *h, const char *folder)
{
    heard all;
    clattn_tune_params params = short_run(folder, &all);
    expect(h, "a run without a worker", clattn_tune(h->device, &params), CLATTN_OK, "");
    expect_true(h, "the default is measured, the others are skipped",
                all.outcomes[CLATTN_TUNE_FASTER] == 1 && all.outcomes[CLATTN_TUNE_SKIPPED] > 0 &&
                    all.events[CLATTN_TUNE_CANDIDATE] == 1 + all.outcomes[CLATTN_TUNE_SKIPPED]);
    expect_true(h, "a class that compared nothing is not recorded",
                all.events[CLATTN_TUNE_CLASS_DONE] == 0 && files_in(folder) == 0);
    expect_true(h, "the callback is told everything",
                all.complete && all.events[CLATTN_TUNE_CLASS_STARTED] == 1 && all.events[CLATTN_TUNE_FINISHED] == 1 &&
                    all.last == CLATTN_TUNE_FINISHED);
    for (int stop_after = 1; stop_after <= 3; stop_after++) {
        params = short_run(folder, &all);
        all.stop_after = stop_after;
        expect(h, "a run that is stopped", clattn_tune(h->device, &params), CLATTN_CANCELLED, "callback");
        expect_true(h, "it ends soon",
                    all.events[CLATTN_TUNE_CANDIDATE] <= stop_after && all.last == CLATTN_TUNE_FINISHED);
    }
    params = short_run(folder, &all);
    expect(h, "nothing to verify", clattn_tune_verify(h->device, &params), CLATTN_OK, "");
    expect_true(h, "only the end is told", all.events[CLATTN_TUNE_FINISHED] == 1 && all.events[0] == 0);
}

static void empty_folder(const char *folder)
{
    DIR *list = opendir(folder);
    for (struct dirent *entry; list && (entry = readdir(list)) != NULL;)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(list), entry->d_name, 0);
    if (list)
        closedir(list);
    rmdir(folder);
}

void suite_tune(harness *h)
{
    char folder[] = "/tmp/clattn_tune_XXXXXX";
    const char *made = mkdtemp(folder);
    expect_true(h, "a temporary folder", made != NULL);
    if (!made)
        return;
    check_arguments(h, folder);
    check_runs(h, folder);
    empty_folder(folder);
}
