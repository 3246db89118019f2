/* SPDX-License-Identifier: BSD-2-Clause */
/* What runs in a step, and in which pages. Everything here is host work of microseconds; the device runs behind. */
#include <string.h>

#include "serve.h"

static clattn_pages_stats stats_of(const scheduler *s)
{
    clattn_pages_stats stats;
    check(clattn_pages_get_stats(s->pages, 0, &stats));
    return stats;
}

void scheduler_init(scheduler *s, job *jobs, int32_t num_jobs, int32_t layers)
{
    const clattn_pages_group group = { .num_pages = NUM_PAGES, .num_host_pages = NUM_HOST_PAGES };
    const clattn_pages_params params =
        CLATTN_PAGES_PARAMS(.page_size = PAGE_SIZE, .num_groups = 1, .groups = &group,
                            .max_sequences = MAX_BATCH + NUM_HOST_PAGES, .max_tokens = MAX_TOKENS, .share_prefixes = 1);
    memset(s, 0, sizeof(*s));
    check(clattn_pages_create(&params, &s->pages));
    s->jobs = jobs;
    s->num_jobs = num_jobs;
    s->layers = layers;
}

void scheduler_free(scheduler *s)
{
    clattn_pages_destroy(&s->pages);
}

/* Waits for the oldest step in flight; false when there is none. Pages that its sequences let go of can be handed out
 * from here on. */
static bool retire_oldest(scheduler *s)
{
    if (s->in_flight == 0)
        return false;
    const uint64_t number = s->next - (uint64_t)s->in_flight;
    step *st = &s->steps[number % STEPS_IN_FLIGHT];
    check_cl(clWaitForEvents(1, &st->done), "clWaitForEvents");
    clReleaseEvent(st->done);
    check(clattn_pages_retire(s->pages, number));
    s->in_flight--;
    const double started = seconds_now();
    s->worst = worse(s->worst, check_step(st, s->layers));
    s->check_seconds += seconds_now() - started;
    return true;
}

void scheduler_drain(scheduler *s)
{
    while (retire_oldest(s))
        ;
}

/* Places of the batch that a running job needs: before its first token is sampled, one for each fork to come. */
static int32_t places(const job *j)
{
    return j->sample == 0 && j->length == j->prompt_length ? j->num_samples : 1;
}

/* Lets the youngest job go that is younger than `needs` and not in this step. Its pages wait until the step has
 * retired, so that this makes room for the next one. */
static void preempt(scheduler *s, step *st, const job *needs)
{
    job *victim = NULL;
    for (job *j = s->jobs + (needs - s->jobs) + 1; j < s->jobs + s->num_jobs; j++)
        if (j->state == JOB_RUNNING && j->step_tokens == 0 && j->admitted != st->number)
            victim = j;
    if (!victim)
        return;
    s->preempted = true;
    s->running -= places(victim);
    const int32_t before = st->swap_out.count;
    const clattn_status status = clattn_pages_swap_out(s->pages, victim->sequence, &st->swap_out);
    if (status == CLATTN_OK) {
        victim->state = JOB_SWAPPED;
        s->total.swaps++;
        s->total.swapped_pages += st->swap_out.count - before;
        return;
    }
    if (status != CLATTN_OUT_OF_PAGES)
        check(status);
    /* No room in host memory: its keys and values are computed again, but for what is still found in the cache. */
    check(clattn_pages_free(s->pages, victim->sequence));
    victim->state = JOB_WAITING;
    s->total.recomputations++;
}

/* Adds the next `count` tokens of a job to the step; not if there are no pages for them. */
static void add_tokens(scheduler *s, step *st, job *j, int32_t count)
{
    clattn_status status;
    do {
        status = clattn_pages_append(s->pages, j->sequence, j->tokens + j->computed, count,
                                     st->indices.slot_mapping + st->tokens, 0, &st->copies);
    } while (status == CLATTN_OUT_OF_PAGES && stats_of(s).waiting > 0 && retire_oldest(s));
    if (status == CLATTN_OUT_OF_PAGES) {
        if (!s->preempted)
            preempt(s, st, j);
        return;
    }
    check(status);
    j->step_tokens = count;
    st->jobs[st->batch] = j;
    st->q_lens[st->batch] = count;
    st->tokens += count;
    st->indices.cu_seqlens[++st->batch] = st->tokens;
}

static bool has_room(const scheduler *s, const job *j)
{
    const clattn_pages_stats stats = stats_of(s);
    const int32_t growth = s->running; /* a page for each that runs already */
    return s->running + places(j) <= MAX_BATCH &&
           stats.free + stats.cached >= (j->length + PAGE_SIZE - 1) / PAGE_SIZE + growth;
}

