/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PAGES_H
#define CLATTN_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include <clattn/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The page manager: decides which page of a KV cache holds which tokens of which sequence. Plain C; it makes no OpenCL
 * call and never sees a key or a value. It only hands out numbers, which the operations of kv_cache.h and attention.h
 * then use on the device.
 *
 * Why pages. Keys and values of every token stay in device memory while their sequence is alive. How long a sequence
 * will get is not known, so a cache is cut into pages of page_size tokens, and a sequence takes one more page when its
 * last one is full. Token j of a sequence lies in page block_table[j / page_size], at place j % page_size; the token's
 * slot is the number page * page_size + place.
 *
 *     page_size 4; sequence a of 6 tokens; b, forked from it, went on with a token of its own
 *
 *     sequence a: tokens  A B C D   E F          block table  [ 7, 2 ]      page 7: A B C D    page 2: E F . .
 *     sequence b: tokens  A B C D   E F G        block table  [ 7, 5 ]      page 5: E F G .
 *
 * Both read page 7: pages are counted and shared. Page 2 was shared too until b appended; then b got page 5 and the
 * copy (2, 5) to run on the device before G is written (copy on write).
 *
 * Prefixes are shared without forks as well (share_prefixes): a full page is found again by the tokens in it and all
 * tokens before them, the sequence's salt and attached bytes. A new sequence whose prompt starts like an earlier one
 * gets those pages and computes the rest only. The search is by hash, and what it finds is compared in full, so that
 * no collision ever shares a wrong page. Pages that no sequence holds any more stay findable until their room is
 * needed; those let go of longest ago are given up first.
 *
 * Groups. Layers that keep different tokens (full attention, sliding windows) have caches of their own. Each group of
 * such layers has a pool of pages, numbered from 0, and each sequence has a block table in every group. A sequence
 * grows, forks, moves and ends in all groups together, or in none when one of them has no room. All layers of a group
 * use the same page numbers, each in its own buffers.
 *
 * A step of an engine:
 *
 *     clattn_pages_begin_step(pages, step);
 *     for each sequence: clattn_pages_append(...)    slots and copies; CLATTN_OUT_OF_PAGES: preempt one, try again
 *     clattn_pages_block_table, clattn_pages_kv_lens: they count the new tokens
 *     enqueue on the device: the copies, then append and attention of every layer
 *     for each sequence: clattn_pages_commit(...)    the new tokens stand; or clattn_pages_abandon: as if not appended
 *     ...
 *     clattn_pages_retire(pages, step)               when the device has finished the step
 *
 * A new sequence: clattn_pages_sequence_create, clattn_pages_attach for each image, clattn_pages_match with its prompt;
 * then the prompt from there on is appended, in one step or in chunks.
 *
 * When pages are reused. The manager runs ahead of the device: a page that a sequence lets go of may still be read by
 * steps under way. It is therefore kept back until clattn_pages_retire says that the step which was current when it was
 * let go of has finished. Callers that run everything on one in-order queue need no steps: with neither call, pages are
 * reused at once. Then each swap list has to be enqueued before whatever comes next, and the list of a step's copies
 * before the first of its commits.
 *
 * Rules for every function here. One thread at a time may use a manager; nothing is locked. After creation nothing is
 * allocated; appending costs constant time a token, other calls at most constant time for each page that they go over.
 * A call that fails changes nothing, neither in the manager nor in the caller's arrays. A NULL pointer (where the
 * comment does not allow it), a sequence that does not exist (any more), and a swapped sequence where it is not allowed
 * are CLATTN_INVALID_ARGUMENT everywhere; what else a function returns stands beside it. CLATTN_OUT_OF_PAGES always
 * says that something of the manager's is used up for now (pages, host pages, sequences: the message says which and how
 * many would do), and that it can work later. What is let go of in a step helps only once that step has retired: to
 * preempt a sequence makes room for the steps after the present one. */
typedef struct clattn_pages clattn_pages;

/* A sequence: a value to copy and compare. 0 is never one. Once freed, its value is refused for good; it is not given
 * to another sequence (before 2^31 others have had the same place). */
typedef uint64_t clattn_sequence;

#define CLATTN_PAGES_MAX_GROUPS   16
#define CLATTN_PAGES_MAX_ATTACHED 64 /* bytes of one attachment */

