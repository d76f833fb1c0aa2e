/*
 * sampler.h: classes drawn at random with given probabilities, in the same time however
 * many there are.
 */
#ifndef SL_SAMPLER_H
#define SL_SAMPLER_H

#include "nn/nn.h"

/* An alias table (Walker 1977): a uniform class, or with some probability its alias. */
typedef struct SlSampler
{
	int items;
	float *keep;	/* [items], probability of the class itself */
	int32_t *alias; /* [items] */
	float *log_q;	/* [items], logarithm of the probability of being drawn */
} SlSampler;

/* Takes memory; with an empty arena it only counts. */
extern void sl_sampler_lay_out(SlSampler *sampler, int items, SlArena *arena);

/* Probabilities in proportion to count[i]^power, where less than one counts as one; count
 * NULL: all alike.  Time and memory are those of the number of items, so do it once. */
extern void sl_sampler_start(SlSampler *sampler, const int64_t *count, double power);

/* n classes, with replacement: draws 0 .. n - 1 of the sequence named by key. */
extern void sl_sampler_draw(const SlSampler *sampler, uint64_t key, int n, int32_t *out);

#endif
