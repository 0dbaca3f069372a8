/*
 * seat.c - streams, copies and rewinding.
 *
 * Each slot has a stream of the cache to itself.  Streams are computed together where their
 * numbers follow each other, and apart where not: so a request gets a stream beside those
 * that run, and a gap that stays is closed by moving the last one into it.
 *
 * A sequence is copied from one stream to another as the bytes that the library makes of
 * it, which costs as much as it is long.  (The library can copy whole streams, too, but does
 * so at the next decode, and whatever is done to either of them before goes wrong.)  Those
 * bytes lack what has left a sliding window, and a recurrent state can't be taken back to an
 * earlier token: so with such models a sequence that is longer than what is shared can't be
 * copied.  But it is remembered where a prompt began to differ from what was there: the next
 * one that comes by is stopped at that place, and a copy is kept.
 *
 * In a unified cache a place is only a name, and a copy a mark on what is there already.
 */
#include "seat.h"

#include "base/clock.h"
#include "base/log.h"

enum {
    HOLD_LEAST = 32,   /* tokens for which to wait until another has read them */
    KEEP_LEAST = 32,   /* tokens that are worth a place on the shelf */
    COPY_LEAST = 16,   /* tokens that are worth a copy */
    APART_PATIENCE = 4 /* passes: a request that comes now closes the gap for nothing */
};

/* What a slot is to begin with.  The last token of a prompt is not asked for: it is decoded
 * in any case, because the answer begins with what comes of it. */
struct wish {
    struct asker asker;
    const llama_token *tokens;
    size_t n;
};

/* Where a prefix can be had. */
struct source {
    struct slot *slot;
    struct kept *kept;
    size_t n;      /* tokens */
    size_t common; /* tokens that are the same, of use or not */
};

enum err seats_init(struct seats *s, const struct model *model, struct error *error)
{
    *s = (struct seats){ .model = model, .n = model->slots };
    s->memory = llama_get_memory(model->context);
    shelf_init(&s->shelf, model->shelf_bytes, model->sharing, model->rewind);
    s->slots = calloc(s->n, sizeof *s->slots);
    s->at = calloc(s->n, sizeof(struct slot *));
    bool enough = s->slots && s->at;
    for (uint32_t i = 0; enough && i < s->n; i++) {
        s->at[i] = &s->slots[i];
        s->slots[i].seq = (llama_seq_id)i;
        s->slots[i].tokens = calloc(model->n_ctx, sizeof(llama_token));
        enough = s->slots[i].tokens != NULL;
    }
    if (enough)
        return OK;
    seats_done(s);
    return fail_nomem(error);
}

void seats_done(struct seats *s)
{
    for (uint32_t i = 0; s->slots && i < s->n; i++)
        free(s->slots[i].tokens);
    free(s->slots);
    free(s->at);
    shelf_done(&s->shelf);
}

/* --- moving sequences ------------------------------------------------------------- */

void seats_forget(struct seats *s, struct slot *slot)
{
    llama_memory_seq_rm(s->memory, slot->seq, -1, -1);
    slot->n_decoded = 0;
}

/* Of what is in the slot's place, leave `n` tokens; how many are left. */
static uint32_t trim(struct seats *s, const struct slot *slot, size_t held, size_t n)
{
    if (held <= n)
        return (uint32_t)held;
    if (n > 0 && llama_memory_seq_rm(s->memory, slot->seq, (llama_pos)n, -1))
        return (uint32_t)n;
    llama_memory_seq_rm(s->memory, slot->seq, -1, -1);
    return 0;
}

/* The oldest position that a copy of the slot's bytes would hold. */
static llama_pos first_kept(const struct seats *s, const struct slot *slot)
{
    llama_pos first = llama_memory_seq_pos_min(s->memory, slot->seq);
    llama_pos window = (llama_pos)s->model->rewind.window;
    llama_pos left = (llama_pos)slot->n_decoded - window;
    return window && left > first ? left : first;
}

