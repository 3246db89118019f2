/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tune/lines.h"
#include "tune/spawn.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/status.h"
#include "util/text.h"

#define START_SECONDS 60.0 /* drivers may be slow to open a device */
#define END_SECONDS   5.0  /* for a killed process to go */

struct clattn_worker {
    clattn_device *device;
    char *path;
    char selector[32];
    bool (*stop)(void *user);
    void *user;
    pid_t process; /* 0: none */
    clattn_lines lines;
};

const char *clattn_worker_outcome_name(clattn_worker_outcome outcome)
{
    static const char *const names[] = {
        [CLATTN_WORKER_RIGHT] = "right",         [CLATTN_WORKER_WRONG] = "wrong",
        [CLATTN_WORKER_NOT_BUILT] = "not built", [CLATTN_WORKER_FAILED] = "failed",
        [CLATTN_WORKER_CRASHED] = "crashed",     [CLATTN_WORKER_TIMED_OUT] = "timed out",
        [CLATTN_WORKER_STOPPED] = "stopped",
    };
    return names[outcome];
}

clattn_status clattn_worker_open(clattn_device *device, const char *path, bool (*stop)(void *user), void *user,
                                 clattn_worker **out)
{
    clattn_worker *worker = calloc(1, sizeof(*worker));
    if (!worker || !(worker->path = clattn_text_copy(path))) {
        free(worker);
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the tuner's worker");
    }
    worker->device = device;
    worker->stop = stop;
    worker->user = user;
    const clattn_status status =
        clattn_spawn_selector(clattn_device_id(device), worker->selector, sizeof(worker->selector));
    if (status != CLATTN_OK) {
        clattn_worker_close(worker);
        return status;
    }
    *out = worker;
    return CLATTN_OK;
}

