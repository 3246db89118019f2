/* SPDX-License-Identifier: BSD-2-Clause */
#include "covering.h"

#include <stdlib.h>
#include <string.h>

#include "ref/ref.h"

#define MAX_FACTORS  40
#define MAX_ATTEMPTS 8
#define CANDIDATES   12

enum { OPEN, COVERED, EXCLUDED };

typedef struct builder {
    const covering_factor *factors;
    const test_case *base;
    int num_factors, strength;
    int num_values[MAX_FACTORS];
    int first_literal[MAX_FACTORS + 1]; /* a literal is one value of one factor */
    unsigned char *state;               /* of each combination of literals, by their sorted numbers */
    int literals;
    ref_random random;
} builder;

/* One value a factor; -1: not chosen yet. */
typedef struct row {
    int value[MAX_FACTORS];
} row;

static unsigned char *state_of(const builder *b, const int *literals)
{
    size_t index = 0;
    for (int n = 0; n < b->strength; n++)
        index = index * (size_t)b->literals + (size_t)literals[n];
    return &b->state[index];
}

/* Calls nothing: steps factors[0 .. strength) to the next ascending choice; false after the last. */
static bool next_choice(const builder *b, int *factors)
{
    int n = b->strength - 1;
    while (n >= 0 && factors[n] == b->num_factors - b->strength + n)
        n--;
    if (n < 0)
        return false;
    factors[n]++;
    for (int m = n + 1; m < b->strength; m++)
        factors[m] = factors[m - 1] + 1;
    return true;
}

static void first_choice(int *factors)
{
    factors[0] = 0;
    factors[1] = 1;
    factors[2] = 2;
}

/* How many open combinations a row covers; with `only` >= 0, those that contain this factor. `holds` may leave factors
 * out; `mark` closes what is found. */
static long count_open(const builder *b, const row *r, int only, const bool *holds, bool mark)
{
    int factors[3], literals[3];
    long found = 0;
    first_choice(factors);
    do {
        bool usable = only < 0, complete = true;
        for (int n = 0; n < b->strength; n++) {
            int f = factors[n];
            usable = usable || f == only;
            complete = complete && r->value[f] >= 0 && (!holds || holds[f]);
            literals[n] = b->first_literal[f] + r->value[f];
        }
        if (!usable || !complete || *state_of(b, literals) != OPEN)
            continue;
        found++;
        if (mark)
            *state_of(b, literals) = COVERED;
    } while (next_choice(b, factors));
    return found;
}

/* Gives every factor that has none the value that closes most, in a random order of factors. */
static void complete_row(builder *b, row *r)
{
    int order[MAX_FACTORS];
    for (int f = 0; f < b->num_factors; f++) {
        int other = (int)ref_random_range(&b->random, 0, f);
        order[f] = order[other];
        order[other] = f;
    }
    for (int n = 0; n < b->num_factors; n++) {
        int f = order[n];
        if (r->value[f] >= 0)
            continue;
        long best = -1;
        int start = (int)ref_random_range(&b->random, 0, b->num_values[f] - 1), chosen = start;
        for (int step = 0; step < b->num_values[f]; step++) {
            r->value[f] = (start + step) % b->num_values[f];
            long gain = count_open(b, r, f, NULL, false);
            if (gain > best) {
                best = gain;
                chosen = r->value[f];
            }
        }
        r->value[f] = chosen;
    }
}

static test_case case_of(const builder *b, const row *r)
{
    char message[128];
    test_case c = *b->base;
    for (int f = 0; f < b->num_factors; f++)
        if (!case_parse(&c, b->factors[f].values[r->value[f]], message, sizeof(message)))
            abort(); /* a factor of this program is mistyped */
    case_normalize(&c);
    return c;
}

/* Which factors' values are still in the case. */
static void find_held(const builder *b, const row *r, const test_case *c, bool *holds)
{
    char message[128];
    for (int f = 0; f < b->num_factors; f++) {
        test_case again = *c;
        holds[f] =
            case_parse(&again, b->factors[f].values[r->value[f]], message, sizeof(message)) && case_equal(c, &again);
    }
}

/* The first open combination, as a row that holds only it. */
static bool find_open(const builder *b, row *r, unsigned char **state)
{
    int factors[3], values[3] = { 0, 0, 0 }, literals[3];
    first_choice(factors);
    do {
        memset(values, 0, sizeof(values));
        for (int n = 0; n >= 0;) {
            for (int m = 0; m < b->strength; m++)
                literals[m] = b->first_literal[factors[m]] + values[m];
            *state = state_of(b, literals);
            if (**state == OPEN) {
                for (int f = 0; f < b->num_factors; f++)
                    r->value[f] = -1;
                for (int m = 0; m < b->strength; m++)
                    r->value[factors[m]] = values[m];
                return true;
            }
            for (n = b->strength - 1; n >= 0 && ++values[n] == b->num_values[factors[n]]; n--)
                values[n] = 0;
        }
    } while (next_choice(b, factors));
    return false;
}

static row best_candidate(builder *b, const row *start)
{
    row best = *start;
    long most = -1;
    for (int n = 0; n < CANDIDATES; n++) {
        row candidate = *start;
        complete_row(b, &candidate);
        long gain = count_open(b, &candidate, -1, NULL, false);
        if (gain > most) {
            most = gain;
            best = candidate;
        }
    }
    return best;
}

static bool add_case(covering_array *out, const test_case *c)
{
    test_case *cases = realloc(out->cases, (size_t)(out->count + 1) * sizeof(*cases));
    if (!cases)
        return false;
    out->cases = cases;
    out->cases[out->count++] = *c;
    out->cases[out->count - 1].seed = out->count;
    return true;
}

/* Tries to close one combination; after some failures it is impossible. */
static bool close_one(builder *b, const row *start, unsigned char *state, covering_array *out)
{
    for (int attempt = 0; attempt < MAX_ATTEMPTS && *state == OPEN; attempt++) {
        bool holds[MAX_FACTORS];
        row r = best_candidate(b, start);
        test_case c = case_of(b, &r);
        find_held(b, &r, &c, holds);
        long gain = count_open(b, &r, -1, holds, true);
        out->covered += gain;
        if (gain > 0 && !add_case(out, &c))
            return false;
    }
    if (*state == OPEN) {
        *state = EXCLUDED;
        out->excluded++;
    }
    return true;
}

bool covering_build(const covering_factor *factors, int num_factors, int strength, const test_case *base, uint64_t seed,
                    covering_array *out)
{
    builder b = {
        .factors = factors, .base = base, .num_factors = num_factors, .strength = strength, .random = { seed }
    };
    *out = (covering_array){ 0 };
    for (int f = 0; f < num_factors; f++) {
        while (b.num_values[f] < COVERING_MAX_VALUES && factors[f].values[b.num_values[f]])
            b.num_values[f]++;
        b.literals += b.num_values[f];
        b.first_literal[f + 1] = b.literals;
    }
    size_t states = (size_t)b.literals * (size_t)b.literals * (size_t)(strength == 3 ? b.literals : 1);
    b.state = calloc(states, 1);
    bool ok = b.state != NULL;
    row start;
    unsigned char *state;
    while (ok && find_open(&b, &start, &state))
        ok = close_one(&b, &start, state, out);
    free(b.state);
    return ok;
}
