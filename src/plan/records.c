/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/records.h"

const char *clattn_tuning_level_name(clattn_tuning_level level)
{
    (void)level;
    return "default";
}

bool clattn_records_choose(clattn_device *device, const clattn_tuning_class *wanted, const clattn_tile_problem *problem,
                           clattn_tuning_choice *out)
{
    (void)device;
    (void)wanted;
    (void)problem;
    (void)out;
    return false;
}

clattn_tuning_class clattn_class_of_problem(const clattn_problem *problem, clattn_algorithm algorithm,
                                            clattn_fragment_id fragment)
{
    (void)problem;
    return (clattn_tuning_class){ .algorithm = algorithm, .fragment = fragment };
}

clattn_tuning_class clattn_class_of_types(clattn_algorithm algorithm, clattn_dtype from, clattn_dtype to)
{
    return (clattn_tuning_class){ .algorithm = algorithm,
                                  .fragment = CLATTN_FRAGMENT_GROUP,
                                  .values = { (int32_t)from, (int32_t)to } };
}
