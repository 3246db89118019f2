/* SPDX-License-Identifier: BSD-2-Clause */
/* How runs behave on queues: waiting, emptiness, order, threads, lifetimes, schedules that the device's lengths
 * contradict. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define IN_FLIGHT     6
#define THREADS       2
#define THREAD_RUNS   25

static const char *const prefill_line = "batch=2,hq=4,hk=2,d=32,dv=32,q=37,kv=70,causal=1,minq=1";
static const char *const decode_line = "batch=2,hq=4,hk=1,d=32,dv=32,q=1,kv=700,split=192";

/* A problem with its plan and schedule, ready to be enqueued by hand. */
typedef struct fixture {
    problem p;
    clattn_plan *plan;
    clattn_schedule schedule;
} fixture;

static bool fixture_make(harness *h, fixture *f, const char *line, outcome *out)
{
    const test_case c = case_from(line);
    f->plan = NULL;
    if (!problem_make(&f->p, &c)) {
        outcome_fail(out, "no memory");
        return false;
    }
    return step_upload(h, &f->p, out) && step_plan(h, &f->p, &f->plan, out) &&
           outcome_ok(out, clattn_schedule_make(f->plan, &f->p.lengths, &f->schedule), "clattn_schedule_make");
}

static void fixture_free(fixture *f)
{
    clattn_plan_destroy(&f->plan);
    problem_free(&f->p);
}

static bool enqueue(const fixture *f, cl_command_queue queue, cl_event *wait, cl_event *event, outcome *out)
{
    clattn_attention_args args = problem_args(&f->p);
    *event = NULL;
    if (!outcome_ok(out, clattn_attention_run(f->plan, &f->schedule, &args, queue, wait ? 1 : 0, wait, event), "run"))
        return false;
    if (!*event)
        outcome_fail(out, "the run returned no event");
    (void)clFlush(queue);
    return *event != NULL;
}

static cl_int state_of(cl_event event)
{
    cl_int state = CL_QUEUED;
    (void)clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(state), &state, NULL);
    return state;
}

static bool finish(harness *h, fixture *f, cl_event event, outcome *out)
{
    cl_int code = clWaitForEvents(1, &event);
    clReleaseEvent(event);
    if (code != CL_SUCCESS)
        outcome_fail(out, "waiting for the run's event failed with %d", code);
    return code == CL_SUCCESS && step_read(h, &f->p, out);
}

/* A run behind an event of ours must not end before it; `destroy`: its plan goes while it waits. */
static void check_gate(harness *h, const char *line, cl_command_queue queue, bool destroy, const char *name)
{
    outcome out = { PASSED, "", 0, 0.0 };
    fixture f;
    cl_int code = CL_SUCCESS;
    cl_event gate = queue ? clCreateUserEvent(h->context, &code) : NULL, event;
    if (!queue) {
        outcome_skip(&out, "the device has no out-of-order queues");
        harness_count(h, name, NULL, &out);
        return;
    }
    if (fixture_make(h, &f, line, &out) && enqueue(&f, queue, &gate, &event, &out)) {
        if (destroy)
            clattn_plan_destroy(&f.plan);
        if (state_of(event) == CL_COMPLETE)
            outcome_fail(&out, "the run ended before the event that it waits for");
        (void)clSetUserEventStatus(gate, CL_COMPLETE);
        if (finish(h, &f, event, &out))
            step_verify(&f.p, &out);
    } else {
        (void)clSetUserEventStatus(gate, CL_COMPLETE);
    }
    (void)clFinish(queue);
    clReleaseEvent(gate);
    fixture_free(&f);
    harness_count(h, name, NULL, &out);
}

static void check_gates(harness *h)
{
    static const char *const empty[] = {
        "batch=0,q=3,kv=5",         "batch=2,q=0,kv=5", "batch=2,q=0,kv=0",
        "lens=0:0+0:7+0:0,slack=3", "batch=2,q=3,kv=0", "lens=2:0+1:0,slack=3",
    };
    const cl_command_queue queues[] = { h->in_order, h->out_of_order };
    for (int n = 0; n < LENGTH(queues); n++) {
        const char *order = n ? "out-of-order" : "in-order";
        char name[160];
        snprintf(name, sizeof(name), "prefill waits for its wait list, %s", order);
        check_gate(h, prefill_line, queues[n], false, name);
        snprintf(name, sizeof(name), "decode and combine wait for the wait list, %s", order);
        check_gate(h, decode_line, queues[n], false, name);
        snprintf(name, sizeof(name), "a plan is destroyed with prefill in flight, %s", order);
        check_gate(h, prefill_line, queues[n], true, name);
        snprintf(name, sizeof(name), "a plan is destroyed with decode in flight, %s", order);
        check_gate(h, decode_line, queues[n], true, name);
        for (int m = 0; m < LENGTH(empty); m++) {
            snprintf(name, sizeof(name), "no work (%s) honours the wait list, %s", empty[m], order);
            check_gate(h, empty[m], queues[n], false, name);
        }
    }
}

