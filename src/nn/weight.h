/*
 * weight.h: weights of recurrent layers, packed for the products of both passes.
 */
#ifndef SL_WEIGHT_H
#define SL_WEIGHT_H

#include "nn/nn.h"
#include "nn/packed.h"

/*
 * A weight W [gates * hidden x in] in two parts: a GRU's r and z, which both inputs and
 * states go into, and its n, whose two products stay apart.  An LSTM has the first part
 * alone.
 */
struct SlPackedWeight
{
	SlPacked part[2];
};

/* Gates of the first part, of a weight with so many. */
static inline int
sl_weight_first_gates(int gates)
{
	return gates == 3 ? 2 : gates;
}

/* Floats both parts take. */
extern size_t sl_weight_size(const SlParam *shape);

/* Packs W' for x W', or with back W for dgates W. */
extern SlPackedWeight sl_weight_pack(const SlParam *shape, const float *value, bool back,
									 float *data);

#endif
