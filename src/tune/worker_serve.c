/* SPDX-License-Identifier: BSD-2-Clause */
/* The worker's side of worker.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tune/lines.h"
#include "tune/spawn.h"
#include "tune/worker.h"
#include "util/clock.h"
#include "util/status.h"
#include "util/text.h"

#define ENOUGH_SECONDS 0.05

enum { MOST_CALLS = 5 };

typedef struct server {
    clattn_lines lines;
    cl_context context;
    cl_command_queue queue;
    clattn_device *device;
    size_t row; /* of the subject that is open */
    uint64_t seed;
    clattn_subject *subject;
} server;

static clattn_status open_device(server *s, cl_platform_id platform, cl_device_id id, const json_t *greeting)
{
    const char *version = json_string_value(json_object_get(greeting, "version"));
    if (!version || strcmp(version, clattn_version()) != 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "the tuner is of version '%s', its worker of %s",
                           version ? version : "", clattn_version());
    const char *cache_dir = json_string_value(json_object_get(greeting, "cache_dir"));
    const json_int_t cache_bytes = json_integer_value(json_object_get(greeting, "cache_max_bytes"));
    const clattn_device_settings settings = {
        .cache_dir = cache_dir,
        .cache_max_bytes = (uint64_t)cache_bytes,
        .kernel_dir = json_string_value(json_object_get(greeting, "kernel_dir")),
        .log_level = CLATTN_LOG_WARN,
    };
    const cl_context_properties properties[] = { CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0 };
    cl_int code = CL_SUCCESS;
    s->context = clCreateContext(properties, 1, &id, NULL, NULL, &code);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clCreateContext", code);
    s->queue = clCreateCommandQueue(s->context, id, CL_QUEUE_PROFILING_ENABLE, &code);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clCreateCommandQueue", code);
    return clattn_device_open(s->context, id, &settings, &s->device);
}

static void close_subject(server *s)
{
    if (s->subject)
        clattn_subject_close(s->subject);
    s->subject = NULL;
}

static void close_all(server *s)
{
    close_subject(s);
    if (s->device)
        clattn_device_release(s->device);
    if (s->queue)
        clReleaseCommandQueue(s->queue);
    if (s->context)
        clReleaseContext(s->context);
    free(s);
}

/* The class has to be the same on both sides. */
static clattn_status read_request(const server *s, const json_t *line, clattn_worker_request *out)
{
    char own[CLATTN_CLASS_NAME_SIZE] = "";
    const json_int_t row_index = json_integer_value(json_object_get(line, "row"));
    const char *name = json_string_value(json_object_get(line, "class"));
    const char *tile = json_string_value(json_object_get(line, "tile"));
    const char *seed = json_string_value(json_object_get(line, "seed"));
    const clattn_subject_row *row = row_index >= 0 ? clattn_subject_row_at((size_t)row_index) : NULL;
    clattn_tuning_class class = { 0 };
    if (row) {
        class = clattn_subject_class(s->device, row);
        clattn_class_name(&class, own);
    }
    if (!row || !name || strcmp(name, own) != 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "row %" PRId64 " is '%s' here, not '%s'", (int64_t)row_index, own,
                           name ? name : "");
    if (!tile || !clattn_tile_parse(class.algorithm, class.fragment, tile, &out->candidate.tile))
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "'%s' is no tile of '%s'", tile ? tile : "", own);
    out->row = (size_t)row_index;
    out->seed = strtoull(seed ? seed : "0", NULL, 10);
    out->candidate.split_size = (int32_t)json_integer_value(json_object_get(line, "split_size"));
    return CLATTN_OK;
}

/* The one that is open, where it fits. */
static clattn_status open_subject(server *s, const clattn_worker_request *request)
{
    if (s->subject && s->row == request->row && s->seed == request->seed)
        return CLATTN_OK;
    close_subject(s);
    s->row = request->row;
    s->seed = request->seed;
    return clattn_subject_open(s->device, s->queue, clattn_subject_row_at(request->row), request->seed, &s->subject);
}

static clattn_status time_call(const server *s, clattn_trial *trial, int turn, double *seconds)
{
    cl_event first = NULL, last = NULL;
    const double begin = clattn_clock_seconds();
    CLATTN_TRY(clattn_trial_enqueue(trial, turn, &first, &last));
    const cl_int code = clFinish(s->queue);
    *seconds = clattn_clock_seconds() - begin;
    clReleaseEvent(first);
    clReleaseEvent(last);
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("clFinish", code);
}