/* Several runs at once, each behind the one before by its event alone. */
static void check_chain(harness *h, const char *line, const char *name)
{
    outcome out = { PASSED, "", 0, 0.0 };
    fixture f[IN_FLIGHT];
    cl_event events[IN_FLIGHT];
    int made = 0, queued = 0;
    if (!h->out_of_order) {
        outcome_skip(&out, "the device has no out-of-order queues");
        harness_count(h, name, NULL, &out);
        return;
    }
    while (made < IN_FLIGHT && fixture_make(h, &f[made], line, &out))
        made++;
    while (queued < made && out.verdict == PASSED &&
           enqueue(&f[queued], h->out_of_order, queued ? &events[queued - 1] : NULL, &events[queued], &out))
        queued++;
    for (int n = 0; n < queued; n++)
        if (finish(h, &f[n], events[n], &out))
            step_verify(&f[n].p, &out);
    (void)clFinish(h->out_of_order);
    for (int n = 0; n < (made < IN_FLIGHT ? made + 1 : made); n++)
        fixture_free(&f[n]);
    harness_count(h, name, NULL, &out);
}

typedef struct worker {
    harness *h;
    const fixture *shared; /* whose plan it uses */
    fixture own;           /* whose buffers it uses; its plan is borrowed */
    cl_command_queue queue;
    outcome out;
} worker;

static void *work(void *user)
{
    worker *w = user;
    for (int n = 0; n < THREAD_RUNS && w->out.verdict == PASSED; n++) {
        cl_event event;
        if (enqueue(&w->own, w->queue, NULL, &event, &w->out) && finish(w->h, &w->own, event, &w->out) && n % 12 == 0)
            step_verify(&w->own.p, &w->out);
    }
    return NULL;
}

static bool worker_make(worker *w, harness *h, const fixture *shared, int seed, bool one_queue)
{
    test_case c = shared->p.c;
    cl_int code;
    *w = (worker){ .h = h, .shared = shared, .out = { PASSED, "", 0, 0.0 } };
    c.seed = seed;
    if (!problem_make(&w->own.p, &c) || !step_upload(h, &w->own.p, &w->out))
        return false;
    clattn_plan *extra = NULL; /* only for its workspace */
    bool ok = step_plan(h, &w->own.p, &extra, &w->out);
    clattn_plan_destroy(&extra);
    w->own.plan = shared->plan;
    w->own.schedule = shared->schedule;
    w->queue = one_queue ? h->in_order : clCreateCommandQueue(h->context, h->id, 0, &code);
    return ok && w->queue;
}

static void check_threads(harness *h, const char *line, bool one_queue, const char *name)
{
    outcome out = { PASSED, "", 0, 0.0 };
    fixture shared;
    worker workers[THREADS];
    pthread_t threads[THREADS];
    memset(workers, 0, sizeof(workers));
    bool ok = fixture_make(h, &shared, line, &out);
    int started = 0;
    for (int n = 0; ok && n < THREADS; n++)
        ok = worker_make(&workers[n], h, &shared, n + 1, one_queue);
    while (ok && started < THREADS && pthread_create(&threads[started], NULL, work, &workers[started]) == 0)
        started++;
    for (int n = 0; n < started; n++)
        pthread_join(threads[n], NULL);
    if (started < THREADS)
        outcome_fail(&out, "the threads could not be started: %s", workers[0].out.why);
    for (int n = 0; n < THREADS; n++) {
        if (workers[n].out.verdict != PASSED)
            outcome_fail(&out, "thread %d: %s", n, workers[n].out.why);
        out.compared += workers[n].out.compared;
        problem_free(&workers[n].own.p);
        if (!one_queue && workers[n].queue)
            clReleaseCommandQueue(workers[n].queue);
    }
    fixture_free(&shared);
    harness_count(h, name, NULL, &out);
}

/* A schedule made from other lengths than those that the device's arrays hold, which are the line's. The first sequence
 * is longer there than it says, and has no room in the workspace; the others are as they say. */
typedef struct stale_schedule {
    const char *name, *line;
    int32_t q_lens[3], kv_lens[3];
} stale_schedule;

