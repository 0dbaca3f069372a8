/*
 * pace.c - a credit of time, and what a token costs.
 *
 * Each pass that writes earns what it takes less than slowdown times undisturbed.  The credit
 * is spent in chunks as large as the longest gap allows, not in drops: a pass that reads goes
 * through all weights, however little it reads, so half a chunk costs more than half.  What is
 * left of it over a quiet stretch lets the next short prompt in at once.
 *
 * What a token costs depends on how many are read together, so it is kept by size, in powers
 * of two.  A larger chunk is never believed to cost more per token than a smaller one: so a
 * size that once was slow by accident is tried again.
 */
#include "pace.h"

#define GAP_MOST    2.5   /* times what an undisturbed pass takes; 3 are meant, and passes vary */
#define CREDIT_MOST 4.0   /* such passes, or a gap that is not felt */
#define UNFELT_US   200e3 /* a gap that nobody feels, if it is rare */
#define WEIGHT_NEW  0.25
#define LEAP_MOST   2.0 /* what one measurement may be more than all before it */

enum { CHUNK_UNMEASURED = 16 };

void pace_init(struct pace *p, double slowdown)
{
    *p = (struct pace){ .slowdown = slowdown };
}

static uint32_t size_of(uint32_t n)
{
    uint32_t size = 31 - (uint32_t)__builtin_clz(n | 1);
    return size < PACE_SIZES ? size : PACE_SIZES - 1;
}

static void learn(double *known, double us)
{
    if (*known <= 0)
        *known = us;
    else
        *known += WEIGHT_NEW * ((us > LEAP_MOST * *known ? LEAP_MOST * *known : us) - *known);
}

/* As measured for so many, or for the next fewer, or for the next more; 0: never. */
static double alone(const struct pace *p, uint32_t writers)
{
    for (uint32_t i = writers; i > 0; i--)
        if (p->alone_us[i] > 0)
            return p->alone_us[i];
    for (uint32_t i = writers + 1; i <= PACE_WRITERS; i++)
        if (p->alone_us[i] > 0)
            return p->alone_us[i];
    return 0;
}

/* What a pass of `writers` would take if all who are about to write did.  Scaled from what it
 * takes now: the calibration looked back on nothing, and is too short by itself. */
static double undisturbed(const struct pace *p, uint32_t writers)
{
    double us = alone(p, writers);
    if (p->company <= writers)
        return us;
    return us * (1 + (p->company - 1) * p->more) / (1 + (writers - 1) * p->more);
}

void pace_calibrate(struct pace *p, int64_t one_us, uint32_t all, int64_t all_us)
{
    if (all > 1 && one_us > 0 && all_us > one_us)
        p->more = (double)(all_us - one_us) / (double)one_us / (all - 1);
}

void pace_expect(struct pace *p, uint32_t company)
{
    p->company = company < PACE_WRITERS ? company : PACE_WRITERS;
}

/* 0: nothing was measured yet. */
static double token_cost(const struct pace *p, uint32_t size)
{
    double least = 0;
    for (uint32_t i = 0; i <= size; i++)
        if (p->token_us[i] > 0 && (least <= 0 || p->token_us[i] < least))
            least = p->token_us[i];
    for (uint32_t i = size + 1; least <= 0 && i < PACE_SIZES; i++)
        least = p->token_us[i];
    return least;
}

/* The most of `wanted` that is read within `us`; 0 if not even one is. */
static uint32_t affordable(const struct pace *p, double us, uint32_t wanted)
{
    for (uint32_t size = size_of(wanted) + 1; size-- > 0;) {
        double n = us / token_cost(p, size);
        uint32_t most = size == size_of(wanted) ? wanted : (2u << size) - 1;
        if (n >= (double)(1u << size))
            return n < most ? (uint32_t)n : most;
    }
    return 0;
}

static double most_credit(double pass)
{
    return CREDIT_MOST * pass > UNFELT_US ? CREDIT_MOST * pass : UNFELT_US;
}

uint32_t pace_chunk(struct pace *p, uint32_t writers, uint32_t wanted, bool brief)
{
    if (writers == 0)
        return wanted;
    double pass = undisturbed(p, writers);
    if (alone(p, writers) <= 0)
        return 0; /* the next pass that writes measures it */
    if (token_cost(p, PACE_SIZES - 1) <= 0)
        return wanted < CHUNK_UNMEASURED ? wanted : CHUNK_UNMEASURED;
    double longest = GAP_MOST * pass;
    if (brief && longest < UNFELT_US)
        longest = UNFELT_US;
    uint32_t n = affordable(p, longest - alone(p, writers), wanted);
    if (n == 0) /* not even one: then rarely */
        return p->credit_us >= most_credit(pass) ? 1 : 0;
    double cost = n * token_cost(p, size_of(n));
    return cost <= p->credit_us ? n : 0;
}

static void settle(struct pace *p, uint32_t writers, double us)
{
    double most = most_credit(undisturbed(p, writers));
    p->credit_us += us;
    if (p->credit_us > most)
        p->credit_us = most;
    if (p->credit_us < -most)
        p->credit_us = -most;
}

void pace_wrote(struct pace *p, uint32_t writers, uint32_t rows, int64_t us)
{
    if (rows > PACE_WRITERS || us <= 0)
        return;
    learn(&p->alone_us[rows], (double)us);
    if (rows != writers) /* what they get, or they would never earn what they pay */
        learn(&p->alone_us[writers], (double)us);
    settle(p, writers, p->slowdown * undisturbed(p, writers) - (double)us);
}

void pace_read(struct pace *p, uint32_t writers, uint32_t n, int64_t us)
{
    if (us <= 0)
        return;
    learn(&p->token_us[size_of(n)], (double)us / n);
    if (writers)
        settle(p, writers, -(double)us);
}

double pace_writing_us(const struct pace *p, uint32_t rows)
{
    return alone(p, rows);
}

double pace_reading_us(const struct pace *p, uint32_t n)
{
    return n * token_cost(p, size_of(n));
}

uint32_t pace_within(const struct pace *p, double us, uint32_t wanted)
{
    if (token_cost(p, PACE_SIZES - 1) <= 0)
        return wanted < CHUNK_UNMEASURED ? wanted : CHUNK_UNMEASURED;
    uint32_t n = affordable(p, us, wanted);
    return n ? n : 1;
}