/* Layers that keep the same tokens, and so share page numbers. */
typedef struct clattn_pages_group {
    int32_t num_pages;      /* of the group's cache on the device, 1 to 2^30 */
    int32_t num_host_pages; /* places for swapped pages in host memory, 0 to 2^30 */
    /* Which earlier tokens these layers attend: the last `window` before a query, and the first `sink` of the sequence.
     * 0 for window: all. A shared prefix is usable when these tokens' pages are still there; the others become holes.
     * (A window_left of clattn_attention_desc is the same number.) Nothing is dropped by itself: see clattn_pages_drop.
     */
    int32_t window;      /* 0 to 2^30 */
    int32_t sink;        /* 0 to 2^30; no meaning where window is 0 */
    int32_t reserved[4]; /* 0 */
} clattn_pages_group;

/* Bounds of a manager. Memory for all of them is taken at creation: 4 bytes for each sequence, group and page of the
 * longest sequence, about 40 a page, and, with share_prefixes, about 50 + 4 * page_size more a page. */
typedef struct clattn_pages_params {
    size_t struct_size;
    int32_t page_size;                /* tokens a page, 1 to 256; 0: 16 */
    int32_t num_groups;               /* 1 to CLATTN_PAGES_MAX_GROUPS */
    const clattn_pages_group *groups; /* [num_groups] */
    int32_t max_sequences;            /* alive at once, swapped ones too, 1 to 2^24; 0: 256 */
    int32_t max_tokens;      /* of one sequence, 1 to 2^30; 0: as many as fit the largest group (at most 2^30) */
    int share_prefixes;      /* non-zero: pages are found by their content; tokens have to be given then */
    int32_t max_attachments; /* held at once by sequences and findable pages, 0 to 2^24; 0: none */
} clattn_pages_params;

#ifndef __cplusplus
#define CLATTN_PAGES_PARAMS(...) ((clattn_pages_params){ .struct_size = sizeof(clattn_pages_params), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_pages_params_init(clattn_pages_params *params);

/* Makes a manager with all pages free.
 *   CLATTN_INVALID_ARGUMENT  an unknown struct_size; a field out of its range (the message names it); bounds whose
 *                            tables do not fit the address space
 *   CLATTN_OUT_OF_MEMORY */
CLATTN_API clattn_status clattn_pages_create(const clattn_pages_params *params, clattn_pages **out);

/* Frees the manager with all its sequences. The device's buffers are the caller's. */
CLATTN_API void clattn_pages_destroy(clattn_pages **pages);

/* Pages let go of from now on wait until `step` has retired. Steps are the caller's numbers, from 0 (the current one
 * after creation, retired from the start), never going down.
 *   CLATTN_INVALID_ARGUMENT  step is below the current one */
CLATTN_API clattn_status clattn_pages_begin_step(clattn_pages *pages, uint64_t step);

/* Every step up to `step` has finished on the device: pages that wait for them can be handed out. Costs constant time
 * for each of those pages. A step that has retired before is no error.
 *   CLATTN_INVALID_ARGUMENT  step is over the current one */
CLATTN_API clattn_status clattn_pages_retire(clattn_pages *pages, uint64_t step);

/* Makes an empty sequence. Sequences share pages only with those of the same salt: a number for whatever else the keys
 * and values depend on, such as an adapter or a tenant (callers with longer names give a hash of theirs).
 *   CLATTN_OUT_OF_PAGES  max_sequences are alive */
CLATTN_API clattn_status clattn_pages_sequence_create(clattn_pages *pages, uint64_t salt, clattn_sequence *out);

/* Says that tokens [first_token, first_token + num_tokens) of the sequence stand for something that their numbers do
 * not tell, such as an image: `bytes` (a digest of it, say) then counts as part of each page that one of them lies in,
 * with the place where the range starts and its length. The tokens come later: first_token is at or past the sequence's
 * length and the end of its last attachment. The bytes are copied. Forks inherit attachments. Where max_attachments
 * are held, findable pages that hold one are given up, and if that does not help, this sequence shares no further
 * page. Without share_prefixes the call only checks its arguments.
 *   CLATTN_INVALID_ARGUMENT  a range that is empty, past max_tokens, or not behind the length and the last attachment;
 *                            size not 1 to CLATTN_PAGES_MAX_ATTACHED; max_attachments is 0 with share_prefixes */
CLATTN_API clattn_status clattn_pages_attach(clattn_pages *pages, clattn_sequence sequence, int32_t first_token,
                                             int32_t num_tokens, const void *bytes, size_t size);

/* Looks for the longest run of findable full pages that a prompt, tokens[0 .. count), starts with, in every group, and
 * gives them to the sequence, which has to be empty. *found is the sequence's length afterwards: a multiple of
 * page_size, below count (one token at least is left to compute, as its output is wanted), 0 when nothing was found.
 * Append from tokens[*found] on. Pages before a group's window are holes. Without share_prefixes nothing is found and
 * tokens may be NULL. Counts as one lookup in the statistics.
 *   CLATTN_INVALID_ARGUMENT  the sequence has tokens; count is negative or over max_tokens */