/* Keep a copy of what the slot holds, if it is worth it. */
static void shelve(struct seats *s, const struct slot *slot)
{
    struct llama_context *context = s->model->context;
    if (slot->n_decoded < KEEP_LEAST)
        return;
    size_t bytes = llama_state_seq_get_size_ext(context, slot->seq, 0);
    struct kept *k = shelf_add(&s->shelf, slot->asker, slot->tokens, slot->n_decoded, bytes);
    if (!k)
        return;
    k->first = first_kept(s, slot);
    if (llama_state_seq_get_data_ext(context, k->state, bytes, slot->seq, 0) != bytes)
        shelf_drop(&s->shelf, k);
}

void seats_put_away(struct seats *s, struct slot *slot)
{
    if (slot->n_decoded)
        shelve(s, slot);
    seats_forget(s, slot);
}

static bool copy_bytes(struct seats *s, llama_seq_id from, llama_seq_id to)
{
    struct llama_context *context = s->model->context;
    size_t bytes = llama_state_seq_get_size_ext(context, from, 0);
    CLEANUP(free_ptr) uint8_t *state = malloc(bytes);
    return state && llama_state_seq_get_data_ext(context, state, bytes, from, 0) == bytes &&
           llama_state_seq_set_data_ext(context, state, bytes, to, 0) != 0;
}

/* What `from` holds, to the empty place of `to`.  False: nothing is there now. */
static bool copy(struct seats *s, const struct slot *from, const struct slot *to)
{
    if (s->model->unified) {
        llama_memory_seq_cp(s->memory, from->seq, to->seq, -1, -1);
        return true;
    }
    if (copy_bytes(s, from->seq, to->seq))
        return true;
    llama_memory_seq_rm(s->memory, to->seq, -1, -1);
    return false;
}

/* To the empty place of `to`; how many tokens are there now. */
static uint32_t fetch(struct seats *s, const struct source *from, const struct slot *to)
{
    if (from->slot)
        return copy(s, from->slot, to) ? trim(s, to, from->slot->n_decoded, from->n) : 0;
    const struct kept *k = from->kept;
    if (!k)
        return 0;
    if (llama_state_seq_set_data_ext(s->model->context, k->state, k->bytes, to->seq, 0))
        return trim(s, to, k->n, from->n);
    log_warn("a kept prefix could not be put back; it is computed again");
    llama_memory_seq_rm(s->memory, to->seq, -1, -1);
    return 0;
}

/* --- searching -------------------------------------------------------------------- */

/* What `t` has for a prompt: for a copy of it, or with `here` in its own place. */
static void look_at(const struct seats *s, struct slot *t, const struct wish *wish, bool here,
                    struct source *best)
{
    if (t->n_decoded == 0 || !sharing_allows(s->model->sharing, t->asker, wish->asker))
        return;
    bool all_there = here || s->model->unified;
    llama_pos first = all_there ? llama_memory_seq_pos_min(s->memory, t->seq) : first_kept(s, t);
    size_t common = prefix_common(t->tokens, t->n_decoded, wish->tokens, wish->n);
    size_t usable = prefix_usable(&s->model->rewind, t->n_decoded, first, common);
    if (common > best->common)
        best->common = common;
    if (usable > best->n) {
        best->slot = t;
        best->n = usable;
    }
}

static struct source look_on_shelf(struct seats *s, const struct wish *wish)
{
    struct source found = { 0 };
    found.kept = shelf_find(&s->shelf, wish->asker, wish->tokens, wish->n, &found.n, &found.common);
    return found;
}

/* What can be copied. */
static struct source search(struct seats *s, const struct wish *wish)
{
    struct source best = { 0 };
    for (uint32_t i = 0; i < s->n; i++)
        look_at(s, &s->slots[i], wish, false, &best);
    struct source kept = look_on_shelf(s, wish);
    size_t common = best.common > kept.common ? best.common : kept.common;
    if (kept.n > best.n)
        best = kept;
    best.common = common;
    return best;
}

