/* SPDX-License-Identifier: BSD-2-Clause */
/* Enqueues that fail. The layer has to be there when the loader starts, so these cases run in a child process, which is
 * this program once more with OPENCL_LAYERS set. */
#include <dlfcn.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "append_case.h"
#include "copy_case.h"
#include "fault_layer.h"
#include "suites.h"

extern char **environ;

typedef struct layer {
    fault_layer_count_function count;
    fault_layer_arm_function arm;
} layer;

/* The layer if the loader has it: nothing is loaded here. */
static bool find_layer(layer *out)
{
    void *library = dlopen(FAULT_LAYER_PATH, RTLD_NOW | RTLD_NOLOAD);
    if (!library)
        return false;
    *(void **)&out->count = dlsym(library, "fault_layer_count");
    *(void **)&out->arm = dlsym(library, "fault_layer_arm");
    dlclose(library);
    return out->count && out->arm;
}

static void expect_failure(harness *h, problem *p, const clattn_plan *plan, const layer *l, int after, outcome *out)
{
    clattn_schedule schedule;
    clattn_attention_args args = problem_args(p);
    cl_event untouched = (cl_event)(void *)out, event = untouched;
    if (!outcome_ok(out, clattn_schedule_make(plan, &p->lengths, &schedule), "clattn_schedule_make"))
        return;
    l->arm(after);
    clattn_status status = clattn_attention_run(plan, &schedule, &args, h->in_order, 0, NULL, &event);
    l->arm(0);
    if (status != CLATTN_OPENCL_ERROR)
        outcome_fail(out, "enqueue %d failed, and the run returned %s", after, clattn_status_name(status));
    else if (event != untouched)
        outcome_fail(out, "enqueue %d failed, and *event was written", after);
    else if (!strstr(clattn_last_error(), "clEnqueueNDRangeKernel") ||
             !strstr(clattn_last_error(), "CL_OUT_OF_RESOURCES"))
        outcome_fail(out, "the message is '%s'; it has to name the call and its code", clattn_last_error());
    if (clFinish(h->in_order) != CL_SUCCESS)
        outcome_fail(out, "the queue cannot be finished after the failure");
}

/* A run that works shows how many enqueues it takes; then each of them fails once; then a run has to work again. */
static void check_failing(harness *h, const char *line, int enqueues, const char *name)
{
    outcome out = { PASSED, "", 0, 0.0 };
    clattn_plan *plan = NULL;
    problem p;
    layer l;
    const test_case c = case_from(line);
    bool ok = problem_make(&p, &c) && step_upload(h, &p, &out) && step_plan(h, &p, &plan, &out);
    if (ok && !find_layer(&l)) {
        outcome_fail(&out, "the loader has not loaded the layer " FAULT_LAYER_PATH);
        ok = false;
    }
    int before = ok ? l.count() : 0;
    ok = ok && step_run(h, &p, plan, &out);
    if (ok && l.count() - before != enqueues)
        outcome_fail(&out, "the layer saw %d enqueues; the run has to make %d", l.count() - before, enqueues);
    for (int n = 1; ok && n <= enqueues; n++)
        expect_failure(h, &p, plan, &l, n, &out);
    if (ok && step_run(h, &p, plan, &out))
        step_verify(&p, &out);
    clattn_plan_destroy(&plan);
    problem_free(&p);
    harness_count(h, name, NULL, &out);
}

/* One of the operations on caches. */
typedef struct cache_run {
    int enqueues;
    const append_state *append; /* or */
    const copy_state *copy;
} cache_run;

static clattn_status enqueue_cache_run(const cache_run *r, cl_command_queue queue, cl_event *event)
{
    if (r->copy)
        return copy_enqueue(r->copy, queue, 0, NULL, event);
    const clattn_append_args args = append_args_of(r->append);
    return clattn_append_run(r->append->plan, r->append->c->tokens, &args, queue, 0, NULL, event);
}

/* Each enqueue fails once, on either kind of queue; the plan works after that. */
static void fail_cache_run(const cache_run *r, cl_command_queue queue, outcome *out)
{
    layer l;
    if (!find_layer(&l)) {
        outcome_fail(out, "the loader has not loaded the layer " FAULT_LAYER_PATH);
        return;
    }
    for (int n = 1; n <= r->enqueues + 1 && queue; n++) {
        cl_event untouched = (cl_event)(void *)out, event = untouched;
        l.arm(n);
        const clattn_status status = enqueue_cache_run(r, queue, &event);
        l.arm(0);
        if (n > r->enqueues && outcome_ok(out, status, "a run without a failure"))
            clReleaseEvent(event);
        if (n <= r->enqueues && (status != CLATTN_OPENCL_ERROR || event != untouched))
            outcome_fail(out, "enqueue %d failed; the run returned %s, *event was %s", n, clattn_status_name(status),
                         event != untouched ? "written" : "left alone");
        if (clFinish(queue) != CL_SUCCESS)
            outcome_fail(out, "the queue cannot be finished after the failure");
    }
}

