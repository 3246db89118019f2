/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/fragment.h"

#include <stdio.h>
#include <string.h>

/* Of the two for tensor cores: O and the tiles of wider heads fit neither registers nor local memory. */
#define MAX_HEAD_DIM 256

static bool runs_tensor_cores(const clattn_device_info *info, clattn_fragment_id fragment)
{
    const int version = clattn_is_nvidia(info) ? clattn_sm_version(info->architecture) : 0;
    return fragment == CLATTN_FRAGMENT_NV_WGMMA ? version == 90 : version >= 80;
}

/* Whether products take K or V, or the fragment makes operands of its blocks (cl/nv_stored_products.clh). */
static bool takes_cache(clattn_fragment_id fragment, clattn_dtype q_dtype, clattn_dtype dtype)
{
    const bool is_blocks = dtype == CLATTN_Q8_0 || dtype == CLATTN_Q4_0;
    return dtype == q_dtype || (is_blocks && fragment == CLATTN_FRAGMENT_NV_MMA);
}

bool clattn_fragment_takes(clattn_fragment_id fragment, const clattn_problem *problem, const clattn_device_info *info,
                           char *why, size_t why_size)
{
    const clattn_attention_desc *d = &problem->desc;
    const bool halves = d->q_dtype == CLATTN_F16 || d->q_dtype == CLATTN_BF16;
    why[0] = '\0';
    if (!clattn_fragment_is_tensor_core(fragment))
        return true;
    if (!runs_tensor_cores(info, fragment))
        snprintf(why, why_size, "%s needs an NVIDIA GPU of %s; the architecture is '%s'",
                 clattn_fragment_row(fragment)->name, fragment == CLATTN_FRAGMENT_NV_WGMMA ? "sm_90" : "sm_80 or newer",
                 info->architecture);
    else if (!halves || d->o_dtype != d->q_dtype || !takes_cache(fragment, d->q_dtype, d->k_dtype) ||
             !takes_cache(fragment, d->q_dtype, d->v_dtype))
        snprintf(why, why_size, "%s needs Q, K, V and O in f16, or all in bf16%s; they are %s, %s, %s, %s",
                 clattn_fragment_row(fragment)->name,
                 fragment == CLATTN_FRAGMENT_NV_MMA ? " (K and V in q8_0 or q4_0, too)" : "",
                 clattn_dtype_name(d->q_dtype), clattn_dtype_name(d->k_dtype), clattn_dtype_name(d->v_dtype),
                 clattn_dtype_name(d->o_dtype));
    else if (d->head_dim > MAX_HEAD_DIM || d->v_head_dim > MAX_HEAD_DIM)
        snprintf(why, why_size, "%s needs head dims up to %d; they are %d and %d", clattn_fragment_row(fragment)->name,
                 MAX_HEAD_DIM, (int)d->head_dim, (int)d->v_head_dim);
    return why[0] == '\0';
}

clattn_fragment_id clattn_fragment_for(const clattn_device *device, const clattn_problem *problem)
{
    clattn_fragment_id fragment = clattn_fragment_named(clattn_preferred_fragment(device));
    char why[128];
    while (!clattn_fragment_takes(fragment, problem, clattn_device_probed(device), why, sizeof(why)))
        fragment = clattn_fragment_row(fragment)->otherwise;
    return fragment;
}
