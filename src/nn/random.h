/*
 * random.h: random numbers as a function of (seed, stream, counter), so that a dropout
 * mask depends on the row and not on who computes it or when.
 *
 * Every pair (seed, stream) names one endless sequence of 32-bit words.  The functions
 * below are views of it: draw from one pair with one of them only.
 */
#ifndef SL_RANDOM_H
#define SL_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* 64 well-mixed bits; the same arguments give the same bits everywhere. */
extern uint64_t sl_random_bits(uint64_t seed, uint64_t stream, uint64_t counter);
/* Uniform in [0, 1). */
extern double sl_random_uniform(uint64_t seed, uint64_t stream, uint64_t counter);
/* Standard normal. */
extern double sl_random_normal(uint64_t seed, uint64_t stream, uint64_t counter);
/* Fisher-Yates on index[n]. */
extern void sl_random_shuffle(uint64_t seed, uint64_t stream, int *index, int n);

/* n words from word 4 * block on: the fast way to many numbers.  Words 2c and 2c + 1 of
 * the sequence are the low and the high half of sl_random_bits(seed, stream, c). */
extern void sl_random_words(uint64_t seed, uint64_t stream, uint64_t block, uint32_t *out,
							size_t n);
/* Words 4 * block to 4 * block + 3. */
extern void sl_random_block(uint64_t seed, uint64_t stream, uint64_t block,
							uint32_t out[4]);

#endif