/* What can be used where it is. */
static struct source search_free(const struct seats *s, const struct wish *wish)
{
    struct source best = { 0 };
    for (uint32_t i = 0; i < s->n; i++)
        if (!s->slots[i].job)
            look_at(s, &s->slots[i], wish, true, &best);
    return best;
}

/* --- choosing a slot --------------------------------------------------------------- */

/* The first and the last place where somebody runs; false if nobody does. */
static bool find_range(const struct seats *s, uint32_t *ret_first, uint32_t *ret_last)
{
    bool found = false;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->at[i]->job) {
            *ret_first = found ? *ret_first : i;
            *ret_last = i;
            found = true;
        }
    return found;
}

/* Of the free slots from `first` to `last`: the one that has the prefix, or else is empty,
 * or else was not used for the longest time; NULL: there is none. */
static struct slot *choose_from(const struct seats *s, uint32_t first, uint32_t last,
                                const struct slot *has_it)
{
    struct slot *best = NULL;
    for (uint32_t i = first; i <= last && i < s->n; i++) {
        struct slot *t = s->at[i];
        if (t->job)
            continue;
        if (t == has_it)
            return t;
        if (!best || (best->n_decoded && (!t->n_decoded || t->used_us < best->used_us)))
            best = t;
    }
    return best;
}

static struct slot *choose(const struct seats *s, const struct slot *has_it)
{
    uint32_t first = 0, last = 0;
    if (s->model->unified || !find_range(s, &first, &last))
        return choose_from(s, 0, s->n - 1, has_it);
    struct slot *between = choose_from(s, first, last, has_it);
    if (between)
        return between;
    return choose_from(s, first ? first - 1 : 0, last + 1, has_it);
}

/* --- taking a seat ----------------------------------------------------------------- */

/* In its own place; how many tokens. */
static uint32_t cut_back(struct seats *s, struct slot *slot, size_t n)
{
    if (slot->n_decoded >= n + KEEP_LEAST)
        shelve(s, slot);
    return trim(s, slot, slot->n_decoded, n);
}

/* In place of what is there; how many tokens. */
static uint32_t replace(struct seats *s, struct slot *slot, const struct wish *wish,
                        struct source from)
{
    seats_put_away(s, slot);
    if (from.kept) /* it may have made room */
        from = look_on_shelf(s, wish);
    return from.n >= COPY_LEAST ? fetch(s, &from, slot) : 0;
}

/* Where a copy should be kept, for the next prompt that begins in the same way. */
static uint32_t mark_for(const struct seats *s, size_t common, uint32_t n_cached)
{
    const struct rewind *rewind = &s->model->rewind;
    bool useless = common >= (size_t)n_cached + HOLD_LEAST;
    return useless && (!rewind->possible || rewind->window) ? (uint32_t)common : 0;
}

struct slot *seats_take(struct seats *s, struct job *job)
{
    struct wish wish = { job->asker, job->prompt, job->n_prompt - 1 };
    struct source here = search_free(s, &wish);
    struct source from = search(s, &wish);
    struct slot *slot = choose(s, here.n >= from.n ? here.slot : NULL);
    if (!slot)
        return NULL;
    struct source own = { 0 };
    look_at(s, slot, &wish, true, &own);
    uint32_t n_cached =
        own.n && own.n >= from.n ? cut_back(s, slot, own.n) : replace(s, slot, &wish, from);
    slot_begin(slot, job, n_cached);
    slot->mark = mark_for(s, from.common, n_cached);
    return slot;
}

/* --- reading once what several need ------------------------------------------------ */

/* How much `slot` would have of what `other` is about to read. */
static uint32_t prospect(const struct seats *s, const struct slot *other, const struct slot *slot)
{
    if (!sharing_allows(s->model->sharing, other->asker, slot->asker))
        return 0;
    size_t common = prefix_common(other->tokens, other->n_tokens, slot->tokens, slot->n_tokens - 1);
    return common >= (size_t)slot->n_decoded + HOLD_LEAST ? (uint32_t)common : 0;
}

