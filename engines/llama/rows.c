/* rows.c - see rows.h. */
#include "rows.h"

/* The shortest piece of more than `tokens`; 0: there is none. */
static uint32_t shortest_beyond(const struct row *rows, uint32_t n, uint32_t tokens)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++)
        if (rows[i].tokens > tokens && (!found || rows[i].tokens < found))
            found = rows[i].tokens;
    return found;
}

void rows_level(struct row *rows, uint32_t n)
{
    uint32_t pieces = 0;
    for (uint32_t i = 0; i < n; i++)
        pieces += rows[i].tokens > 0;
    uint32_t most = pieces / 2;
    uint32_t length = 0;
    while ((length = shortest_beyond(rows, n, length)) != 0)
        for (uint32_t i = 0; i < n; i++)
            if (rows[i].tokens > length && rows[i].tokens - length <= most)
                rows[i].tokens = length;
}

/* The gap from `i` to the next one that has tokens: close it, if that takes few.  Its length. */
static uint32_t close_gap(struct row *rows, uint32_t i)
{
    uint32_t length = 0;
    bool all = true;
    while (!rows[i + length].tokens) {
        all = all && rows[i + length].spare;
        length++;
    }
    for (uint32_t k = 0; all && length < ROWS_TILE && k < length; k++)
        rows[i + k].tokens = 1;
    return length;
}

void rows_fill_up(struct row *rows, uint32_t n)
{
    uint32_t first = 0, end = n, sum = 0;
    while (first < end && !rows[first].tokens)
        first++;
    while (first < end && !rows[end - 1].tokens)
        end--;
    for (uint32_t i = first; i < end; i++)
        if (!rows[i].tokens)
            i += close_gap(rows, i) - 1;
    for (uint32_t i = first; i < end; i++)
        sum += rows[i].tokens;
    for (; sum > ROWS_TILE && sum % ROWS_TILE && end < n && rows[end].spare; sum++)
        rows[end++].tokens = 1;
    for (; sum > ROWS_TILE && sum % ROWS_TILE && first > 0 && rows[first - 1].spare; sum++)
        rows[--first].tokens = 1;
}
