/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_TUNE_H
#define CLATTN_TUNE_TUNE_H

/* clattn_tune and clattn_tune_verify, once their arguments are checked and the folder is known and there. */

#include <clattn/tune.h>

clattn_status clattn_tune_search(clattn_device *device, const clattn_tune_params *params, const char *folder);
clattn_status clattn_tune_recheck(clattn_device *device, const clattn_tune_params *params, const char *folder);

#endif
