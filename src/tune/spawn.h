/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_SPAWN_H
#define CLATTN_TUNE_SPAWN_H

/* Starting the worker. */

#include <stdbool.h>
#include <sys/types.h>

#include "device/device.h"
#include "util/hash.h"

/* "P:D", as the command's --device takes it: the places of platform and device in the lists of this process, which are
 * those of its children. CLATTN_UNSUPPORTED: it is in no list. */
clattn_status clattn_spawn_selector(cl_device_id id, char *selector, size_t size);

/* Tells apart devices, drivers and platforms: both processes have to give the same. */
void clattn_spawn_device_key(const clattn_device *device, char hex[CLATTN_KEY_HEX_SIZE]);

/* Starts argv[0] with a new socket as its standard input, whose other end is *socket. Its standard output goes nowhere,
 * since drivers print there, and when `quiet` so do its errors. It is a process group of its own: an interrupt from the
 * keyboard is for this process to deal with. CLATTN_IO_ERROR. */
clattn_status clattn_spawn(char *const argv[], bool quiet, pid_t *process, int *socket);

#endif