CLATTN_API clattn_status clattn_pages_match(clattn_pages *pages, clattn_sequence sequence, const int32_t *tokens,
                                            int32_t count, int32_t *found);

/* Pairs that a device operation is to work through: room for `capacity` of them, of which the first `count` are set.
 * Calls add theirs behind, so that one list serves a whole step; the caller sets count to 0 to start again. A list with
 * too little room is CLATTN_INVALID_ARGUMENT; the message says how much is needed. */
typedef struct clattn_page_list {
    clattn_page_pair *pairs; /* [capacity] */
    int32_t capacity;
    int32_t count;
} clattn_page_list;

/* Makes room for `count` tokens behind those of the sequence, and says where: slots of group g go to
 * slot_mapping[g * slot_stride + i], i in [0, count) (so that a caller who passes `slots + tokens_so_far`, with a
 * stride of the most tokens of a step, gets one array a group for the whole step). slot_mapping may be NULL where the
 * caller needs no slots. Where the sequence's last page is only partly full and is shared, the sequence gets a page of
 * its own in exchange, and the pair (old, new) is added to copies[g]: at most one pair a group. Run the copies before
 * the new tokens are written. Their order does not matter, and no page is both copied from and to, as long as every
 * append of the list is made before the first commit.
 *
 * The tokens are uncommitted until clattn_pages_commit; more may be appended behind them before that. `tokens` are
 * their numbers, as the model sees them; without share_prefixes they are not read and may be NULL.
 *   CLATTN_INVALID_ARGUMENT  count is negative; the sequence would pass max_tokens; slot_stride is below count, with
 *                            several groups; a pair has to be listed, and copies is NULL or that group's list is full
 *   CLATTN_OUT_OF_PAGES      a group has too few pages left, those that may be given up included */
CLATTN_API clattn_status clattn_pages_append(clattn_pages *pages, clattn_sequence sequence, const int32_t *tokens,
                                             int32_t count, int64_t *slot_mapping, int64_t slot_stride,
                                             clattn_page_list *copies);

/* The caller has enqueued the work that fills the slots of this sequence's uncommitted tokens: they stand, and pages
 * that are full now can be found by others, whose work has to come after it on the device. Nothing to commit is no
 * error. */
CLATTN_API clattn_status clattn_pages_commit(clattn_pages *pages, clattn_sequence sequence);

/* Takes the uncommitted tokens back: length and block tables are as after the last commit, and the pages are free at
 * once. Nothing of the step may have been enqueued for this sequence (else commit, then truncate), and the copies that
 * its appends listed have to come off the list. Attachments stay. Findable pages that the append gave up are gone. */
CLATTN_API clattn_status clattn_pages_abandon(clattn_pages *pages, clattn_sequence sequence);

/* Shortens the sequence to `length` tokens, for example to drop draft tokens that were not accepted. What is appended
 * next is written over them, or to a copy of the page where others have it. Attachments that start at or past `length`
 * are forgotten. Holes stay holes.
 *   CLATTN_INVALID_ARGUMENT  length is negative or over the sequence's; there are uncommitted tokens; the page that
 *                            would be partly full is a hole */
CLATTN_API clattn_status clattn_pages_truncate(clattn_pages *pages, clattn_sequence sequence, int32_t length);

/* Makes a second sequence with the same tokens in the same pages. Whichever of them appends first copies a last page
 * that is partly full. Takes no page.
 *   CLATTN_INVALID_ARGUMENT  there are uncommitted tokens
 *   CLATTN_OUT_OF_PAGES      max_sequences are alive */
CLATTN_API clattn_status clattn_pages_fork(clattn_pages *pages, clattn_sequence sequence, clattn_sequence *out);

/* Lets go of the sequence's pages in one group that lie wholly in tokens [first_token, end_token) and are full of
 * committed tokens; their entries in the block table become holes (-1). The length stays. end_token may be past it.
 * After each commit in a group with a window: clattn_pages_drop(pages, sequence, group, sink, length - window), or, to
 * save time, with a first_token that leaves out what was dropped before. (A negative end_token drops nothing.) Where
 * tokens may still be truncated, drop less: the query at p needs the window before p.
 *   CLATTN_INVALID_ARGUMENT  no such group; first_token is negative */
CLATTN_API clattn_status clattn_pages_drop(clattn_pages *pages, clattn_sequence sequence, int32_t group,
                                           int32_t first_token, int32_t end_token);

/* Ends the sequence, swapped or not, uncommitted tokens included. If copies that its uncommitted appends listed have
 * not been enqueued, abandon it first and take them off the list. */
CLATTN_API clattn_status clattn_pages_free(clattn_pages *pages, clattn_sequence sequence);

