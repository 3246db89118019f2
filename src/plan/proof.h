/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_PROOF_H
#define CLATTN_PLAN_PROOF_H

/* Whether what a compiler accepts is also right: fragments of instructions that OpenCL C does not have show it
 * first. */

#include "device/device.h"
#include "kernel/tile.h"

/* Whether the fragment's prefill and decode build on the device and give a known answer: CLATTN_UNSUPPORTED when they
 * give another, CLATTN_BUILD_FAILED, or what kept them from running (which is tried again at the next call, while the
 * others are found out once a device). On a queue of its own; blocks meanwhile. Fragments in plain OpenCL C need no
 * proof. Thread-safe. */
clattn_status clattn_fragment_prove(clattn_device *device, clattn_fragment_id fragment);

#endif
