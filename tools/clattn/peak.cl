/* SPDX-License-Identifier: BSD-2-Clause */
/* What a device can do at best: FMA, reading, copying. */

#define CHAINS 16

/* 2 * CHAINS * iterations FLOP a work-item. Each accumulator tends to 1 from a start of its own. */
__kernel void peak_fma(__global float *sink, int iterations, float half_)
{
    float sum[CHAINS];
    #pragma unroll
    for (int i = 0; i < CHAINS; i++)
        sum[i] = (float)get_global_id(0) + (float)i;
    for (int n = 0; n < iterations; n++) {
        #pragma unroll
        for (int i = 0; i < CHAINS; i++)
            sum[i] = fma(sum[i], half_, half_);
    }
    float total = 0.0f;
    #pragma unroll
    for (int i = 0; i < CHAINS; i++)
        total += sum[i];
    /* Never so: a result that nobody needs is not computed. */
    if (total == -1.0f)
        sink[0] = total;
}

__kernel void peak_read(__global const float4 *from, __global float *sink, ulong count)
{
    float4 sum = (float4)(0.0f);
    for (ulong i = get_global_id(0); i < count; i += get_global_size(0))
        sum += from[i];
    if (sum.x + sum.y + sum.z + sum.w == -1.0f)
        sink[0] = sum.x;
}

__kernel void peak_copy(__global const float4 *from, __global float4 *to, ulong count)
{
    for (ulong i = get_global_id(0); i < count; i += get_global_size(0))
        to[i] = from[i];
}