/* Moves the sequence to host memory, to make room: for each of its pages in group g, a pair (page, host page) is added
 * to lists[g]; the pages are let go of. Run the copies to host memory before anything else is written to these pages
 * (see "When pages are reused"). A swapped sequence keeps its length and its attachments. It can be swapped in, asked
 * for its length and info, and freed. Host pages are taken from one end, so that a sequence's mostly follow each other.
 *   CLATTN_INVALID_ARGUMENT  there are uncommitted tokens; a list (one a group) is too small: it needs room for the
 *                            pages that the sequence holds in its group
 *   CLATTN_OUT_OF_PAGES      a group has too few host pages left */
CLATTN_API clattn_status clattn_pages_swap_out(clattn_pages *pages, clattn_sequence sequence, clattn_page_list *lists);

/* Brings a swapped sequence back, into other pages than before: for each page of group g that has to be copied, a pair
 * (host page, page) is added to lists[g]. Pages that are still findable on the device are used as they are. Holes stay
 * holes. Run the copies before the sequence is used; pages that are findable again at once may be found by others,
 * whose work has to come after the copies too.
 *   CLATTN_INVALID_ARGUMENT  the sequence is not swapped; a list (one a group) is too small
 *   CLATTN_OUT_OF_PAGES      a group has too few pages left */
CLATTN_API clattn_status clattn_pages_swap_in(clattn_pages *pages, clattn_sequence sequence, clattn_page_list *lists);

/* Writes the block tables of a batch in one group: table [batch, columns], with rows `stride` apart. Behind a
 * sequence's last page, and in holes, entries are -1. Uncommitted tokens count. Rows change only by calls that name
 * their sequence: append adds entries and may exchange the last one.
 *   CLATTN_INVALID_ARGUMENT  no such group; batch or columns is negative; stride is below columns; a sequence has more
 *                            pages than there are columns (the message says how many); a sequence is swapped; table or
 *                            sequences is NULL and batch is not 0 */
CLATTN_API clattn_status clattn_pages_block_table(const clattn_pages *pages, int32_t group,
                                                  const clattn_sequence *sequences, int32_t batch, int32_t *table,
                                                  int32_t columns, int64_t stride);

/* Writes the lengths of a batch, uncommitted tokens included: kv_lens [batch]. For swapped sequences too.
 *   CLATTN_INVALID_ARGUMENT  batch is negative; kv_lens or sequences is NULL and batch is not 0 */
CLATTN_API clattn_status clattn_pages_kv_lens(const clattn_pages *pages, const clattn_sequence *sequences,
                                              int32_t batch, int32_t *kv_lens);

typedef struct clattn_sequence_info {
    int32_t length;                            /* tokens, uncommitted ones included */
    int32_t committed;                         /* tokens that stand */
    int32_t num_pages;                         /* columns of its block table: length / page_size, rounded up */
    int32_t num_held[CLATTN_PAGES_MAX_GROUPS]; /* pages that it holds in each group, host pages while it is swapped:
                                                  num_pages less the holes */
    int swapped;                               /* non-zero between swap_out and swap_in */
    int sharing; /* non-zero: its full pages are made findable; see clattn_pages_attach for when this ends */
} clattn_sequence_info;

/* Costs time for each page of the sequence. */
CLATTN_API clattn_status clattn_pages_sequence_info(const clattn_pages *pages, clattn_sequence sequence,
                                                    clattn_sequence_info *info);

/* num_pages = used + cached + waiting + free. A group can hand out cached + free pages. */
typedef struct clattn_pages_stats {
    /* of the group asked for */
    int32_t num_pages;
    int32_t used;    /* held by sequences */
    int32_t shared;  /* used by two sequences or more */
    int32_t cached;  /* held by none, findable, given up when room is needed */
    int32_t waiting; /* held by none; some step has to retire before they can be handed out. They may be findable */
    int32_t free;
    int32_t num_host_pages;
    int32_t host_used;
    int32_t host_waiting;
    int32_t host_free;
    /* of the manager */
    int32_t max_sequences;
    int32_t sequences;      /* alive, swapped ones included */
    uint64_t evictions;     /* findable pages given up for room, all groups */
    uint64_t lookups;       /* calls of clattn_pages_match that succeeded */
    uint64_t hits;          /* of these, those that found something */
    uint64_t tokens_looked; /* tokens asked for; the hit rate is tokens_found / tokens_looked */
    uint64_t tokens_found;
} clattn_pages_stats;

/*   CLATTN_INVALID_ARGUMENT  no such group */
CLATTN_API clattn_status clattn_pages_get_stats(const clattn_pages *pages, int32_t group, clattn_pages_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
