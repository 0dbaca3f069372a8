/*
 * room.c - counting cells.
 *
 * Whose client does not read has no claim to room: it would keep others waiting for as long as
 * it likes.
 *
 * Tokens that several sequences share occupy their cells once.  How much that is can't be
 * asked, so a sequence is taken to share what it has in common with an older one.  Being wrong
 * costs time only: the library says when the cache is really full.  Whoever is set aside
 * then comes back after a pass that succeeded, not before, so that in the end one is left
 * that fits.
 */
#include "room.h"

static uint32_t at_most(uint64_t n, uint32_t most)
{
    return n < most ? (uint32_t)n : most;
}

/* What a request is given room for. */
static uint32_t share_of(const struct model *model, const struct job *job)
{
    return at_most(job->n_prompt + at_most(job->max_tokens, ROOM_AHEAD), model->n_ctx);
}

/* How much of a sequence those before `end` have, or are about to have. */
static uint32_t shared(const struct seats *s, const struct list *running, const struct slot *end,
                       struct asker asker, const llama_token *tokens, size_t n)
{
    size_t most = 0;
    LIST_EACH(const struct slot, slot, running, link) {
        if (slot == end)
            break;
        if (slot->aside || !sharing_allows(s->model->sharing, slot->asker, asker))
            continue;
        size_t common = prefix_common(slot->tokens, slot->n_tokens, tokens, n);
        most = common > most ? common : most;
    }
    return s->model->rewind.possible ? (uint32_t)most : 0;
}

static uint64_t own_part(const struct seats *s, const struct list *running, const struct slot *slot,
                         uint32_t share)
{
    uint32_t n = slot->n_tokens > share ? slot->n_tokens : share;
    return n - shared(s, running, slot, slot->asker, slot->tokens, slot->n_tokens);
}

bool room_for(const struct seats *s, const struct list *running, const struct job *job)
{
    if (!s->model->unified)
        return true;
    uint64_t needed =
        share_of(s->model, job) - shared(s, running, NULL, job->asker, job->prompt, job->n_prompt);
    LIST_EACH(const struct slot, slot, running, link) {
        if (!slot->paused)
            needed += own_part(s, running, slot, share_of(s->model, slot->job));
    }
    return needed <= s->model->n_cells;
}

bool room_lacks(const struct seats *s, const struct list *running, const struct slot *slot)
{
    if (!slot->aside)
        return false;
    uint64_t needed = slot->aside_pass == s->passes ? UINT32_MAX : 0; /* it was tried */
    bool alone = true;
    LIST_EACH(const struct slot, other, running, link) {
        if (other == slot || other->aside || other->paused)
            continue;
        needed += own_part(s, running, other, 0);
        alone = false;
    }
    uint32_t share = share_of(s->model, slot->job);
    needed += slot->n_tokens > share ? slot->n_tokens : share;
    return !alone && needed > s->model->n_cells;
}

/* The slot that nobody used for the longest time, of those that hold something. */
static struct slot *oldest_left(const struct seats *s)
{
    struct slot *oldest = NULL;
    for (uint32_t i = 0; i < s->n; i++) {
        struct slot *slot = &s->slots[i];
        if (!slot->job && slot->n_decoded && (!oldest || slot->used_us < oldest->used_us))
            oldest = slot;
    }
    return oldest;
}

/* The youngest that is in the cache, or wants to be, beside an older one that is. */
static struct slot *youngest(const struct list *running)
{
    struct slot *found = NULL;
    size_t n = 0;
    LIST_EACH(struct slot, slot, running, link) {
        if (!slot->aside && !slot->paused && (slot->n_decoded || slot->n_offered)) {
            found = slot;
            n++;
        }
    }
    return n > 1 ? found : NULL;
}

/* One that does not go on for now and holds something all the same. */
static struct slot *idle_holder(const struct list *running)
{
    LIST_EACH(struct slot, slot, running, link) {
        if ((slot->aside || slot->paused) && slot->n_decoded)
            return slot;
    }
    return NULL;
}

bool room_make(struct seats *s, const struct list *running)
{
    struct slot *left = oldest_left(s);
    if (left) {
        seats_put_away(s, left);
        return true;
    }
    struct slot *slot = idle_holder(running);
    if (!slot)
        slot = youngest(running);
    if (!slot)
        return false;
    seats_forget(s, slot);
    slot_set_aside(slot, s->passes);
    return true;
}
