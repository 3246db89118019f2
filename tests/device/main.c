/* SPDX-License-Identifier: BSD-2-Clause */
/* The device tests. Every case counts once; the last line is "N passed, N failed, N skipped". Exit status 0 when all
 * passed, 1 when one failed or nothing was compared, 2 for a wrong command line, 77 when there is no device. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "suites.h"

typedef struct suite {
    const char *name, *what;
    bool by_default;
    void (*run)(harness *h);
} suite;

static const suite suites[] = {
#define SUITE(name, by_default, what) { #name, what, by_default, suite_##name },
#include "suites.def"
#undef SUITE
};

#define SUITE_COUNT (sizeof(suites) / sizeof(suites[0]))

typedef struct options {
    bool chosen[SUITE_COUNT];
    bool any_suite;
    const char *line;
} options;

static void usage(FILE *file)
{
    fputs("usage: test_attention [--platform PART] [--suite NAME]... [--case LINE] [--set LINE] [--seed N]\n"
          "       [--part I/N] [--full] [--verbose]\n",
          file);
    for (size_t n = 0; n < SUITE_COUNT; n++)
        fprintf(file, "  %-9s %s%s\n", suites[n].name, suites[n].what,
                suites[n].by_default ? "" : " (only when named)");
    fputs("LINE is \"name=value,...\" with the names of fields.def; --set puts it on top of every listed case.\n"
          "The seed draws what is compiled where that is not all, as it is with --full; 1 by default.\n"
          "--part takes every N-th case of a suite's covering arrays from the I-th on, 0 <= I < N: for N at once.\n",
          file);
}

static bool choose_suite(options *o, const char *name)
{
    for (size_t n = 0; n < SUITE_COUNT; n++) {
        if (strcmp(suites[n].name, name) == 0) {
            o->chosen[n] = o->any_suite = true;
            return true;
        }
    }
    fprintf(stderr, "--suite '%s' is not one of the suites\n", name);
    return false;
}

static bool parse_part(const char *text, harness *h)
{
    int end = 0;
    if (sscanf(text, "%d/%d%n", &h->part, &h->parts, &end) == 2 && text[end] == '\0' && h->part >= 0 &&
        h->part < h->parts)
        return true;
    fprintf(stderr, "--part is '%s'; it has to be I/N with 0 <= I < N\n", text);
    return false;
}

static bool parse_options(int argc, char **argv, options *o, harness *h)
{
    for (int n = 1; n < argc; n++) {
        const char *value = n + 1 < argc ? argv[n + 1] : NULL;
        if (strcmp(argv[n], "--full") == 0) {
            h->full = true;
        } else if (strcmp(argv[n], "--verbose") == 0) {
            h->verbose = true;
        } else if (strcmp(argv[n], "--platform") == 0 && value) {
            h->platform = argv[++n];
        } else if (strcmp(argv[n], "--set") == 0 && value) {
            h->set = argv[++n];
        } else if (strcmp(argv[n], "--seed") == 0 && value) {
            char *end = NULL;
            h->seed = strtoull(argv[++n], &end, 10);
            if (end == value || *end) {
                fprintf(stderr, "--seed is '%s'; it has to be a number\n", value);
                return false;
            }
        } else if (strcmp(argv[n], "--part") == 0 && value) {
            if (!parse_part(argv[++n], h))
                return false;
        } else if (strcmp(argv[n], "--case") == 0 && value) {
            o->line = argv[++n];
        } else if (strcmp(argv[n], "--suite") == 0 && value) {
            if (!choose_suite(o, argv[++n]))
                return false;
        } else {
            fprintf(stderr, "'%s' is no option, or lacks its value\n", argv[n]);
            return false;
        }
    }
    test_case c = case_default();
    char message[160];
    if (h->set && !case_parse(&c, h->set, message, sizeof(message))) {
        fprintf(stderr, "--set: %s\n", message);
        return false;
    }
    return true;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void run_suite(harness *h, const suite *s)
{
    double started = now();
    long programs = atomic_load(&h->programs);
    int before = h->passed + h->failed + h->skipped;
    h->suite = s->name;
    h->draws = (ref_random){ h->seed };
    s->run(h);
    printf("# %s: %d cases, %.1f s, %ld programs built\n", s->name, h->passed + h->failed + h->skipped - before,
           now() - started, atomic_load(&h->programs) - programs);
    fflush(stdout);
}

static void run_chosen(harness *h, const options *o)
{
    const test_case base = case_default();
    if (o->line) {
        h->suite = "case";
        h->verbose = true;
        run_line(h, &base, o->line);
        return;
    }
    for (size_t n = 0; n < SUITE_COUNT; n++)
        if (o->any_suite ? o->chosen[n] : suites[n].by_default)
            run_suite(h, &suites[n]);
}

int main(int argc, char **argv)
{
    harness h = { .program = argv[0], .seed = 1, .parts = 1 };
    setvbuf(stdout, NULL, _IOLBF, 0); /* a driver that aborts takes no line along */
    options o = { 0 };
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    if (!parse_options(argc, argv, &o, &h)) {
        usage(stderr);
        return 2;
    }
    if (!harness_open(&h, h.platform)) {
        printf("0 passed, 0 failed, 1 skipped\n");
        return 77;
    }
    printf("# %s, %s\n# seed %" PRIu64 "\n", h.info.platform_name, h.info.device_name, h.seed);
    run_chosen(&h, &o);
    harness_close(&h);
    printf("# %" PRId64 " elements compared\n", h.compared);
    printf("%d passed, %d failed, %d skipped\n", h.passed, h.failed, h.skipped);
    return h.failed > 0 || h.passed == 0 ? 1 : 0;
}