static void check_failing_caches(harness *h)
{
    static const append_case append = {
        "two launches", { { CLATTN_F16, CLATTN_F16, 5 }, { CLATTN_F16, CLATTN_FP8, 5 } }, 3, 2, .tokens = 9
    };
    static const copy_case copies[] = {
        { "copy", COPY_PAGES, 200, 65, .bytes = { 34, 18 } },
        { "swap out", COPY_SWAP_OUT, 9, 3, .bytes = { 34, 18 } },
        { "swap in", COPY_SWAP_IN, 9, 3, .bytes = { 34, 18 } },
    };
    outcome out = { PASSED, "", 0, 0.0 };
    append_state a;
    if (append_make(h, &a, &append, &out)) {
        const cache_run run = { .enqueues = 2, .append = &a };
        fail_cache_run(&run, h->in_order, &out);
        fail_cache_run(&run, h->out_of_order, &out);
        append_verify(h, &a, &out);
    }
    append_free(&a);
    harness_count(h, "each launch of an append fails", NULL, &out);
    for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
        outcome of_copy = { PASSED, "", 0, 0.0 };
        copy_state s;
        if (copy_make(h, &s, &copies[i], &of_copy)) {
            const cache_run run = { .enqueues = i == 0 ? 4 : 2, .copy = &s };
            fail_cache_run(&run, h->in_order, &of_copy);
            fail_cache_run(&run, h->out_of_order, &of_copy);
            copy_verify(h, &s, &of_copy);
        }
        copy_free(&s);
        harness_count(h, copies[i].name, NULL, &of_copy);
    }
}

static void run_child(harness *h)
{
    check_failing_caches(h);
    check_failing(h, "hq=2,hk=1,d=32,dv=32,q=37,kv=70,minq=1", 1, "the only enqueue fails");
    check_failing(h, "hq=4,hk=1,d=32,dv=32,q=1,kv=700,split=192", 2, "each of decode and combine fails");
    check_failing(h, "lens=1:700+70:90,hq=4,hk=1,d=32,dv=32,split=192", 3, "each of prefill, decode and combine fails");
}

static bool in_child(void)
{
    const char *layers = getenv("OPENCL_LAYERS");
    return layers && strstr(layers, FAULT_LAYER_PATH);
}

/* Its last line has its counts. */
static void take_counts(harness *h, FILE *output, outcome *out)
{
    char line[2048];
    int passed = 0, failed = 0, skipped = 0;
    while (fgets(line, sizeof(line), output))
        if (sscanf(line, "%d passed, %d failed, %d skipped", &passed, &failed, &skipped) != 3)
            fputs(line, stdout);
    h->passed += passed;
    h->failed += failed;
    h->skipped += skipped;
    if (passed + failed == 0)
        outcome_fail(out, "the child ran no case");
}

void suite_faults(harness *h)
{
    outcome out = { PASSED, "", 0, 0.0 };
    char path[] = "/tmp/clattn_faults_XXXXXX", program[1024] = "";
    char *arguments[] = { program, "--suite", "faults", h->platform ? "--platform" : NULL, (char *)(size_t)h->platform,
                          NULL };
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = 0;
    if (in_child()) {
        run_child(h);
        return;
    }
    snprintf(program, sizeof(program), "%s", h->program);
    int file = mkstemp(path);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, file, 1);
    setenv("OPENCL_LAYERS", FAULT_LAYER_PATH, 1);
    int code = file < 0 ? -1 : posix_spawnp(&child, program, &actions, NULL, arguments, environ);
    unsetenv("OPENCL_LAYERS");
    posix_spawn_file_actions_destroy(&actions);
    FILE *output = file < 0 ? NULL : fdopen(file, "r");
    if (code != 0 || !output || waitpid(child, &status, 0) != child)
        outcome_fail(&out, "the child cannot be started: %s", strerror(code));
    if (output) {
        rewind(output);
        take_counts(h, output, &out);
        fclose(output);
        remove(path);
    }
    if (out.verdict == FAILED || (status != 0 && h->failed == 0))
        outcome_fail(&out, "the child ended with status %d", status);
    if (out.verdict == FAILED)
        harness_count(h, "child", NULL, &out);
}
