/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_GROUP_CHOICE_H
#define CLATTN_PLAN_GROUP_CHOICE_H

/* Which groups a cache operation's kernel has. */

#include "plan/records.h"

/* What was measured for append or gather from one type to another, else the built-in default. */
clattn_tile clattn_group_choice(clattn_device *device, clattn_algorithm algorithm, clattn_dtype from, clattn_dtype to);

#endif
