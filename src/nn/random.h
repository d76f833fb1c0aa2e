/*
 * random.h: random numbers as a function of (seed, stream, counter), so that a dropout
 * mask depends on the row and not on who computes it or when.
 */
#ifndef SL_RANDOM_H
#define SL_RANDOM_H

#include <stdint.h>

/* 64 well-mixed bits; the same arguments give the same bits everywhere. */
extern uint64_t sl_random_bits(uint64_t seed, uint64_t stream, uint64_t counter);
/* Uniform in [0, 1). */
extern double sl_random_uniform(uint64_t seed, uint64_t stream, uint64_t counter);
/* Standard normal. */
extern double sl_random_normal(uint64_t seed, uint64_t stream, uint64_t counter);
/* Fisher-Yates on index[n]. */
extern void sl_random_shuffle(uint64_t seed, uint64_t stream, int *index, int n);

#endif
