/*
 * alias.h: drawing from a discrete distribution in constant time, whatever its size.
 */
#ifndef SL_ALIAS_H
#define SL_ALIAS_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/nn.h"

typedef struct SlAlias
{
	int count;
	uint32_t *keep; /* out of 2^32 */
	int32_t *other;
} SlAlias;

/* Probabilities in proportion to weight[count], all finite and above 0.  While the arena
 * counts, weight is not read. */
extern SlStatus sl_alias_build(SlAlias *alias, int count, const double *weight,
							   SlArena *arena);

/* The draw two random words stand for. */
static inline int32_t
sl_alias_draw(const SlAlias *alias, uint32_t column, uint32_t coin)
{
	int32_t i = (int32_t) ((uint64_t) column * (uint32_t) alias->count >> 32);

	return coin < alias->keep[i] ? i : alias->other[i];
}

#endif
