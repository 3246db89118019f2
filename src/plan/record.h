/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_RECORD_H
#define CLATTN_PLAN_RECORD_H

/* Tuning records: one JSON file a device. docs/tuning.md describes the format. Knows no OpenCL. */

#include <stdio.h>

#include <clattn/device.h>

#include "plan/tuning_class.h"

#define CLATTN_RECORD_SCHEMA 1

/* What records know a device by. A CPU's name is no identity, so its instruction sets, caches and units count. */
typedef struct clattn_record_device {
    char *platform, *name, *vendor, *type, *architecture, *isa; /* "": unknown; isa: "" on what is no CPU */
    int64_t compute_units, cache_bytes, vector_width;
} clattn_record_device;

/* A choice that was measured. */
typedef struct clattn_record_entry {
    clattn_tuning_class class;
    clattn_tile tile;
    int32_t split_size;                      /* decode only; 0 elsewhere */
    char *driver, *library, *kernels, *date; /* kernels: version of the kernel's sources; date: "2026-11-27" */
    double seconds, default_seconds;         /* medians of the tile and of the default, measured in turns */
    int32_t points;                          /* candidates measured, the default among them */
    bool exhaustive;                         /* those were all that fit */
    int line;                                /* in the file, 0 for new ones */
} clattn_record_entry;

/* A candidate that is never to be tried again with that driver. */
typedef struct clattn_record_fault {
    clattn_tuning_class class;
    clattn_tile tile;
    int32_t split_size;
    char *driver, *kernels, *fault; /* "crashed", "timed out", "wrong", "not built" */
    int line;
} clattn_record_fault;

typedef struct clattn_record {
    clattn_record_device device;
    clattn_record_entry *entries;
    size_t entry_count;
    clattn_record_fault *faults;
    size_t fault_count;
} clattn_record;

/* Hears of a file or an entry that is not used: line 0 when it is the file as a whole. */
typedef void (*clattn_record_refusal)(void *user, const char *path, int line, const char *reason);

/* Parses a record's text. False when nothing of it can be used. What is refused (a later schema, a value out of its
 * space, an unknown kernel) is told by `refusal`; the other entries stay. */
bool clattn_record_parse(const char *path, const char *text, size_t size, clattn_record_refusal refusal, void *user,
                         clattn_record *out);

/* The same from a file of at most 16 MiB. */
bool clattn_record_read(const char *path, clattn_record_refusal refusal, void *user, clattn_record *out);

/* The record's text, to be freed; NULL when there is no memory. One entry a line, in the order of classes. */
char *clattn_record_text(const clattn_record *record);

void clattn_record_free(clattn_record *record);

/* The entry of that class; NULL when there is none. */
clattn_record_entry *clattn_record_find(const clattn_record *record, const clattn_tuning_class *of);

/* Adds, or replaces what the record has of that class (an entry) or of that candidate (a fault). Strings are copied.
 * False when there is no memory. */
bool clattn_record_set_entry(clattn_record *record, const clattn_record_entry *entry);
bool clattn_record_set_fault(clattn_record *record, const clattn_record_fault *fault);

/* Merges `changes` into the file of changes->device in `folder`, made if need be: under a lock (a file beside it) reads
 * what is there, replaces by class and candidate, writes atomically. A file that is there and cannot be read as a
 * record is kept as PATH.bad, with a refusal, and a new one is written. CLATTN_IO_ERROR names the path and what failed;
 * the old file is intact then. CLATTN_OUT_OF_MEMORY. */
clattn_status clattn_record_merge(const char *folder, const clattn_record *changes, clattn_record_refusal refusal,
                                  void *user);

/* "<folder>/<device name, in small letters and dashes>-<8 digits of the device's key>.json", to be freed; NULL when
 * there is no memory. */
char *clattn_record_path(const char *folder, const clattn_record_device *device);

bool clattn_record_same_device(const clattn_record_device *a, const clattn_record_device *b);

#endif
