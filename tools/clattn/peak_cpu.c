/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "peak.h"

enum {
    READ_STEP = 512, /* floats */
    READ_STREAMS = 4,
    SINK_SIZE = 64,               /* bytes of the widest vector */
    FMA_ITERATIONS = 1500 * 1000, /* some milliseconds */
    RUNS = 32,
    MAX_THREADS = 1024
};

#if defined(__x86_64__)
#include <immintrin.h>

#define LOOPS_FMA                   fma_avx512f
#define LOOPS_READ                  read_avx512f
#define LOOPS_TARGET                __attribute__((target("avx512f")))
#define LOOPS_VECTOR                __m512
#define LOOPS_COUNT                 16
#define LOOPS_SPLAT(x)              _mm512_set1_ps(x)
#define LOOPS_LOAD(p)               _mm512_loadu_ps(p)
#define LOOPS_ADD(a, b)             _mm512_add_ps(a, b)
#define LOOPS_MULTIPLY_ADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#include "peak_loops.h"

/* 16 registers, one of them for the constant. */
#define LOOPS_FMA                   fma_avx2
#define LOOPS_READ                  read_avx2
#define LOOPS_TARGET                __attribute__((target("avx2,fma")))
#define LOOPS_VECTOR                __m256
#define LOOPS_COUNT                 12
#define LOOPS_SPLAT(x)              _mm256_set1_ps(x)
#define LOOPS_LOAD(p)               _mm256_loadu_ps(p)
#define LOOPS_ADD(a, b)             _mm256_add_ps(a, b)
#define LOOPS_MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#include "peak_loops.h"

#define LOOPS_FMA                   fma_sse2
#define LOOPS_READ                  read_sse2
#define LOOPS_TARGET                __attribute__((target("sse2")))
#define LOOPS_VECTOR                __m128
#define LOOPS_COUNT                 12
#define LOOPS_SPLAT(x)              _mm_set1_ps(x)
#define LOOPS_LOAD(p)               _mm_loadu_ps(p)
#define LOOPS_ADD(a, b)             _mm_add_ps(a, b)
#define LOOPS_MULTIPLY_ADD(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
#include "peak_loops.h"

#else

/* Single floats, which the compiler joins to vectors. */
#define LOOPS_FMA  fma_plain
#define LOOPS_READ read_plain
#define LOOPS_TARGET
#define LOOPS_VECTOR                float
#define LOOPS_COUNT                 64
#define LOOPS_SPLAT(x)              (x)
#define LOOPS_LOAD(p)               (*(p))
#define LOOPS_ADD(a, b)             ((a) + (b))
#define LOOPS_MULTIPLY_ADD(a, b, c) fmaf(a, b, c)
#include "peak_loops.h"

#endif

typedef struct cpu_loops {
    const char *name;
    int floats; /* that one iteration of fma() multiplies and adds */
    void (*fma)(int64_t iterations, float seed, void *sink);
    void (*read)(const float *from, size_t floats, size_t streams, void *sink);
} cpu_loops;

static cpu_loops widest_loops(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return (cpu_loops){ "avx512f", 16 * 16, fma_avx512f, read_avx512f };
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (cpu_loops){ "avx2 and fma", 12 * 8, fma_avx2, read_avx2 };
    return (cpu_loops){ "sse2", 12 * 4, fma_sse2, read_sse2 };
#else
    return (cpu_loops){ "fmaf", 64, fma_plain, read_plain };
#endif
}

/* One thread's share. */
typedef struct worker {
    pthread_t thread;
    void (*task)(struct worker *own);
    double start, end;
    const cpu_loops *loops;
    float *from, *to; /* own parts of the two buffers */
    size_t floats;
    _Alignas(SINK_SIZE) char sink[SINK_SIZE];
} worker;

typedef struct team {
    cpu_loops loops;
    int count;
    worker *workers;
    float *from, *to;
    size_t floats; /* a worker */
} team;

static double wall_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void do_fma(worker *own)
{
    own->loops->fma(FMA_ITERATIONS, (float)own->floats, own->sink);
}

static void do_read(worker *own)
{
    own->loops->read(own->from, own->floats, 1, own->sink);
}

static void do_read_streams(worker *own)
{
    own->loops->read(own->from, own->floats / READ_STREAMS, READ_STREAMS, own->sink);
}

static void do_copy(worker *own)
{
    memcpy(own->to, own->from, own->floats * sizeof(float));
}

