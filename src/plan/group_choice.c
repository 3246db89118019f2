/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/group_choice.h"

#include "kv/group.h"

clattn_tile clattn_group_choice(clattn_device *device, clattn_algorithm algorithm, clattn_dtype from, clattn_dtype to)
{
    const clattn_tuning_class class = clattn_class_of_types(algorithm, from, to);
    const clattn_tile_problem any = { 0 };
    clattn_tuning_choice choice;
    if (!clattn_records_choose(device, &class, &any, &choice))
        return clattn_group_default(device, algorithm);
    clattn_log(device, CLATTN_LOG_DEBUG, "%s from %s to %s: groups by %s:%d (%s)", clattn_algorithm_name(algorithm),
               clattn_dtype_name(from), clattn_dtype_name(to), choice.path, choice.line,
               clattn_tuning_level_name(choice.level));
    return choice.tile;
}