/* A new sequence: it gets the pages of the longest known prefix, and computes the rest. */
static void start(scheduler *s, job *j)
{
    check(clattn_pages_sequence_create(s->pages, j->tenant, &j->sequence));
    const int32_t computed_before = j->computed;
    check(clattn_pages_match(s->pages, j->sequence, j->tokens, j->length, &j->computed));
    if (computed_before > j->computed)
        s->total.recomputed_tokens += computed_before - j->computed;
}

/* Takes in jobs that wait, oldest first, as long as there is room. */
static void admit(scheduler *s, step *st)
{
    for (int32_t i = 0; i < s->num_jobs && !s->preempted; i++) {
        job *j = &s->jobs[i];
        if (j->state == JOB_EXPECTED && j->sample == 0 && (uint64_t)j->arrival <= st->number)
            j->state = JOB_WAITING;
        if (j->state != JOB_WAITING && j->state != JOB_SWAPPED)
            continue;
        if (!has_room(s, j))
            return;
        if (j->state == JOB_WAITING)
            start(s, j);
        else
            check(clattn_pages_swap_in(s->pages, j->sequence, &st->swap_in));
        j->state = JOB_RUNNING;
        j->admitted = st->number;
        s->running += places(j);
    }
}

/* Tables and lengths of the step's sequences, new tokens included. */
static void fill_indices(scheduler *s, step *st)
{
    clattn_sequence sequences[MAX_BATCH];
    for (int32_t b = 0; b < st->batch; b++)
        sequences[b] = st->jobs[b]->sequence;
    check(
        clattn_pages_block_table(s->pages, 0, sequences, st->batch, st->indices.block_table[0], MAX_PAGES, MAX_PAGES));
    check(clattn_pages_kv_lens(s->pages, sequences, st->batch, st->indices.kv_lens));
}

static void note_use(scheduler *s)
{
    const clattn_pages_stats stats = stats_of(s);
    if (stats.used > s->total.peak_pages)
        s->total.peak_pages = stats.used;
    if (stats.shared > s->total.peak_shared)
        s->total.peak_shared = stats.shared;
}

step *scheduler_begin(scheduler *s)
{
    if (s->in_flight == STEPS_IN_FLIGHT)
        retire_oldest(s);
    step *st = &s->steps[s->next % STEPS_IN_FLIGHT];
    st->number = s->next;
    st->batch = st->tokens = st->swap_out.count = st->swap_in.count = st->copies.count = 0;
    s->preempted = false;
    check(clattn_pages_begin_step(s->pages, st->number));

    /* First those that decode, one token each; then prompts, in chunks, with what is left of the step. */
    for (int32_t i = 0; i < s->num_jobs; i++)
        if (s->jobs[i].state == JOB_RUNNING && s->jobs[i].length - s->jobs[i].computed == 1)
            add_tokens(s, st, &s->jobs[i], 1);
    admit(s, st);
    for (int32_t i = 0; i < s->num_jobs && st->batch < MAX_BATCH; i++) {
        job *j = &s->jobs[i];
        if (j->state != JOB_RUNNING || j->step_tokens > 0)
            continue;
        int32_t count = j->length - j->computed, left = MAX_STEP_TOKENS - st->tokens;
        count = count < MAX_CHUNK ? count : MAX_CHUNK;
        count = count < left ? count : left;
        if (count > 0)
            add_tokens(s, st, j, count);
    }
    fill_indices(s, st);
    note_use(s);
    return st;
}

/* The other samples of a request go on from its prompt, in the same pages. */
static void fork_samples(scheduler *s, const step *st, job *first)
{
    for (int32_t i = 1; i < first->num_samples; i++) {
        job *j = first + i;
        check(clattn_pages_fork(s->pages, first->sequence, &j->sequence));
        j->state = JOB_RUNNING;
        j->admitted = st->number;
        j->computed = first->computed;
        job_sample(j);
        s->total.sampled++;
        s->total.forks++;
    }
}

/* A job whose known tokens are all computed gets one more. */
static void sample(scheduler *s, const step *st, job *j)
{
    if (j->sample == 0 && j->length == j->prompt_length)
        fork_samples(s, st, j);
    job_sample(j);
    s->total.sampled++;
    if (j->length < j->end_length)
        return;
    check(clattn_pages_free(s->pages, j->sequence));
    j->state = JOB_DONE;
    s->num_done++;
    s->running--;
}

void scheduler_commit(scheduler *s, step *st)
{
    s->next++;
    s->in_flight++;
    for (int32_t b = 0; b < st->batch; b++) {
        check(clattn_pages_commit(s->pages, st->jobs[b]->sequence));
        st->jobs[b]->computed += st->jobs[b]->step_tokens;
        st->jobs[b]->step_tokens = 0;
    }
    for (int32_t b = 0; b < st->batch; b++)
        if (st->jobs[b]->computed == st->jobs[b]->length)
            sample(s, st, st->jobs[b]);
    s->total.tokens += st->tokens;
    s->total.copies += st->copies.count;
}