/* Pages come into being near the core that touches them first. */
static void do_touch(worker *own)
{
    for (size_t i = 0; i < own->floats; i++)
        own->from[i] = own->to[i] = 1.0f;
}

static void *work(void *argument)
{
    worker *own = argument;
    own->start = wall_clock();
    own->task(own);
    own->end = wall_clock();
    return NULL;
}

/* All workers once. *seconds: from the first one's start to the last one's end. Exit status. */
static int run_once(team *all, void (*task)(worker *own), double *seconds)
{
    double start = HUGE_VAL, end = 0;
    int started = 0, code = 0;
    while (started < all->count && code == 0) {
        worker *next = &all->workers[started];
        next->task = task;
        code = pthread_create(&next->thread, NULL, work, next);
        started += code == 0;
    }
    for (int i = 0; i < started; i++) {
        const worker *ended = &all->workers[i];
        pthread_join(ended->thread, NULL);
        start = ended->start < start ? ended->start : start;
        end = ended->end > end ? ended->end : end;
    }
    *seconds = end - start;
    return code == 0 ? EXIT_DONE : fail("the CPU's peaks need %d threads: %s", all->count, strerror(code));
}

static int run_best(team *all, void (*task)(worker *own), double *best)
{
    int status = EXIT_DONE;
    *best = HUGE_VAL;
    for (int i = 0; i < RUNS && status == EXIT_DONE; i++) {
        double seconds = 0;
        status = run_once(all, task, &seconds);
        *best = seconds < *best ? seconds : *best;
    }
    return status;
}

static int gather_team(size_t bytes, team *out)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    *out = (team){ .loops = widest_loops(), .count = cores < 1 ? 1 : cores > MAX_THREADS ? MAX_THREADS : (int)cores };
    const size_t step = READ_STEP * READ_STREAMS;
    out->floats = bytes / sizeof(float) / (size_t)out->count / step * step;
    size_t size = out->floats * sizeof(float) * (size_t)out->count;
    out->workers = aligned_alloc(SINK_SIZE, (size_t)out->count * sizeof *out->workers);
    out->from = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    out->to = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    if (!out->workers || !out->from || !out->to)
        return fail("the CPU's peaks need two buffers of %zu bytes, and there is no memory for them", size);
    for (int i = 0; i < out->count; i++)
        out->workers[i] = (worker){ .loops = &out->loops,
                                    .from = out->from + (size_t)i * out->floats,
                                    .to = out->to + (size_t)i * out->floats,
                                    .floats = out->floats };
    return EXIT_DONE;
}

static void dismiss_team(team *all)
{
    free(all->workers);
    free(all->from);
    free(all->to);
}

/* Work a second at best, where one run is `work`. */
static int measure_rate(team *all, void (*task)(worker *own), double work, double *rate)
{
    double seconds = 0;
    int status = run_best(all, task, &seconds);
    *rate = work / seconds;
    return status;
}

/* Some machines read one run of addresses fastest, others several at once. */
static int measure_read(team *all, double bytes, double *bandwidth)
{
    double one = 0, streams = 0;
    int status = measure_rate(all, do_read, bytes, &one);
    if (status == EXIT_DONE)
        status = measure_rate(all, do_read_streams, bytes, &streams);
    *bandwidth = fmax(one, streams);
    return status;
}

int peaks_measure_cpu(peak_set set, size_t bytes, peaks *out)
{
    team all;
    double seconds = 0;
    *out = (peaks){ .fma_flops = 0 };
    int status = gather_team(bytes, &all);
    const double moved = (double)all.floats * sizeof(float) * all.count;
    if (status == EXIT_DONE)
        status = run_once(&all, do_touch, &seconds);
    if (status == EXIT_DONE && set == PEAK_ALL)
        status = measure_rate(&all, do_fma, 2.0 * all.loops.floats * FMA_ITERATIONS * all.count, &out->fma_flops);
    if (status == EXIT_DONE && set != PEAK_COPY)
        status = measure_read(&all, moved, &out->read_bandwidth);
    if (status == EXIT_DONE && set != PEAK_READ)
        status = measure_rate(&all, do_copy, 2.0 * moved, &out->copy_bandwidth);
    snprintf(out->how, sizeof out->how, "%s, %d threads", all.loops.name, all.count);
    dismiss_team(&all);
    return status;
}
