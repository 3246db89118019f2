/* SPDX-License-Identifier: BSD-2-Clause */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "plan/record_internal.h"
#include "util/text.h"

#define DIGITS 6 /* of seconds */

static int add_bytes(const char *bytes, size_t size, void *user)
{
    clattn_text_add(user, "%.*s", (int)size, bytes);
    return 0;
}

/* Adds the object, which goes, in one line. NULL is what jansson makes without memory. */
static void add_object(clattn_text *text, json_t *object)
{
    if (!object || json_dump_callback(object, add_bytes, text, JSON_REAL_PRECISION(DIGITS)) != 0)
        text->failed = true;
    json_decref(object);
}

static json_t *field_json(const clattn_class_field *field, int32_t value)
{
    if (field->kind == CLATTN_FIELD_DTYPE)
        return json_string(clattn_dtype_name((clattn_dtype)value));
    return field->kind == CLATTN_FIELD_NUMBER ? json_integer(value) : json_boolean(value);
}

static json_t *class_json(const clattn_tuning_class *of)
{
    const clattn_class_field *field = NULL;
    json_t *object = json_object();
    bool right = object != NULL;
    for (int i = 0; right && (field = clattn_class_field_row(of->algorithm, i)); i++)
        right = json_object_set_new(object, field->name, field_json(field, of->values[i])) == 0;
    if (right)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *tile_json(const clattn_tile *tile)
{
    const clattn_fragment *row = clattn_fragment_row(tile->fragment);
    json_t *object = json_object();
    bool right = object != NULL;
    for (int i = 0; right && i < clattn_fragment_parameters(tile->fragment); i++)
        right = json_object_set_new(object, row->parameters[i].name, json_integer(tile->parameters[i])) == 0;
    if (right)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *entry_json(const clattn_record_entry *e)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:i, s:s, s:s, s:s, s:s, s:f, s:f, s:i, s:b}", "kernel",
                     clattn_algorithm_name(e->class.algorithm), "fragment",
                     clattn_fragment_row(e->class.fragment)->name, "class", class_json(&e->class), "tile",
                     tile_json(&e->tile), "split_size", (int)e->split_size, "driver", e->driver, "library", e->library,
                     "kernels", e->kernels, "date", e->date, "seconds", e->seconds, "default_seconds",
                     e->default_seconds, "points", (int)e->points, "exhaustive", (int)e->exhaustive);
}

static json_t *fault_json(const clattn_record_fault *f)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:i, s:s, s:s, s:s}", "kernel", clattn_algorithm_name(f->class.algorithm),
                     "fragment", clattn_fragment_row(f->class.fragment)->name, "class", class_json(&f->class), "tile",
                     tile_json(&f->tile), "split_size", (int)f->split_size, "driver", f->driver, "kernels", f->kernels,
                     "fault", f->fault);
}

static json_t *device_json(const clattn_record_device *d)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "platform", d->platform, "name", d->name,
                     "vendor", d->vendor, "type", d->type, "architecture", d->architecture, "isa", d->isa,
                     "compute_units", (json_int_t)d->compute_units, "cache_bytes", (json_int_t)d->cache_bytes,
                     "vector_width", (json_int_t)d->vector_width);
}

static int compare_numbers(const int32_t *a, const int32_t *b, int count)
{
    for (int i = 0; i < count; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static int compare_classes(const clattn_tuning_class *a, const clattn_tuning_class *b)
{
    const int32_t kernels[2][2] = { { (int32_t)a->algorithm, (int32_t)a->fragment },
                                    { (int32_t)b->algorithm, (int32_t)b->fragment } };
    const int order = compare_numbers(kernels[0], kernels[1], 2);
    return order ? order : compare_numbers(a->values, b->values, CLATTN_CLASS_MAX_FIELDS);
}

static int compare_entries(const void *a, const void *b)
{
    const clattn_record_entry *const *x = a, *const *y = b;
    return compare_classes(&(*x)->class, &(*y)->class);
}

static int compare_faults(const void *a, const void *b)
{
    const clattn_record_fault *const *x = a, *const *y = b;
    int order = compare_classes(&(*x)->class, &(*y)->class);
    if (!order)
        order = compare_numbers((*x)->tile.parameters, (*y)->tile.parameters, CLATTN_TILE_MAX_PARAMETERS);
    return order ? order : compare_numbers(&(*x)->split_size, &(*y)->split_size, 1);
}

static void add_entries(clattn_text *text, const clattn_record *record)
{
    const clattn_record_entry **sorted = calloc(record->entry_count + 1, sizeof(*sorted));
    text->failed = text->failed || !sorted;
    for (size_t i = 0; sorted && i < record->entry_count; i++)
        sorted[i] = &record->entries[i];
    if (sorted)
        qsort(sorted, record->entry_count, sizeof(*sorted), compare_entries);
    for (size_t i = 0; sorted && i < record->entry_count; i++) {
        clattn_text_add(text, "%s\n", i ? "," : "");
        add_object(text, entry_json(sorted[i]));
    }
    free(sorted);
}

static void add_faults(clattn_text *text, const clattn_record *record)
{
    const clattn_record_fault **sorted = calloc(record->fault_count + 1, sizeof(*sorted));
    text->failed = text->failed || !sorted;
    for (size_t i = 0; sorted && i < record->fault_count; i++)
        sorted[i] = &record->faults[i];
    if (sorted)
        qsort(sorted, record->fault_count, sizeof(*sorted), compare_faults);
    for (size_t i = 0; sorted && i < record->fault_count; i++) {
        clattn_text_add(text, "%s\n", i ? "," : "");
        add_object(text, fault_json(sorted[i]));
    }
    free(sorted);
}

char *clattn_record_text(const clattn_record *record)
{
    clattn_text text = { 0 };
    clattn_text_add(&text, "{\"schema\": %d,\n\"device\": ", CLATTN_RECORD_SCHEMA);
    add_object(&text, device_json(&record->device));
    clattn_text_add(&text, ",\n\"entries\": [");
    add_entries(&text, record);
    clattn_text_add(&text, "\n],\n\"faults\": [");
    add_faults(&text, record);
    clattn_text_add(&text, "\n]}\n");
    return clattn_text_take(&text);
}
