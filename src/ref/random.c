/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ref/ref.h"

uint64_t ref_random_bits(ref_random *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

double ref_random_uniform(ref_random *random)
{
    return (double)(ref_random_bits(random) >> 11) * 0x1p-53;
}

double ref_random_normal(ref_random *random)
{
    const double two_pi = 6.283185307179586476925286766559;
    double radius = sqrt(-2.0 * log(1.0 - ref_random_uniform(random))); /* 1 - u: never log(0) */
    return radius * cos(two_pi * ref_random_uniform(random));
}

int64_t ref_random_range(ref_random *random, int64_t low, int64_t high)
{
    uint64_t span = (uint64_t)high - (uint64_t)low + 1;
    uint64_t bits = ref_random_bits(random);
    return (int64_t)((uint64_t)low + (span == 0 ? bits : bits % span)); /* span 0: all 2^64 values */
}
