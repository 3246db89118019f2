/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_PROOF_H
#define CLATTN_PLAN_PROOF_H

/* Whether what a compiler accepts is also right: fragments of instructions that OpenCL C does not have show it
 * first. */

#include <stdbool.h>

#include "device/device.h"
#include "kernel/tile.h"

/* Whether the fragment's prefill and decode build on the device and give a known answer; else a reason in `why`.
 * Found out once a device, on a queue of its own; blocks meanwhile. Fragments in plain OpenCL C need no proof.
 * Thread-safe. */
bool clattn_fragment_proven(clattn_device *device, clattn_fragment_id fragment, char *why, size_t why_size);

#endif