static void catch_up(struct seats *s, const struct list *running, struct slot *slot)
{
    struct wish wish = { slot->asker, slot->tokens, slot->n_tokens - 1 };
    struct source best = { 0 };
    LIST_EACH(struct slot, other, running, link) {
        if (other != slot)
            look_at(s, other, &wish, false, &best);
    }
    if (best.n < (size_t)slot->n_decoded + HOLD_LEAST)
        return;
    seats_forget(s, slot);
    slot_found(slot, fetch(s, &best, slot));
}

bool seats_wait(struct seats *s, const struct list *running, struct slot *slot)
{
    if (slot->begun)
        return false;
    catch_up(s, running, slot);
    LIST_EACH(struct slot, other, running, link) {
        if (other == slot)
            break;
        if (!other->paused && !other->aside && slot_reading(other) &&
            prospect(s, other, slot) > other->n_decoded)
            return true;
    }
    return false;
}

uint32_t seats_cut(const struct seats *s, const struct list *running, const struct slot *slot,
                   uint32_t n)
{
    uint32_t end = slot->n_decoded + n;
    if (slot->mark > slot->n_decoded && slot->mark < end)
        end = slot->mark;
    bool younger = false;
    LIST_EACH(struct slot, other, running, link) {
        if (younger && !other->begun) {
            uint32_t at = prospect(s, slot, other);
            if (at > slot->n_decoded && at < end)
                end = at;
        }
        younger = younger || other == slot;
    }
    return end - slot->n_decoded;
}

void seats_decoded(struct seats *s, struct slot *slot)
{
    slot_decoded(slot);
    if (slot->mark && slot->n_decoded == slot->mark) {
        shelve(s, slot);
        slot->mark = 0;
    }
}

void seats_find_out(struct seats *s, struct slot *slot)
{
    uint32_t held = (uint32_t)(llama_memory_seq_pos_max(s->memory, slot->seq) + 1);
    slot->begun = slot->told = true;
    slot->n_offered = 0;
    slot->n_decoded = trim(s, slot, held, slot->n_tokens - 1);
}

/* --- leaving ------------------------------------------------------------------------ */

void seats_leave(struct seats *s, struct slot *slot)
{
    if (!sharing_allows(s->model->sharing, slot->asker, slot->asker))
        seats_forget(s, slot);
    slot_end(slot);
}

uint64_t seats_used(const struct seats *s)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->n; i++)
        n += s->slots[i].n_decoded;
    return n < s->model->n_cells ? n : s->model->n_cells;
}

void seats_check(struct seats *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        struct slot *slot = &s->slots[i];
        llama_pos held = llama_memory_seq_pos_max(s->memory, slot->seq) + 1;
        if (held == (llama_pos)slot->n_decoded)
            continue;
        log_error("slot %u counts %u tokens and holds %d; they are forgotten", i, slot->n_decoded,
                  held);
        seats_forget(s, slot);
    }
}

/* --- side by side ------------------------------------------------------------------- */

/* What runs in `from` goes on in `to`, which is free. */
static void move(struct seats *s, struct slot *from, struct slot *to)
{
    seats_put_away(s, to);
    if (from->n_decoded && !copy(s, from, to))
        return;
    llama_memory_seq_rm(s->memory, from->seq, -1, -1);
    llama_seq_id seq = from->seq;
    from->seq = to->seq;
    to->seq = seq;
    s->at[from->seq] = from;
    s->at[to->seq] = to;
}

void seats_close_up(struct seats *s)
{
    uint32_t first = 0, last = 0;
    if (s->model->unified || !find_range(s, &first, &last))
        return;
    struct slot *gap = choose_from(s, first, last, NULL);
    s->apart = gap ? s->apart + 1 : 0;
    if (s->apart > APART_PATIENCE) {
        move(s, s->at[last], gap);
        s->apart = 0;
    }
}
