/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/record.h"

#include <stdlib.h>
#include <string.h>

#include "plan/record_internal.h"
#include "util/hash.h"
#include "util/text.h"

#define KEY_DIGITS 8
#define MAX_SLUG   64 /* bytes of the name that go into a file's */

static void free_entry(clattn_record_entry *entry)
{
    free(entry->driver);
    free(entry->library);
    free(entry->kernels);
    free(entry->date);
}

static void free_fault(clattn_record_fault *fault)
{
    free(fault->driver);
    free(fault->kernels);
    free(fault->fault);
}

static void free_device(clattn_record_device *device)
{
    free(device->platform);
    free(device->name);
    free(device->vendor);
    free(device->type);
    free(device->architecture);
    free(device->isa);
    *device = (clattn_record_device){ 0 };
}

void clattn_record_free(clattn_record *record)
{
    for (size_t i = 0; i < record->entry_count; i++)
        free_entry(&record->entries[i]);
    for (size_t i = 0; i < record->fault_count; i++)
        free_fault(&record->faults[i]);
    free(record->entries);
    free(record->faults);
    free_device(&record->device);
    *record = (clattn_record){ 0 };
}

bool clattn_record_copy_device(clattn_record_device *to, const clattn_record_device *from)
{
    *to = *from;
    to->platform = clattn_text_copy(from->platform);
    to->name = clattn_text_copy(from->name);
    to->vendor = clattn_text_copy(from->vendor);
    to->type = clattn_text_copy(from->type);
    to->architecture = clattn_text_copy(from->architecture);
    to->isa = clattn_text_copy(from->isa);
    if (to->platform && to->name && to->vendor && to->type && to->architecture && to->isa)
        return true;
    free_device(to);
    return false;
}

/* The array with room for one more element; NULL when there is no memory, and the array stays. Capacity is the next
 * power of two. */
static void *with_room(void *elements, size_t count, size_t size)
{
    return (count & (count - 1)) == 0 ? realloc(elements, (count ? 2 * count : 1) * size) : elements;
}

static clattn_record_entry *add_entry(clattn_record *record)
{
    clattn_record_entry *entries = with_room(record->entries, record->entry_count, sizeof(*entries));
    if (!entries)
        return NULL;
    record->entries = entries;
    entries[record->entry_count] = (clattn_record_entry){ 0 };
    return &entries[record->entry_count++];
}

static clattn_record_fault *add_fault(clattn_record *record)
{
    clattn_record_fault *faults = with_room(record->faults, record->fault_count, sizeof(*faults));
    if (!faults)
        return NULL;
    record->faults = faults;
    faults[record->fault_count] = (clattn_record_fault){ 0 };
    return &faults[record->fault_count++];
}

clattn_record_entry *clattn_record_find(const clattn_record *record, const clattn_tuning_class *of)
{
    for (size_t i = 0; i < record->entry_count; i++)
        if (clattn_class_equal(&record->entries[i].class, of))
            return &record->entries[i];
    return NULL;
}

bool clattn_record_set_entry(clattn_record *record, const clattn_record_entry *entry)
{
    clattn_record_entry copy = *entry;
    copy.driver = clattn_text_copy(entry->driver);
    copy.library = clattn_text_copy(entry->library);
    copy.kernels = clattn_text_copy(entry->kernels);
    copy.date = clattn_text_copy(entry->date);
    clattn_record_entry *place = NULL;
    if (copy.driver && copy.library && copy.kernels && copy.date) {
        place = clattn_record_find(record, &entry->class);
        place = place ? place : add_entry(record);
    }
    free_entry(place ? place : &copy);
    if (place)
        *place = copy;
    return place != NULL;
}

static clattn_record_fault *find_fault(clattn_record *record, const clattn_record_fault *fault)
{
    for (size_t i = 0; i < record->fault_count; i++)
        if (clattn_class_equal(&record->faults[i].class, &fault->class) &&
            clattn_tile_equal(&record->faults[i].tile, &fault->tile) &&
            record->faults[i].split_size == fault->split_size)
            return &record->faults[i];
    return NULL;
}

bool clattn_record_set_fault(clattn_record *record, const clattn_record_fault *fault)
{
    clattn_record_fault copy = *fault;
    copy.driver = clattn_text_copy(fault->driver);
    copy.kernels = clattn_text_copy(fault->kernels);
    copy.fault = clattn_text_copy(fault->fault);
    clattn_record_fault *place = NULL;
    if (copy.driver && copy.kernels && copy.fault) {
        place = find_fault(record, fault);
        place = place ? place : add_fault(record);
    }
    free_fault(place ? place : &copy);
    if (place)
        *place = copy;
    return place != NULL;
}

bool clattn_record_same_device(const clattn_record_device *a, const clattn_record_device *b)
{
    return strcmp(a->platform, b->platform) == 0 && strcmp(a->name, b->name) == 0 &&
           strcmp(a->vendor, b->vendor) == 0 && strcmp(a->type, b->type) == 0 &&
           strcmp(a->architecture, b->architecture) == 0 && strcmp(a->isa, b->isa) == 0 &&
           a->compute_units == b->compute_units && a->cache_bytes == b->cache_bytes &&
           a->vector_width == b->vector_width;
}

static clattn_key key_of(const clattn_record_device *device)
{
    const char *const texts[] = { device->platform, device->name,         device->vendor,
                                  device->type,     device->architecture, device->isa };
    const int64_t numbers[] = { device->compute_units, device->cache_bytes, device->vector_width };
    clattn_key key = { 0 };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        clattn_key_add_text(&key, texts[i]);
    clattn_key_add(&key, numbers, sizeof(numbers));
    return key;
}

/* The name in small letters and digits of ASCII, a dash for each run of others. */
static void add_slug(clattn_text *text, const char *name)
{
    bool dash = false, any = false;
    for (const char *end = name + MAX_SLUG; *name && name < end; name++) {
        const bool capital = *name >= 'A' && *name <= 'Z';
        const char c = capital ? (char)(*name - 'A' + 'a') : *name;
        const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (plain)
            clattn_text_add(text, "%s%c", dash && any ? "-" : "", c);
        dash = !plain;
        any = any || plain;
    }
    clattn_text_add(text, "%s", any ? "-" : "");
}

char *clattn_record_path(const char *folder, const clattn_record_device *device)
{
    char hex[CLATTN_KEY_HEX_SIZE];
    clattn_text text = { 0 };
    clattn_key_hex(key_of(device), hex);
    clattn_text_add(&text, "%s/", folder);
    add_slug(&text, device->name);
    clattn_text_add(&text, "%.*s.json", KEY_DIGITS, hex);
    return clattn_text_take(&text);
}
