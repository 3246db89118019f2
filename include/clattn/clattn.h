/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_CLATTN_H
#define CLATTN_CLATTN_H

/* clattn: tiled online-softmax attention for every device with an OpenCL driver.
 *
 * Rules that hold for every function:
 * - Structs whose first member is `struct_size` are descriptors. Start from their macro (CLATTN_ATTENTION_DESC(...), a
 *   compound literal that takes designated initialisers) or from their _init function; zero is the default of every
 *   field. A descriptor lives for the call: the library copies what it keeps.
 * - _create makes an object that _destroy releases; _destroy takes the pointer's address and sets it to NULL;
 * destroying NULL does nothing.
 * - No call blocks on the device unless its comment says so.
 * - No process-wide state: two clattn_device objects share nothing. */

#include <clattn/version.h>
#include <clattn/status.h>
#include <clattn/types.h>
#include <clattn/device.h>
#include <clattn/program_cache.h>
#include <clattn/attention.h>
#include <clattn/kv_cache.h>
#include <clattn/pages.h>
#include <clattn/cache_append.h>
#include <clattn/cache_copy.h>
#include <clattn/merge.h>
#include <clattn/tune.h>

#endif
