/*
 * ranker.h: hidden states of a network that predicts items, as ranks and best items.
 */
#ifndef SL_RANKER_H
#define SL_RANKER_H

#include "nn/item_rank.h"
#include "store/store.h"

typedef struct SlRanker SlRanker;

/* Refuses a model that does not predict items; function: who asks. */
extern void sl_ranker_check(const SlModel *model, const char *function);

/* Items of a model that predicts them. */
extern int sl_ranker_items(const SlModel *model);

/* In the current memory context. */
extern SlRanker *sl_ranker_create(const SlModel *model);

/* sl_item_rank() with memory of the ranker's own; it can be cancelled. */
extern void sl_ranker_rank(SlRanker *ranker, const float *hidden, int rows,
						   const SlItemRank *rank);

/* Probability from its logarithm; an error if it is not a number. */
extern double sl_ranker_probability(const SlModel *model, double log_probability);

#endif
