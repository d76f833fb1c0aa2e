/*
 * item_rank.h: where an item stands among all of them, and which are the best.  Exact:
 * every item is scored.
 */
#ifndef SL_ITEM_RANK_H
#define SL_ITEM_RANK_H

#include "nn/nn.h"

/* The head of a network that predicts items: score of item j = h W_j' + b_j. */
typedef struct SlItemHead
{
	const float *weight; /* W [items x hidden] */
	const float *bias;	 /* b [items] */
	int items;
	int hidden;
} SlItemHead;

/* What is asked of each row, and room for the answers; NULL where it is not wanted. */
typedef struct SlItemRank
{
	const int32_t *item;	 /* [rows], the item in question, -1: none */
	double *log_probability; /* [rows], of that item; NaN: none */
	double *rank;  /* [rows], 1 + items with a higher score + half of the others with the
					  same; NaN: none */
	int n;		   /* best items wanted, at most items */
	int32_t *best; /* [rows x n], by falling score, equal ones by number */
	double *best_log_probability; /* [rows x n] */
} SlItemRank;

/*
 * Answers for rows of hidden states h [rows x hidden].  Probabilities are the softmax
 * over all items.  Takes scratch from work (with an empty arena it only counts) and gives
 * it back; some 64 MB, more from four million items on.
 */
extern SlStatus sl_item_rank(const SlItemHead *head, const float *h, int rows,
							 const SlItemRank *rank, bool (*should_stop)(void *arg),
							 void *stop_arg, SlArena *work);

#endif