static const stale_schedule stale_schedules[] = {
    { "splits where no workspace is", "batch=2,lens=1:1024+64:2048", { 1, 64 }, { 512, 2048 } },
    { "more splits than there is room for", "batch=3,lens=1:2048+1:1024+64:2048", { 1, 1, 64 }, { 1024, 1024, 2048 } },
    { "more rows than there is room for", "batch=3,lens=2:2048+1:2048+64:2048", { 1, 1, 64 }, { 2048, 2048, 2048 } },
};

/* What is not an output holds what it did before the run. */
static void verify_inputs(const harness *h, const problem *p, outcome *out)
{
    for (int id = 0; id < MEM_COUNT; id++) {
        const memory *m = &p->memory[id];
        if (!m->buffer || id == MEM_O || id == MEM_LSE || id == MEM_WORKSPACE)
            continue;
        unsigned char *now = malloc(m->size);
        if (!now || clEnqueueReadBuffer(h->in_order, m->buffer, CL_TRUE, 0, m->size, now, 0, NULL, NULL) != CL_SUCCESS)
            outcome_fail(out, "buffer %d could not be read", id);
        else if (memcmp(now, m->host, m->size) != 0)
            outcome_fail(out, "buffer %d of the inputs was written", id);
        free(now);
    }
    const memory *workspace = &p->memory[MEM_WORKSPACE];
    const size_t end = p->view[MEM_WORKSPACE].offset + p->workspace_size;
    if (workspace->buffer && memcmp(workspace->got + end, workspace->host + end, workspace->size - end) != 0)
        outcome_fail(out, "bytes behind the workspace were written");
}

/* An output after the stale run against that of the run before it, `right`: alike but for the first sequence, whose
 * rows, `skipped` elements, were left out. */
static void verify_left_out(const problem *p, memory_id id, unsigned char *right, int64_t skipped, outcome *out)
{
    const memory *m = &p->memory[id];
    const size_t first = p->view[id].offset;
    memcpy(right + first, m->host + first, (size_t)skipped * sizeof(float));
    if (memcmp(m->got, right, m->size) != 0)
        outcome_fail(out, "%s is not what it was with a right schedule, less the sequence without room",
                     id == MEM_O ? "O" : "LSE");
}

static unsigned char *copy_of(const memory *m)
{
    unsigned char *copy = malloc(m->size);
    if (copy)
        memcpy(copy, m->got, m->size);
    return copy;
}

static void run_stale(harness *h, fixture *f, const stale_schedule *stale, outcome *out)
{
    problem *p = &f->p;
    if (!step_run(h, p, f->plan, out))
        return;
    step_verify(p, out);
    unsigned char *o = copy_of(&p->memory[MEM_O]), *lse = copy_of(&p->memory[MEM_LSE]);
    p->lengths.q_lens = stale->q_lens;
    p->lengths.kv_lens = stale->kv_lens;
    if (!o || !lse)
        outcome_fail(out, "no memory");
    else if (step_run(h, p, f->plan, out)) {
        verify_inputs(h, p, out);
        verify_left_out(p, MEM_O, o, p->q_lens[0] * p->desc.o.token, out);
        verify_left_out(p, MEM_LSE, lse, p->q_lens[0] * p->desc.lse.token, out);
    }
    free(o);
    free(lse);
}

static void check_stale(harness *h, const stale_schedule *stale, const char *fragment)
{
    outcome out = { PASSED, "", 0, 0.0 };
    char name[160], line[160];
    fixture f;
    snprintf(name, sizeof(name), "a stale schedule, %s, %s", stale->name, fragment);
    snprintf(line, sizeof(line), "hq=2,hk=1,qmode=ragged,kvmode=per_sequence,split=512,frag=%s,%s", fragment,
             stale->line);
    if (fixture_make(h, &f, line, &out))
        run_stale(h, &f, stale, &out);
    fixture_free(&f);
    harness_count(h, name, NULL, &out);
}

void suite_queues(harness *h)
{
    check_gates(h);
    check_chain(h, prefill_line, "prefills in a chain of events, out-of-order");
    check_chain(h, decode_line, "decodes in a chain of events, out-of-order");
    check_threads(h, prefill_line, false, "two threads, one plan, a queue each, prefill");
    check_threads(h, decode_line, false, "two threads, one plan, a queue each, decode");
    check_threads(h, decode_line, true, "two threads, one plan, one queue, decode");
    for (int n = 0; n < LENGTH(stale_schedules); n++) {
        check_stale(h, &stale_schedules[n], "frag_lanes");
        check_stale(h, &stale_schedules[n], "frag_scalar");
    }
}
