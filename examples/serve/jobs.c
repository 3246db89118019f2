/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests, and what stands for a model. */
#include <stdio.h>
#include <stdlib.h>

#include "serve.h"

enum { VOCABULARY = 32000, SYSTEM_PROMPT = 72 };

/* Bits of `x` in disorder (splitmix64). */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static int32_t between(uint64_t *state, int32_t low, int32_t high)
{
    *state = mix(*state);
    return low + (int32_t)(*state % (uint64_t)(high - low + 1));
}

static void add_token(job *j, int32_t token)
{
    uint64_t before = j->length > 0 ? j->history[j->length - 1] : mix(j->tenant);
    j->tokens[j->length] = token;
    j->history[j->length] = mix(before ^ (uint64_t)token);
    j->length++;
}

void job_sample(job *j)
{
    uint64_t choice = mix(j->history[j->length - 1] + (uint64_t)j->sample);
    add_token(j, (int32_t)(choice % VOCABULARY));
}

/* Every request starts with the same system prompt; then come words of its own. */
static void add_prompt(job *j, uint64_t seed, uint64_t request)
{
    for (int32_t i = 0; i < SYSTEM_PROMPT; i++)
        add_token(j, (int32_t)(mix(seed + (uint64_t)i) % VOCABULARY));
    for (int32_t i = SYSTEM_PROMPT; i < j->prompt_length; i++)
        add_token(j, (int32_t)(mix(seed ^ mix(request * MAX_TOKENS + (uint64_t)i)) % VOCABULARY));
}

job *jobs_make(uint64_t seed, int32_t requests, int32_t *num_jobs)
{
    job *jobs = calloc((size_t)requests * MAX_SAMPLES, sizeof(*jobs));
    if (!jobs) {
        fprintf(stderr, "no memory for %d requests\n", (int)requests);
        exit(1);
    }
    uint64_t state = seed;
    int32_t count = 0, arrival = 0;
    for (int32_t request = 0; request < requests; request++) {
        arrival += request > 0 ? between(&state, 0, 5) : 0;
        int32_t samples = request % 3 == 1 ? between(&state, 2, MAX_SAMPLES) : 1;
        uint64_t tenant = request % 5 == 4;
        int32_t prompt = SYSTEM_PROMPT + between(&state, 5, 90);
        for (int32_t sample = 0; sample < samples; sample++) {
            job *j = &jobs[count++];
            *j = (job){ .arrival = arrival, .sample = sample, .num_samples = samples, .tenant = tenant };
            j->prompt_length = prompt;
            j->end_length = prompt + between(&state, 10, MAX_TOKENS - SYSTEM_PROMPT - 90);
            add_prompt(j, seed, (uint64_t)request);
        }
    }
    *num_jobs = count;
    return jobs;
}

void make_row(row_kind kind, uint64_t history, int32_t layer, int32_t head, float row[DIM])
{
    uint64_t state = mix(history ^ mix((uint64_t)kind << 32 | (uint64_t)layer << 16 | (uint64_t)head));
    for (int32_t i = 0; i < DIM; i += 4) {
        state = mix(state);
        for (int32_t part = 0; part < 4; part++)
            row[i + part] = (float)((int32_t)(state >> (16 * part) & 511) - 256) / 256.0f;
    }
}
