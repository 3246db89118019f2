/* SPDX-License-Identifier: BSD-2-Clause */
/* The softmax between the two GEMMs of the unfused baseline, in place. Row r of a sequence is query r % q_len; it
 * attends keys up to r % q_len + offset, and the weights of the others become 0. */

/* Keys that the row attends. */
uint attended(uint q_len, uint keys, long offset)
{
    long last = (long)(get_group_id(0) % q_len) + offset;
    return last < 0 ? 0u : (uint)min(last + 1, (long)keys);
}

/* For CPUs: a work-item, in vectors of 16. */
__kernel void softmax_item(__global float *s, uint q_len, uint keys, long offset)
{
    __global float *row = s + get_group_id(0) * (ulong)keys;
    const uint count = attended(q_len, keys, offset), whole = count / 16 * 16;
    float16 top16 = (float16)(-INFINITY), sum16 = (float16)(0.0f);
    for (uint j = 0; j < whole; j += 16)
        top16 = fmax(top16, vload16(0, row + j));
    float8 top8 = fmax(top16.lo, top16.hi);
    float4 top4 = fmax(top8.lo, top8.hi);
    float top = fmax(fmax(top4.x, top4.y), fmax(top4.z, top4.w));
    for (uint j = whole; j < count; j++)
        top = fmax(top, row[j]);
    for (uint j = 0; j < whole; j += 16) {
        float16 weight = exp(vload16(0, row + j) - top);
        vstore16(weight, 0, row + j);
        sum16 += weight;
    }
    float8 sum8 = sum16.lo + sum16.hi;
    float4 sum4 = sum8.lo + sum8.hi;
    float sum = sum4.x + sum4.y + sum4.z + sum4.w;
    for (uint j = whole; j < count; j++) {
        row[j] = exp(row[j] - top);
        sum += row[j];
    }
    for (uint j = 0; j < whole; j += 16)
        vstore16(vload16(0, row + j) / sum, 0, row + j);
    for (uint j = whole; j < count; j++)
        row[j] /= sum;
    for (uint j = count; j < keys; j++)
        row[j] = 0.0f;
}

/* For GPUs: a work-group of LANES, a power of two. */
#define LANES 128

float reduce_max(__local float *scratch, float value)
{
    const uint lane = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    scratch[lane] = value;
    for (uint span = LANES / 2; span > 0; span /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lane < span)
            scratch[lane] = fmax(scratch[lane], scratch[lane + span]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return scratch[0];
}

float reduce_sum(__local float *scratch, float value)
{
    const uint lane = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    scratch[lane] = value;
    for (uint span = LANES / 2; span > 0; span /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lane < span)
            scratch[lane] += scratch[lane + span];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return scratch[0];
}

__kernel __attribute__((reqd_work_group_size(LANES, 1, 1)))
void softmax_group(__global float *s, uint q_len, uint keys, long offset)
{
    __local float scratch[LANES];
    __global float *row = s + get_group_id(0) * (ulong)keys;
    const uint lane = get_local_id(0), count = attended(q_len, keys, offset);
    float top = -INFINITY, sum = 0.0f;
    for (uint j = lane; j < count; j += LANES)
        top = fmax(top, row[j]);
    top = reduce_max(scratch, top);
    for (uint j = lane; j < count; j += LANES) {
        row[j] = exp(row[j] - top);
        sum += row[j];
    }
    sum = reduce_sum(scratch, sum);
    for (uint j = lane; j < keys; j += LANES)
        row[j] = j < count ? row[j] / sum : 0.0f;
}
