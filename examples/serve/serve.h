/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SERVE_H
#define SERVE_H

/* A small continuous-batching server over clattn. There is no model in it: rows of Q, K and V are a hash of a
 * sequence's tokens so far, and so is the next token. All else is what an inference engine does:
 *
 *   main.c       the loop over steps, and the report
 *   jobs.c       requests, their samples and their tokens; the rows that stand for a model's
 *   scheduler.c  which sequences run in a step, with the page manager: prefixes, forks, preemption
 *   engine.c     the device: plans, buffers, what a step enqueues
 *   checker.c    attention over the same rows in double, without pages */

#include <stdbool.h>
#include <stdint.h>

#include <clattn/clattn.h>

/* The model's shape. K and V are kept as f16. */
enum { Q_HEADS = 4, KV_HEADS = 2, DIM = 64, MAX_LAYERS = 16 };
enum { QKV_HEADS = Q_HEADS + 2 * KV_HEADS }; /* of a token's packed row: queries, keys, values */

/* The server's bounds. The cache is small on purpose: it runs out of pages. */
enum { PAGE_SIZE = 16, NUM_PAGES = 44, NUM_HOST_PAGES = 14 };
enum { MAX_TOKENS = 256, MAX_PAGES = MAX_TOKENS / PAGE_SIZE }; /* of one sequence */
enum { MAX_BATCH = 12, MAX_STEP_TOKENS = 64, MAX_CHUNK = 32 };
enum { MAX_REQUESTS = 1000, MAX_SAMPLES = 4 };
enum { STEPS_IN_FLIGHT = 2 };

typedef enum job_state {
    JOB_EXPECTED, /* its request has not arrived, or it waits to be forked from its request's first sample */
    JOB_WAITING,  /* has no sequence: new, or preempted to be computed again */
    JOB_SWAPPED,  /* its pages are in host memory */
    JOB_RUNNING,
    JOB_DONE
} job_state;

/* One sample of a request: a sequence of tokens that grows. */
typedef struct job {
    job_state state;
    int32_t arrival;             /* the step in which its request comes */
    int32_t sample, num_samples; /* of its request; the samples of a request follow one another */
    uint64_t tenant;             /* requests of different tenants share no pages */
    int32_t prompt_length;       /* tokens */
    int32_t end_length;          /* done with this many tokens */
    int32_t length;              /* tokens known so far: the prompt, then what was sampled */
    int32_t computed;            /* of these, tokens with keys and values in the cache */
    int32_t step_tokens;         /* tokens that the current step computes; 0: it sits out */
    uint64_t admitted;           /* the step in which it last began to run */
    clattn_sequence sequence;    /* while it is swapped or runs */
    int32_t tokens[MAX_TOKENS];
    uint64_t history[MAX_TOKENS]; /* a hash of the tokens up to and with each one */
} job;

/* What the kernels read of a step besides rows, as it lies in one buffer on the device. */
typedef struct step_indices {
    int64_t slot_mapping[MAX_STEP_TOKENS];
    int32_t block_table[MAX_BATCH][MAX_PAGES];
    int32_t kv_lens[MAX_BATCH];
    int32_t cu_seqlens[MAX_BATCH + 1];
} step_indices;

/* A step from scheduling to retirement. Host memory that the device reads or writes may not be touched in between, so
 * each step in flight has its own. */
typedef struct step {
    uint64_t number;
    cl_event done;
    int32_t batch, tokens;
    job *jobs[MAX_BATCH]; /* of each sequence of the batch */
    int32_t q_lens[MAX_BATCH];
    step_indices indices;
    clattn_page_list swap_out, swap_in, copies; /* pairs of pages, for the device */
    clattn_page_pair swap_out_pairs[NUM_PAGES], swap_in_pairs[NUM_PAGES], copy_pairs[MAX_BATCH];
    float *rows;   /* [tokens, layers, QKV_HEADS, DIM] */
    float *output; /* [tokens, layers, Q_HEADS, DIM] */
} step;

/* Ends the program with a message when a call failed. */
void check(clattn_status status);
void check_cl(cl_int code, const char *what);

/* jobs.c. jobs_make returns all samples of `requests` requests, ordered by arrival; the caller frees them. */
job *jobs_make(uint64_t seed, int32_t requests, int32_t *num_jobs);

/* Adds the token that the model makes of those before. */
void job_sample(job *j);

/* The row of one token in one layer: Q_HEADS queries, KV_HEADS keys, KV_HEADS values, DIM each. The numbers are such
 * that f16 holds them. */
typedef enum row_kind { ROW_Q, ROW_K, ROW_V } row_kind;
void make_row(row_kind kind, uint64_t history, int32_t layer, int32_t head, float row[DIM]);

/* engine.c */
typedef struct engine engine;
engine *engine_create(int32_t layers, unsigned platform);
void engine_destroy(engine **e);
const char *engine_device_name(const engine *e);

/* Room for a step's rows and lists. */
void engine_init_step(const engine *e, step *st);
void engine_free_step(step *st);

/* Enqueues all of a step; st->done is its event. */
void engine_run(engine *e, step *st);

/* What kernels reported of bad page ids and slots, over all steps; waits for them. */
clattn_error_record engine_errors(engine *e);

/* scheduler.c */
typedef struct totals {
    int64_t tokens, sampled, copies, forks;
    int64_t swaps, swapped_pages, recomputations, recomputed_tokens;
    int32_t peak_pages, peak_shared;
} totals;

typedef struct scheduler {
    clattn_pages *pages;
    job *jobs;
    int32_t num_jobs, num_done;
    int32_t running;             /* places of the batch that are taken */
    bool preempted;              /* in this step */
    step steps[STEPS_IN_FLIGHT]; /* a ring: step n is steps[n % STEPS_IN_FLIGHT] */
    uint64_t next;               /* the step to begin */
    int32_t in_flight;           /* steps before it that have not retired */
    int32_t layers;
    double worst, check_seconds; /* of check_step over all steps */
    totals total;
} scheduler;

/* The caller sets up the rooms of s->steps. */
void scheduler_init(scheduler *s, job *jobs, int32_t num_jobs, int32_t layers);
void scheduler_free(scheduler *s);

/* Chooses what runs in the next step, gets pages for it, and fills the step's indices and lists. */
step *scheduler_begin(scheduler *s);

/* After the step was enqueued: its tokens stand, new ones are sampled, samples are forked, ended sequences freed. */
void scheduler_commit(scheduler *s, step *st);

/* Waits until no step is in flight. */
void scheduler_drain(scheduler *s);

/* checker.c. The largest difference between the step's output and double arithmetic, as a part of what is tolerated:
 * over 1 is a mismatch. */
double check_step(const step *st, int32_t layers);
double worse(double a, double b);

double seconds_now(void);

#endif