/* The check has warmed it up. The least of some calls, where they are short: a busy host spoils one easily. */
static clattn_status time_trial(const server *s, clattn_trial *trial, double *seconds)
{
    double least = HUGE_VAL, spent = 0;
    for (int turn = 0; turn < MOST_CALLS && spent < ENOUGH_SECONDS; turn++) {
        double one = 0;
        CLATTN_TRY(time_call(s, trial, turn, &one));
        least = fmin(least, one);
        spent += one;
    }
    *seconds = fmax(least, 1e-9);
    return CLATTN_OK;
}

static void run_trial(const server *s, clattn_trial *trial, clattn_worker_answer *out)
{
    bool right = false;
    clattn_status status = clattn_trial_check(trial, &right, out->detail, sizeof(out->detail));
    if (status == CLATTN_OK && right)
        status = time_trial(s, trial, &out->seconds);
    out->outcome = right ? CLATTN_WORKER_RIGHT : CLATTN_WORKER_WRONG;
    if (status == CLATTN_OK)
        return;
    out->outcome = CLATTN_WORKER_FAILED;
    snprintf(out->detail, sizeof(out->detail), "%s", clattn_last_error());
}

static void try_candidate(server *s, const clattn_worker_request *request, clattn_worker_answer *out)
{
    clattn_trial *trial = NULL;
    *out = (clattn_worker_answer){ .outcome = CLATTN_WORKER_NOT_BUILT };
    if (clattn_trial_open(s->subject, &request->candidate, &trial) != CLATTN_OK) {
        snprintf(out->detail, sizeof(out->detail), "%s", clattn_last_error());
        return;
    }
    run_trial(s, trial, out);
    clattn_trial_close(trial);
}

static json_t *make_error(void)
{
    char text[512];
    snprintf(text, sizeof(text), "%s", clattn_last_error());
    clattn_text_to_line(text);
    return json_pack("{s:s}", "error", text);
}

static json_t *answer_to(server *s, const json_t *line)
{
    clattn_worker_request request;
    clattn_worker_answer answer;
    if (read_request(s, line, &request) != CLATTN_OK || open_subject(s, &request) != CLATTN_OK)
        return make_error();
    try_candidate(s, &request, &answer);
    clattn_text_to_line(answer.detail);
    return json_pack("{s:s, s:s, s:f}", "outcome", clattn_worker_outcome_name(answer.outcome), "detail", answer.detail,
                     "seconds", answer.seconds);
}

static bool receive(server *s, json_t **line)
{
    return clattn_lines_receive(&s->lines, HUGE_VAL, NULL, NULL, line) == CLATTN_LINE_READ;
}

static json_t *make_greeting(const server *s)
{
    char key[CLATTN_KEY_HEX_SIZE];
    clattn_spawn_device_key(s->device, key);
    return json_pack("{s:s, s:s}", "version", clattn_version(), "device", key);
}

static clattn_status greet(server *s, cl_platform_id platform, cl_device_id id)
{
    json_t *greeting = NULL;
    if (!receive(s, &greeting))
        return clattn_fail(CLATTN_IO_ERROR, "the tuner did not greet its worker");
    const clattn_status status = open_device(s, platform, id, greeting);
    json_decref(greeting);
    json_t *answer = status == CLATTN_OK ? make_greeting(s) : make_error();
    if (!clattn_lines_send(&s->lines, answer) && status == CLATTN_OK)
        return clattn_fail(CLATTN_IO_ERROR, "the tuner is gone");
    return status;
}

clattn_status clattn_worker_serve(int socket, cl_platform_id platform, cl_device_id id)
{
    server *s = calloc(1, sizeof(*s));
    if (!s)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a worker");
    s->lines.socket = socket;
    const clattn_status status = greet(s, platform, id);
    json_t *line = NULL;
    while (status == CLATTN_OK && receive(s, &line)) {
        const bool sent = clattn_lines_send(&s->lines, answer_to(s, line));
        json_decref(line);
        if (!sent)
            break;
    }
    close_all(s);
    return status;
}
