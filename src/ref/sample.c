/* SPDX-License-Identifier: BSD-2-Clause */
#include "ref/ref_internal.h"

static bool beside_tile_edge(int32_t i, int32_t row_tile)
{
    return row_tile > 0 && (i % row_tile == 0 || i % row_tile == row_tile - 1);
}

int32_t ref_sample_rows(const ref_sampling *sampling, int32_t b, int32_t q_head, int32_t q_len, bool *chosen)
{
    bool all = sampling == NULL || sampling->max_rows_per_head <= 0 || sampling->max_rows_per_head >= q_len;
    int32_t count = 0;
    for (int32_t i = 0; i < q_len; i++) {
        chosen[i] = all || i == 0 || i == q_len - 1 || beside_tile_edge(i, sampling->row_tile);
        count += chosen[i];
    }
    if (all)
        return count;
    /* Knuth's selection sampling among the rows left: each has the same chance, and it ends. */
    int32_t wanted = sampling->max_rows_per_head - count;
    int32_t left = q_len - count;
    ref_random random = { sampling->seed ^ ((uint64_t)b << 32 | (uint64_t)q_head) };
    for (int32_t i = 0; i < q_len && wanted > 0; i++) {
        if (chosen[i])
            continue;
        if (ref_random_range(&random, 0, left - 1) < wanted) {
            chosen[i] = true;
            count++;
            wanted--;
        }
        left--;
    }
    return count;
}
