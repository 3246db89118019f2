/* SPDX-License-Identifier: BSD-2-Clause */
/* The loops of peak_cpu.c for one instruction set. No guard: included once for each, with these defined:
 *   LOOPS_FMA, LOOPS_READ      names of the functions
 *   LOOPS_TARGET               attribute of the functions
 *   LOOPS_VECTOR               type of a vector of floats
 *   LOOPS_COUNT                accumulators: enough to hide an FMA's latency, few enough to stay in registers
 *   LOOPS_SPLAT(x), LOOPS_LOAD(p), LOOPS_ADD(a, b), LOOPS_MULTIPLY_ADD(a, b, c) */

/* Each accumulator tends to 1 from a start of its own: equal ones would be one to the compiler. */
LOOPS_TARGET static void LOOPS_FMA(int64_t iterations, float seed, void *sink)
{
    LOOPS_VECTOR half = LOOPS_SPLAT(0.5f), sum[LOOPS_COUNT];
    for (int i = 0; i < LOOPS_COUNT; i++)
        sum[i] = LOOPS_SPLAT(seed + (float)i);
    for (int64_t n = 0; n < iterations; n++)
        for (int i = 0; i < LOOPS_COUNT; i++)
            sum[i] = LOOPS_MULTIPLY_ADD(sum[i], half, half);
    for (int i = 1; i < LOOPS_COUNT; i++)
        sum[0] = LOOPS_ADD(sum[0], sum[i]);
    memcpy(sink, &sum[0], sizeof sum[0]);
}

/* Reads `streams` parts of `floats` floats, a multiple of READ_STEP, side by side. */
LOOPS_TARGET static void LOOPS_READ(const float *from, size_t floats, size_t streams, void *sink)
{
    enum { WIDTH = sizeof(LOOPS_VECTOR) / sizeof(float), CHAINS = 8 };
    _Static_assert(READ_STEP % (WIDTH * CHAINS) == 0, "a step of whole vectors");
    LOOPS_VECTOR sum[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        sum[i] = LOOPS_SPLAT(0.0f);
    for (size_t n = 0; n < floats; n += WIDTH * CHAINS)
        for (size_t stream = 0; stream < streams; stream++)
            for (int i = 0; i < CHAINS; i++)
                sum[i] = LOOPS_ADD(sum[i], LOOPS_LOAD(from + stream * floats + n + WIDTH * i));
    for (int i = 1; i < CHAINS; i++)
        sum[0] = LOOPS_ADD(sum[0], sum[i]);
    memcpy(sink, &sum[0], sizeof sum[0]);
}

#undef LOOPS_FMA
#undef LOOPS_READ
#undef LOOPS_TARGET
#undef LOOPS_VECTOR
#undef LOOPS_COUNT
#undef LOOPS_SPLAT
#undef LOOPS_LOAD
#undef LOOPS_ADD
#undef LOOPS_MULTIPLY_ADD
