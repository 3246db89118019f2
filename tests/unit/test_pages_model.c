/* SPDX-License-Identifier: BSD-2-Clause */
/* Random operations on page managers of random bounds, tiny ones mostly, against the model in pages_model.c.
 *   test_pages_model [OPERATIONS [SEED]]   the default is 1,000,000 from seed 1; a failure prints the seed of its run
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pages_model.h"

enum { OPERATIONS_A_RUN = 2000 };

typedef struct random_choices {
    uint64_t state;
    uint64_t operations_left;
} random_choices;

static uint32_t random_below(void *user, uint32_t n)
{
    random_choices *choices = user;
    choices->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = choices->state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(((x >> 32) * n) >> 32);
}

static bool random_more(void *user)
{
    random_choices *choices = user;
    if (choices->operations_left == 0)
        return false;
    choices->operations_left--;
    return true;
}

int main(int argc, char **argv)
{
    const uint64_t operations = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    pages_model_totals totals = { 0 };
    while (totals.operations < operations) {
        const uint64_t before = totals.operations;
        random_choices choices = { .state = seed * UINT64_C(0xda942042e4dd58b5), .operations_left = OPERATIONS_A_RUN };
        const pages_choices source = { random_below, random_more, &choices };
        const char *wrong = pages_model_run(&source, &totals);
        if (wrong) {
            fprintf(stderr, "seed %" PRIu64 ", operation %" PRIu64 ": %s\n", seed, totals.operations - before, wrong);
            return 1;
        }
        seed++;
    }
    printf("%" PRIu64 " operations: %" PRIu64 " appends refused for want of pages, %" PRIu64
           " copies on write, %" PRIu64 " tokens found, %" PRIu64 " sequences swapped, %" PRIu64 " pages evicted\n",
           totals.operations, totals.refused_for_pages, totals.copies, totals.tokens_found, totals.swapped,
           totals.evictions);
    const bool reached =
        totals.refused_for_pages && totals.copies && totals.tokens_found && totals.swapped && totals.evictions;
    const bool passed = reached || operations < 100000;
    if (!passed)
        fprintf(stderr, "a count is 0: the operations do not reach what they should\n");
    printf("%d passed, %d failed, 0 skipped\n", passed, !passed);
    return passed ? 0 : 1;
}
