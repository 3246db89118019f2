/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_API_BINDINGS_H
#define CLATTN_API_BINDINGS_H

#include "plan/arguments.h"

/* Checks every buffer that a run needs (there, aligned, as large as the largest index that it can reach) and binds it.
 * Arrays that the description does not ask for are bound to Q's buffer, which the kernels then never read as such. */
clattn_status clattn_bindings_init(clattn_bindings *bindings, const clattn_launches *launches,
                                   const clattn_attention_args *args);

#endif
