/*
 * decode.h: which items a decoder reads in training.
 */
#ifndef SL_DECODE_H
#define SL_DECODE_H

#include "model/model.h"

/*
 * Scheduled sampling (Bengio et al. 2015) for a network that predicts items and reads in
 * each future row the item of the row before.  code [rows], which may be
 * batch->code's own array, receives the item codes to read: those of batch->code, but in
 * every future row after a sequence's first one with probability 1 - teacher_forcing the
 * item that the network itself holds likeliest in the row before (by head.weight and
 * head.bias), having read what code says until there. Draws depend on the tape's seed and
 * epoch and on row_key (which may not be NULL) alone.
 *
 * The tape says which weights, dropout and memory; nothing is added to it, and its arena
 * is left as it was.  Dropout masks go with keys, so the pass over code that follows
 * repeats the states the choices were made from.  While counting, arena->used grows by
 * what is needed.  SL_BAD_SHAPE if the network predicts no items.
 */
extern SlStatus sl_decode_scheduled(const SlNet *net, const SlTape *tape,
									const SlBatch *batch, float teacher_forcing,
									int32_t *code);

#endif
