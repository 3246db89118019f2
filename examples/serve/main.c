/* SPDX-License-Identifier: BSD-2-Clause */
/* Serves made-up requests, checks every step, and says what it took. serve.h has the overview. Build it against an
 * installed clattn:
 *   cc -std=c11 -o serve serve/[a-z]*.c $(pkg-config --cflags --libs clattn OpenCL) -lm
 * Exits 1 when a result is wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve.h"

typedef struct options {
    int64_t steps, seed, layers, requests, platform;
} options;

typedef struct option {
    const char *name;
    int64_t *value, low, high;
    const char *what;
} option;

enum { NUM_OPTIONS = 5 };

static void list_options(options *o, option list[NUM_OPTIONS])
{
    *o = (options){ .steps = 400, .seed = 1, .layers = 2, .requests = 16 };
    const option all[NUM_OPTIONS] = {
        { "--steps", &o->steps, 1, 1000000, "most steps that are run" },
        { "--seed", &o->seed, 0, INT64_MAX, "of the requests and of all rows" },
        { "--layers", &o->layers, 1, MAX_LAYERS, "layers, which share a step's schedule" },
        { "--requests", &o->requests, 1, MAX_REQUESTS, "requests, which arrive over the steps" },
        { "--platform", &o->platform, 0, 15, "the OpenCL platform whose first device is taken" },
    };
    memcpy(list, all, sizeof(all));
}

static void usage(const option list[NUM_OPTIONS])
{
    for (int i = 0; i < NUM_OPTIONS; i++)
        printf("  %-12s N  %s; %lld to %lld, default %lld\n", list[i].name, list[i].what, (long long)list[i].low,
               (long long)list[i].high, (long long)*list[i].value);
}

static void parse(int argc, char **argv, options *o)
{
    option list[NUM_OPTIONS];
    list_options(o, list);
    for (int i = 1; i < argc; i += 2) {
        int known = 0;
        while (known < NUM_OPTIONS && strcmp(argv[i], list[known].name) != 0)
            known++;
        if (known == NUM_OPTIONS) {
            const bool help = strcmp(argv[i], "--help") == 0;
            if (!help)
                fprintf(stderr, "'%s' is not an option; --help lists them\n", argv[i]);
            else
                usage(list);
            exit(help ? 0 : 2);
        }
        char *end = NULL;
        errno = 0;
        const long long value = i + 1 < argc ? strtoll(argv[i + 1], &end, 10) : 0;
        if (!end || end == argv[i + 1] || *end || errno || value < list[known].low || value > list[known].high) {
            fprintf(stderr, "%s is '%s'; it has to be from %lld to %lld\n", argv[i], i + 1 < argc ? argv[i + 1] : "",
                    (long long)list[known].low, (long long)list[known].high);
            exit(2);
        }
        *list[known].value = value;
    }
}

double seconds_now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void print_step(const scheduler *s, const step *st)
{
    clattn_pages_stats pages;
    check(clattn_pages_get_stats(s->pages, 0, &pages));
    printf(
        "step %4llu: %2d sequences, %2d tokens; pages: %2d used (%d shared), %2d cached, %2d free, %2d on the host\n",
        (unsigned long long)st->number, (int)st->batch, (int)st->tokens, (int)pages.used, (int)pages.shared,
        (int)pages.cached, (int)(pages.free + pages.waiting), (int)pages.host_used);
}

static void report(const scheduler *s, const engine *e, double seconds)
{
    const totals *t = &s->total;
    clattn_pages_stats pages;
    check(clattn_pages_get_stats(s->pages, 0, &pages));
    printf("clattn %s on %s\n", clattn_version(), engine_device_name(e));
    printf("%llu steps, %d of %d sequences done, %lld tokens computed, %lld sampled\n", (unsigned long long)s->next,
           (int)s->num_done, (int)s->num_jobs, (long long)t->tokens, (long long)t->sampled);
    printf("throughput: %.0f tokens/s (%.2f s, checks not counted)\n", (double)t->tokens / seconds, seconds);
    printf("pages: at most %d of %d used, %d shared at once; %llu given up for room\n", (int)t->peak_pages, NUM_PAGES,
           (int)t->peak_shared, (unsigned long long)pages.evictions);
    printf("hit rate: %.0f %% of the tokens looked up (%llu of %llu)\n",
           100.0 * (double)pages.tokens_found / (double)(pages.tokens_looked ? pages.tokens_looked : 1),
           (unsigned long long)pages.tokens_found, (unsigned long long)pages.tokens_looked);
    printf("forks: %lld, pages copied on write: %lld\n", (long long)t->forks, (long long)t->copies);
    printf("preemptions: %lld swapped (%lld pages), %lld recomputed (%lld tokens again)\n", (long long)t->swaps,
           (long long)t->swapped_pages, (long long)t->recomputations, (long long)t->recomputed_tokens);
}

int main(int argc, char **argv)
{
    options o;
    parse(argc, argv, &o);
    int32_t num_jobs;
    job *jobs = jobs_make((uint64_t)o.seed, (int32_t)o.requests, &num_jobs);
    engine *e = engine_create((int32_t)o.layers, (unsigned)o.platform);
    scheduler s;
    scheduler_init(&s, jobs, num_jobs, (int32_t)o.layers);
    for (int i = 0; i < STEPS_IN_FLIGHT; i++)
        engine_init_step(e, &s.steps[i]);

    const double started = seconds_now();
    while (s.num_done < num_jobs && s.next < (uint64_t)o.steps) {
        step *st = scheduler_begin(&s);
        engine_run(e, st);
        if (st->number % 20 == 0)
            print_step(&s, st);
        scheduler_commit(&s, st);
    }
    scheduler_drain(&s);
    report(&s, e, seconds_now() - started - s.check_seconds);

    const clattn_error_record errors = engine_errors(e);
    if (errors.kinds)
        printf("kernels reported bad indices: kinds %u, sequence %u\n", errors.kinds, errors.sequence);
    printf("largest difference from attention in double: %.1e of what is tolerated\n", s.worst);
    for (int i = 0; i < STEPS_IN_FLIGHT; i++)
        engine_free_step(&s.steps[i]);
    scheduler_free(&s);
    engine_destroy(&e);
    free(jobs);
    return s.worst <= 1 && errors.kinds == 0 ? 0 : 1;
}
