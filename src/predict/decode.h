/*
 * decode.h: what comes next in a sequence of items: beam search over a network's states.
 *
 * A beam keeps the most probable sequences of items found so far.  Each of them goes on
 * with each of its most probable next items, and the best of all these are kept.  A beam
 * of 1 always takes the most probable item; one as wide as there are sequences finds the
 * best for sure.
 */
#ifndef SL_DECODE_H
#define SL_DECODE_H

#include "predict/ranker.h"
#include "predict/runner.h"

/* A sequence that is to be continued: its rows as they enter the network, the last steps
 * of them yet to come.  In these the item is the one before, which beyond the first of
 * them is for the search to fill in. */
typedef struct SlDecode
{
	const SlModel *model;
	SlRunner *runner;
	SlRanker *ranker;
	int past;
	int steps;
	int width;		/* sequences kept */
	const float *x; /* [past + steps, inputs] */
	int32 *code[SL_MAX_EMBEDDINGS];
} SlDecode;

typedef struct SlDecoded
{
	int count;				 /* at most width */
	int32 *item;			 /* [count x steps], classes */
	double *log_probability; /* [count], falling */
} SlDecoded;

/* In the current memory context. */
extern SlDecoded sl_decode(const SlDecode *decode);

#endif