/* How the process ended: 1 known, -1 not known; 0: it has not. */
static int wait_a_little(const clattn_worker *worker, int *how)
{
    const struct timespec pause = { .tv_nsec = 5000000 };
    const double begin = clattn_clock_seconds();
    while (clattn_clock_seconds() - begin < END_SECONDS) {
        const pid_t ended = waitpid(worker->process, how, WNOHANG);
        if (ended != 0)
            return ended == worker->process ? 1 : -1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

/* Says how in `how`, unless that is NULL. */
static void end_process(clattn_worker *worker, bool at_once, char *how, size_t how_size)
{
    int status = 0;
    close(worker->lines.socket);
    int ended = at_once ? 0 : wait_a_little(worker, &status);
    if (ended == 0) {
        kill(worker->process, SIGKILL);
        ended = wait_a_little(worker, &status);
    }
    if (ended == 0)
        clattn_log(worker->device, CLATTN_LOG_WARN, "process %ld, the tuner's worker, was killed and does not end",
                   (long)worker->process);
    worker->process = 0;
    if (!how)
        return;
    if (ended == 1 && WIFSIGNALED(status))
        snprintf(how, how_size, "it ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (ended == 1)
        snprintf(how, how_size, "it ended with exit status %d", WEXITSTATUS(status));
    else
        snprintf(how, how_size, "it is gone");
}

void clattn_worker_close(clattn_worker *worker)
{
    if (!worker)
        return;
    if (worker->process)
        end_process(worker, true, NULL, 0);
    free(worker->path);
    free(worker);
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *make_greeting(const clattn_device_settings *settings)
{
    return json_pack("{s:s, s:o, s:I, s:o}", "version", clattn_version(), "cache_dir",
                     text_or_null(settings->cache_dir), "cache_max_bytes", (json_int_t)settings->cache_max_bytes,
                     "kernel_dir", text_or_null(settings->kernel_dir));
}

/* What is wrong with the answer to the greeting goes to `why`. */
static bool is_right_worker(const clattn_worker *worker, const json_t *answer, char *why, size_t why_size)
{
    const char *version = json_string_value(json_object_get(answer, "version"));
    const char *device = json_string_value(json_object_get(answer, "device"));
    const char *error = json_string_value(json_object_get(answer, "error"));
    char own[CLATTN_KEY_HEX_SIZE];
    clattn_spawn_device_key(worker->device, own);
    if (error)
        snprintf(why, why_size, "it says '%s'", error);
    else if (!version || strcmp(version, clattn_version()) != 0)
        snprintf(why, why_size, "it is of version '%s'", version ? version : "");
    else if (!device || strcmp(device, own) != 0)
        snprintf(why, why_size, "its device %s is another than %s", worker->selector,
                 clattn_device_line(worker->device));
    else
        return true;
    return false;
}

/* CLATTN_LINE_STOPPED is no failure: then nothing runs. */
static clattn_status greet(clattn_worker *worker, clattn_line_result *result)
{
    char why[1024] = "";
    json_t *answer = NULL;
    *result = CLATTN_LINE_ENDED;
    if (clattn_lines_send(&worker->lines, make_greeting(clattn_device_settings_of(worker->device))))
        *result = clattn_lines_receive(&worker->lines, clattn_clock_seconds() + START_SECONDS, worker->stop,
                                       worker->user, &answer);
    if (*result == CLATTN_LINE_READ) {
        const bool right = is_right_worker(worker, answer, why, sizeof(why));
        json_decref(answer);
        if (right)
            return CLATTN_OK;
    }
    end_process(worker, *result != CLATTN_LINE_ENDED, why[0] ? NULL : why, sizeof(why));
    if (*result == CLATTN_LINE_STOPPED)
        return CLATTN_OK;
    if (*result == CLATTN_LINE_LATE)
        snprintf(why, sizeof(why), "it did not answer in %.0f s", START_SECONDS);
    if (*result == CLATTN_LINE_GARBAGE)
        snprintf(why, sizeof(why), "it does not answer in JSON");
    return clattn_fail(CLATTN_INVALID_ARGUMENT, "worker is '%s'; it has to be the command clattn %s, but %s",
                       worker->path, clattn_version(), why);
}

static clattn_status start(clattn_worker *worker, clattn_line_result *result)
{
    const bool quiet = !clattn_log_enabled(worker->device, CLATTN_LOG_DEBUG);
    char *const argv[] = { worker->path, "worker", "--device", worker->selector, NULL };
    CLATTN_TRY(clattn_spawn(argv, quiet, &worker->process, &worker->lines.socket));
    worker->lines.used = 0;
    return greet(worker, result);
}

static json_t *make_request(const clattn_worker *worker, const clattn_worker_request *request)
{
    const clattn_tuning_class class = clattn_subject_class(worker->device, clattn_subject_row_at(request->row));
    char name[CLATTN_CLASS_NAME_SIZE], tile[CLATTN_TILE_NAME_SIZE], seed[24];
    clattn_class_name(&class, name);
    clattn_tile_name(&request->candidate.tile, tile);
    snprintf(seed, sizeof(seed), "%" PRIu64, request->seed);
    return json_pack("{s:I, s:s, s:s, s:s, s:i}", "row", (json_int_t)request->row, "class", name, "seed", seed, "tile",
                     tile, "split_size", (int)request->candidate.split_size);
}

/* False: it says nothing that can be understood. */
static bool read_answer(const json_t *answer, clattn_worker_answer *out)
{
    const char *outcome = json_string_value(json_object_get(answer, "outcome"));
    const char *detail = json_string_value(json_object_get(answer, "detail"));
    int known = CLATTN_WORKER_RIGHT;
    while (known <= CLATTN_WORKER_FAILED &&
           (!outcome || strcmp(outcome, clattn_worker_outcome_name((clattn_worker_outcome)known)) != 0))
        known++;
    out->outcome = (clattn_worker_outcome)known;
    out->seconds = json_number_value(json_object_get(answer, "seconds"));
    snprintf(out->detail, sizeof(out->detail), "%s", detail ? detail : "");
    return known <= CLATTN_WORKER_FAILED && (known != CLATTN_WORKER_RIGHT || out->seconds > 0);
}

static void note(clattn_worker_answer *out, clattn_worker_outcome outcome, const char *detail)
{
    out->outcome = outcome;
    snprintf(out->detail, sizeof(out->detail), "%s", detail);
}

/* Of a line that came. */
static clattn_status take_answer(clattn_worker *worker, const json_t *answer, clattn_worker_answer *out)
{
    const char *error = json_string_value(json_object_get(answer, "error"));
    if (error)
        return clattn_fail(CLATTN_OPENCL_ERROR, "the tuner's worker: %s", error);
    if (!read_answer(answer, out)) {
        end_process(worker, true, NULL, 0);
        note(out, CLATTN_WORKER_CRASHED, "its answer is not understood");
    }
    /* A context in which a call failed may be lost. */
    if (out->outcome == CLATTN_WORKER_FAILED)
        end_process(worker, true, NULL, 0);
    return CLATTN_OK;
}

static void take_no_answer(clattn_worker *worker, clattn_line_result result, double timeout, clattn_worker_answer *out)
{
    char detail[256];
    if (result == CLATTN_LINE_ENDED) {
        end_process(worker, false, detail, sizeof(detail));
        note(out, CLATTN_WORKER_CRASHED, detail);
        return;
    }
    end_process(worker, true, NULL, 0);
    snprintf(detail, sizeof(detail), "no answer in %.1f s", timeout);
    if (result == CLATTN_LINE_LATE)
        note(out, CLATTN_WORKER_TIMED_OUT, detail);
    else if (result == CLATTN_LINE_STOPPED)
        note(out, CLATTN_WORKER_STOPPED, "");
    else
        note(out, CLATTN_WORKER_CRASHED, "it does not answer in JSON");
}

clattn_status clattn_worker_try(clattn_worker *worker, const clattn_worker_request *request, double timeout,
                                clattn_worker_answer *out)
{
    *out = (clattn_worker_answer){ .seconds = 0 };
    clattn_line_result result = CLATTN_LINE_READ;
    json_t *answer = NULL;
    if (!worker->process)
        CLATTN_TRY(start(worker, &result));
    if (result == CLATTN_LINE_STOPPED) {
        note(out, CLATTN_WORKER_STOPPED, "");
        return CLATTN_OK;
    }
    result = CLATTN_LINE_ENDED;
    if (clattn_lines_send(&worker->lines, make_request(worker, request)))
        result =
            clattn_lines_receive(&worker->lines, clattn_clock_seconds() + timeout, worker->stop, worker->user, &answer);
    if (result != CLATTN_LINE_READ) {
        take_no_answer(worker, result, timeout, out);
        return CLATTN_OK;
    }
    const clattn_status status = take_answer(worker, answer, out);
    json_decref(answer);
    return status;
}
