/* SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_PLATFORMS 16

void outcome_fail(outcome *out, const char *format, ...)
{
    va_list arguments;
    if (out->verdict == FAILED)
        return; /* the first reason is the one to read */
    out->verdict = FAILED;
    va_start(arguments, format);
    vsnprintf(out->why, sizeof(out->why), format, arguments);
    va_end(arguments);
}

void outcome_skip(outcome *out, const char *format, ...)
{
    va_list arguments;
    if (out->verdict != PASSED)
        return;
    out->verdict = SKIPPED;
    va_start(arguments, format);
    vsnprintf(out->why, sizeof(out->why), format, arguments);
    va_end(arguments);
}

bool outcome_ok(outcome *out, clattn_status status, const char *call)
{
    if (status != CLATTN_OK)
        outcome_fail(out, "%s: %s: %s", call, clattn_status_name(status), clattn_last_error());
    return status == CLATTN_OK;
}

static bool contains(const char *text, const char *part)
{
    size_t length = strlen(part);
    for (; *text != '\0'; text++) {
        size_t n = 0;
        while (n < length && tolower((unsigned char)text[n]) == tolower((unsigned char)part[n]))
            n++;
        if (n == length)
            return true;
    }
    return length == 0;
}

static bool find_device(harness *h, const char *part)
{
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint count = 0;
    if (clGetPlatformIDs(MAX_PLATFORMS, platforms, &count) != CL_SUCCESS)
        return false;
    for (cl_uint n = 0; n < count && n < MAX_PLATFORMS; n++) {
        char name[256] = "";
        if (clGetPlatformInfo(platforms[n], CL_PLATFORM_NAME, sizeof(name), name, NULL) != CL_SUCCESS)
            continue;
        if ((!part || contains(name, part)) &&
            clGetDeviceIDs(platforms[n], CL_DEVICE_TYPE_ALL, 1, &h->id, NULL) == CL_SUCCESS)
            return true;
    }
    return false;
}

/* Programs are counted by the log: one line each, at the level of information. */
static void take_message(void *user, clattn_log_level level, const char *message)
{
    harness *h = user;
    if (strncmp(message, "kernel from source", 18) == 0)
        atomic_fetch_add(&h->programs, 1);
    if (level <= CLATTN_LOG_WARN || h->verbose)
        printf("# %s\n", message);
}

bool harness_open(harness *h, const char *platform)
{
    cl_int code;
    if (!find_device(h, platform)) {
        printf("# skipped: no OpenCL platform%s%s has a device\n", platform ? " named like " : "",
               platform ? platform : "");
        return false;
    }
    h->context = clCreateContext(NULL, 1, &h->id, NULL, NULL, &code);
    if (!h->context) {
        printf("# clCreateContext failed with %d\n", code);
        return false;
    }
    h->in_order = clCreateCommandQueue(h->context, h->id, 0, &code);
    h->out_of_order = clCreateCommandQueue(h->context, h->id, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    clattn_device_params params =
        CLATTN_DEVICE_PARAMS(.no_disk = 1, .log = take_message, .log_user = h, .log_level = CLATTN_LOG_INFO);
    clattn_status status = clattn_device_create(h->context, h->id, &params, &h->device);
    if (!h->in_order || status != CLATTN_OK || clattn_device_get_info(h->device, &h->info) != CLATTN_OK) {
        printf("# the device cannot be used: %s\n", clattn_last_error());
        harness_close(h);
        return false;
    }
    return true;
}

void harness_close(harness *h)
{
    clattn_device_destroy(&h->device);
    if (h->out_of_order)
        clReleaseCommandQueue(h->out_of_order);
    if (h->in_order)
        clReleaseCommandQueue(h->in_order);
    if (h->context)
        clReleaseContext(h->context);
    h->out_of_order = h->in_order = NULL;
    h->context = NULL;
}

void harness_count(harness *h, const char *name, const char *line, const outcome *out)
{
    static const char *const words[] = { "ok", "FAILED", "skipped" };
    h->passed += out->verdict == PASSED;
    h->failed += out->verdict == FAILED;
    h->skipped += out->verdict == SKIPPED;
    h->compared += out->compared;
    if (out->verdict == PASSED && !h->verbose)
        return;
    printf("%s %s: %s", words[out->verdict], h->suite, name);
    if (out->verdict == PASSED)
        printf(" (%" PRId64 " compared, error %.2g of the tolerance)\n", out->compared, out->max_ratio);
    else
        printf(": %s\n", out->why);
    if (out->verdict == FAILED) {
        printf("  again: %s", h->program);
        if (h->platform)
            printf(" --platform '%s'", h->platform);
        if (line)
            printf(" --case '%s'\n", line);
        else
            printf(" --suite %s --seed %" PRIu64 "%s\n", h->suite, h->seed, h->full ? " --full" : "");
    }
    fflush(stdout);
}

void harness_run(harness *h, const test_case *listed)
{
    test_case changed = *listed;
    const test_case *c = &changed;
    char line[CASE_LINE_SIZE];
    outcome out = { PASSED, "", 0, 0.0 };
    clattn_plan *plan = NULL;
    problem p;
    if (h->set) { /* which main has checked */
        (void)case_parse(&changed, h->set, out.why, sizeof(out.why));
        case_normalize(&changed);
    }
    case_print(c, line);
    if (!problem_make(&p, c))
        outcome_fail(&out, "no memory");
    else if (c->ooo && !h->out_of_order)
        outcome_skip(&out, "the device has no out-of-order queues");
    else if (step_upload(h, &p, &out) && step_plan(h, &p, &plan, &out) && step_run(h, &p, plan, &out))
        step_verify(&p, &out);
    clattn_plan_destroy(&plan);
    problem_free(&p);
    harness_count(h, line, line, &out);
}
